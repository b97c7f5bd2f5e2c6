"""GitHub's REST API, for what a release is judged by: its tag, checks, alerts, branch and notes."""
