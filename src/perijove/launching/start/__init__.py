"""May it run, and where? Admission, the sandbox's description, and a session's life until its end."""
