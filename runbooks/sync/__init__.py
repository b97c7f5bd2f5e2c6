"""The offline queue of an environment: reading it, and changing it."""
