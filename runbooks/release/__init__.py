"""Deploying, going back and restarting: plans, rollouts and what a rollout is guarded by."""
