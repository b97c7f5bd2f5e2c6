"""The checklist before a deploy: each line is a gate, looked at with evidence, required or advisory."""
