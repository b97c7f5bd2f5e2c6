"""The image registry, by the OCI distribution API, and logins for it."""
