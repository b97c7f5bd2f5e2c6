"""Socket Mode connections, and Slack's Web API."""
