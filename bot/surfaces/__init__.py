"""How requests arrive and answers leave: Slack, the terminal, HTTP. Each turns its input into one inbound value and renders a card."""
