"""Backups of the database and of the configuration: how good they are, a snapshot before a deploy, and instances restored from one."""
