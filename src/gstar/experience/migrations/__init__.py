"""One step per schema version, run by Alembic; see `gstar.experience.migrate`."""
