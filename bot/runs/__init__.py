"""Durable runs: requests, approvals, runs and their threads as workflows. The only importer of the workflow engine (DBOS)."""
