"""The Kubernetes API: small values out, this project's errors, a deadline on every call."""
