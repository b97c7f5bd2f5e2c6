"""The messages of a request in Slack, in order, each once."""
