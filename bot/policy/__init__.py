"""Who is who, and who may do what: people, permissions, approvals."""
