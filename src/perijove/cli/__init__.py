"""The command line: commands in, events and findings out, printed for people or as JSON. Exit statuses live here."""
