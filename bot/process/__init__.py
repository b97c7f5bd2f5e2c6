"""The process itself: its lock on the state directory, its figures, the supervision of its background work."""
