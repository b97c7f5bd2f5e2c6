"""Programs that run once in the cluster, as Jobs from a release's image."""
