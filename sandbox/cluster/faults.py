"""What is wrong in the cluster beyond its objects: a scenario sets it, a reset takes it back. The node reads it, and the Deployment controller."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Faults:
    init_fails: bool = False
    """Init containers exit 1 from now on."""
    slow_seconds: float | None = None
    """How long a slow image takes to get ready, instead of the settings' own time."""
    unready: set[str] = field(default_factory=set)
    """Pods of an image with one of these in its name do not get ready, until they are let (`Cluster.let_ready`)."""
    lose_node_of: str = ""
    """A node falls silent once a pod of an image with this in its tag runs on it."""

    loses_progress: bool = False
    """The Deployment controller does not note that a rollout began, as a late one may: the condition tells of the one before, for ever."""

    def clear(self) -> None:
        self.init_fails, self.slow_seconds, self.lose_node_of, self.loses_progress = False, None, "", False
        self.unready.clear()
