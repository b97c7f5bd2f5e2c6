"""The bot itself: its menu, and what a person may do."""
