"""Cards and forms as Block Kit, within Slack's limits."""
