"""New values for secrets: made by the bot, never typed and never shown, with new pods that read them."""
