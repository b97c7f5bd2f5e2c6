"""What a benchmark module gives back: figures, each with its peer, its goal and a verdict. Used by every module here.

A module has one coroutine function, `measure(*, smoke)`, which yields `Figure`s; `python -m benchmarks` finds it by that name.
With `smoke` it does everything once and small, so that CI sees that it still runs: the figures mean nothing then.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

TIMES = "×"  # noqa: RUF001 - the sign that is meant


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured thing."""

    name: str
    ours: float
    unit: str
    peer: float | None = None
    """The same thing done by the peer in the same run; None where the goal is a number."""
    peer_name: str = ""
    goal: float | None = None
    """A bound on ours / peer, or on ours alone where there is no peer; None: no goal, for information."""
    sense: Literal["at most", "at least"] = "at most"
    slack: float = 0.0
    """With a peer: the goal is `peer + slack` instead of a ratio (p50 alone ≤ bare Bolt + 20 ms)."""

    @property
    def ratio(self) -> float | None:
        """Ours over the peer's."""
        return self.ours / self.peer if self.peer else None

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        if self.slack and self.peer is not None:
            return self.ours <= self.peer + self.slack
        measured = self.ours if self.peer is None else self.ratio
        if self.goal is None or measured is None:
            return None
        return measured <= self.goal if self.sense == "at most" else measured >= self.goal

    @property
    def goal_text(self) -> str:
        """The bound in words: a ratio, a number, or so much more than the peer."""
        sign = "≤" if self.sense == "at most" else "≥"
        if self.slack:
            return f"{sign} peer + {self.slack:g} {self.unit}"
        if self.goal is None:
            return ""
        return f"{sign} {self.goal:g} {self.unit if self.peer is None else TIMES}"


def shown(value: float) -> str:
    """Four digits that mean something."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share of them lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
