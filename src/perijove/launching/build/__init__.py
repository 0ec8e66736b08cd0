"""Which environment is that? In: a checkout. Out: a built environment, its log told as events.

`detect` decides purely what has to be done; `reading` reads the files it needs;
`builder` sees to it that each environment is made once.
"""
