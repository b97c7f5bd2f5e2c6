"""The Slack surface: cards become Block Kit, what people do becomes deliveries. The only importer of slack_bolt and slack_sdk."""
