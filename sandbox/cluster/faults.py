"""What is wrong in the cluster beyond its objects: a scenario sets it, a reset takes it back. Only the node reads it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Faults:
    init_fails: bool = False
    """Init containers exit 1 from now on."""
    slow_seconds: float | None = None
    """How long a slow image takes to get ready, instead of the settings' own time."""
    lose_node_of: str = ""
    """A node falls silent once a pod of an image with this in its tag runs on it."""

    def clear(self) -> None:
        self.init_fails, self.slow_seconds, self.lose_node_of = False, None, ""
