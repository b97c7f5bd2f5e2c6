"""What ran, and what the audit log says of it."""
