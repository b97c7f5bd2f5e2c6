"""What runs, how it does, and what it writes."""
