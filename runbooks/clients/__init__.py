"""The only place that imports the vendors' SDKs; their errors are wrapped here and chained."""
