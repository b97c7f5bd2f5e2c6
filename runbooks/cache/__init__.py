"""The cache of an environment: how full it is, how often it helps, whether it is replicated, and what is slow there."""
