"""The Prometheus stack over HTTP: queries of Prometheus, and what Alertmanager knows."""
