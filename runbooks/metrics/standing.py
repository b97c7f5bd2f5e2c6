"""How a metric stands: now, usually, at its worst, and whether it is beyond its limit, since when, or recovers. What can't be read is unknown, never well."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property

from runbooks.metrics.change_points import usual
from runbooks.metrics.settings import MetricQuery
from runbooks.wording import listed

_FRESH = 3
"""Steps: a metric whose last value is older has no value now."""


class Standing(StrEnum):
    """Each is a word that people read."""

    WITHIN = "within"
    BEYOND = "beyond"
    RECOVERING = "recovering"
    """It is within its limit again, while the value over the usual time is not yet."""
    UNKNOWN = "unknown"
    NO_LIMIT = "no limit"


def where(regions: Sequence[str]) -> str:
    """Return ` in eu and us`; nothing where no region is named."""
    return f" in {listed(regions)}" if regions else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSeries:
    """One line: a value for each step, None where there is none."""

    name: str = ""
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRecovery:
    """A metric is within its limit again, though the value over the usual window is not yet."""

    since: datetime
    """In the zone of the history."""
    now: float
    """Over the short window."""
    window: timedelta
    """The usual one, over which the value still contains the time before."""

    @property
    def shown(self) -> str:
        """Return such as `recovering since 14:02`."""
        return f"recovering since {self.since:%H:%M}"


@dataclass(frozen=True, kw_only=True)
class MetricHistory:
    """What a metric was over a time."""

    query: MetricQuery
    start: datetime
    step: timedelta
    count: int
    """Points, the first at the start."""
    series: tuple[NamedSeries, ...] = ()
    why: str = ""
    """Why nothing could be read."""
    recovery: MetricRecovery | None = None
    """Of one whose value now is beyond its limit."""
    regions: tuple[str, ...] = ()
    """The regions that it is about, where some have a Prometheus of their own; none: all of the environment."""

    @property
    def title(self) -> str:
        """The metric's title, and where it was measured: `API p95 in us`."""
        return f"{self.query.title}{where(self.regions)}"

    @cached_property
    def values(self) -> tuple[float | None, ...]:
        """The worst of the series at each step."""
        return tuple(self._worst(step) for step in zip(*(each.values for each in self.series), strict=True))

    @property
    def now(self) -> float | None:
        """The newest value, unless it is too old."""
        return next((value for value in reversed(self.values[-_FRESH:]) if value is not None), None)

    @cached_property
    def usual(self) -> float | None:
        """The level that lasted longest."""
        return usual(self.values)

    @property
    def worst(self) -> float | None:
        """The worst value of the time."""
        return self._worst(self.values)

    @property
    def standing(self) -> Standing:
        """How it stands now."""
        if self.now is None:
            return Standing.UNKNOWN
        if self.query.limit is None:
            return Standing.NO_LIMIT
        if self.query.holds(self.now):
            return Standing.WITHIN
        return Standing.BEYOND if self.recovery is None else Standing.RECOVERING

    @property
    def beyond_since(self) -> datetime | None:
        """When its value went beyond its limit, to stay there; None where it is not, or was already when the time began."""
        if self.standing not in (Standing.BEYOND, Standing.RECOVERING):
            return None
        last_good = max((place for place, value in self._known() if self.query.holds(value)), default=None)
        if last_good is None:
            return None
        return self.at(next(place for place, _ in self._known() if place > last_good))

    @property
    def unknown(self) -> str:
        """Why there is no value now."""
        if self.why or self.now is not None:
            return self.why
        last = max((place for place, _ in self._known()), default=None)
        return "no data" if last is None else f"no data since {self.at(last):%H:%M}"

    @property
    def end(self) -> datetime:
        """The time of the last point."""
        return self.at(self.count - 1)

    def at(self, place: int) -> datetime:
        """Return the time of a step."""
        return self.start + self.step * place

    def _known(self) -> Iterator[tuple[int, float]]:
        return ((place, value) for place, value in enumerate(self.values) if value is not None)

    def _worst(self, values: tuple[float | None, ...]) -> float | None:
        found: float | None = None
        for value in values:
            if value is not None:
                found = value if found is None else self.query.worse(found, value)
        return found
