"""A client for Redis, ElastiCache and Valkey that only looks: the commands that it can send are a closed list."""
