"""What an environment's Deployments run, whose image it is, and who else writes them."""
