"""Deploy, go back, restart, and what was released."""
