"""Messages, files and answers on their way to Slack."""
