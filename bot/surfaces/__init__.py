"""How requests arrive and answers leave: Slack, the terminal, HTTP. Each turns its input into one delivery and renders a card."""
