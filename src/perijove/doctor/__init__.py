"""What is wrong here, where was it seen, what explains it, and what puts it right? In: facts, looked at once. Out:
findings, root causes first. Pure: what looks at the world is a backend, and what changes it asks before.
"""
