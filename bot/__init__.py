"""The process: Slack edge, terminal, policy, memory, composition root."""
