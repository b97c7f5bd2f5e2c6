"""Whether a release works after its pods are ready: health, measured values, alerts."""
