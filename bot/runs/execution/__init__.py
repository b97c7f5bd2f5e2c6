"""A run: does what was approved, step by step, records what its end left, and tells how it ended."""
