"""Decisions about a request or a run, and the lock of an environment."""
