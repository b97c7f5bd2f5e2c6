"""What is wrong with an environment, and why: rules that look at it side by side, and one answer with the most likely cause first."""
