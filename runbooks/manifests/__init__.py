"""The environment's configuration as files of the release: read at its commit, compared with the cluster, and applied."""
