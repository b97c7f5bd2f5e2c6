"""The certificates of an environment, and when each of them expires."""
