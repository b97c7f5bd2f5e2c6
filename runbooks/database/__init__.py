"""The environment's database, for people who look after it."""
