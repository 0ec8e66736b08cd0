"""A part of the repository."""
