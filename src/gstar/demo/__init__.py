"""A real table that ships with the package; see README.md beside it."""
