"""What is reported about a run to others than those who follow its thread: a deployment on GitHub."""
