"""PostgreSQL, read only: sessions with limits, credentials, statistics and plans of statements."""
