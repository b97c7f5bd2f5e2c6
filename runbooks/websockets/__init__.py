"""WebSocket connections of a service: how many drop, since when, why, and in which pods."""
