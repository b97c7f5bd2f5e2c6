"""Building a release's images: the workflow of the repository builds them, the bot starts it and follows it to its end."""
