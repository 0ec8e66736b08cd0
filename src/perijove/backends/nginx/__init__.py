"""The nginx in front, as a doctor sees it. `reading`: its files → Configuration. `asking`: what it really answers.
`changing`: files put in the place of others, tested, taken up by nginx, or taken back. All act.
"""
