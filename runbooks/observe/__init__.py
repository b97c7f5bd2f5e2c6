"""What an environment looks like now: health, pods, events, descriptions."""
