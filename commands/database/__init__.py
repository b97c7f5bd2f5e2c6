"""The database, looked at and never changed."""
