"""What every runbook is written with: plans, changes, steps, errors, reason codes, retries."""
