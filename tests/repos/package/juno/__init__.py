"""A package of the repository."""
