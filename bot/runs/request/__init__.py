"""A request from its plan to its end: planning, lease, approval, schedule, run, report."""
