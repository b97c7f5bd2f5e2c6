"""Figures beside their peers, measured in the same run. `python -m benchmarks` runs all of them; README.md says what each means."""
