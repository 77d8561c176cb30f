"""Learners: one family of models per file."""
