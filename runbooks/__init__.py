"""What is done to the fleet: knows no Slack, no bot, no command."""
