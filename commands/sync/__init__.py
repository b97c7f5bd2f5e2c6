"""The offline queue of the tablets."""
