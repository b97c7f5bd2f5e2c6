"""The gate on time: freeze windows as cron expressions, public holidays, and the hours of a clock change."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from runbooks.gates.gate import Gate, GateResult, GateSubject
from runbooks.gates.settings import WindowSettings
from runbooks.kit.minutes import Minutes, calendar_of

_MINUTE = timedelta(minutes=1)
_FURTHEST = timedelta(days=4)
"""How far the next open minute is looked for."""


class Windows:
    """Says of a minute why nothing may start in it."""

    def __init__(self, settings: WindowSettings) -> None:
        self._zone = settings.clock
        self._frozen = [Minutes(each) for each in settings.frozen]
        self._allowed = [Minutes(each) for each in settings.allowed]
        self._holidays = calendar_of(settings.holidays) if settings.holidays else None
        self._place = settings.holidays or ""

    def why_not(self, at: datetime) -> str:
        """Return why nothing may start at that time; empty where something may."""
        local = at.astimezone(self._zone)
        if _clock_changes(local, self._zone):
            return "the clocks change in this hour"
        wall = local.replace(tzinfo=None)
        for each in self._frozen:
            if each.has(wall):
                return f"frozen by `{each.expression}`"
        if name := self._holiday(wall.date()):
            return f"{name} is a public holiday ({self._place})"
        if self._allowed and not any(each.has(wall) for each in self._allowed):
            return f"outside the allowed times ({', '.join(f'`{each.expression}`' for each in self._allowed)})"
        return ""

    def opens(self, after: datetime) -> datetime | None:
        """Return the next minute in which something may start; None where none comes within four days."""
        at = after.replace(second=0, microsecond=0)
        while (at := at + _MINUTE) - after < _FURTHEST:
            if not self.why_not(at):
                return at
        return None

    def _holiday(self, day: date) -> str:
        return str(self._holidays.get(day) or "") if self._holidays is not None else ""


def _clock_changes(local: datetime, zone: ZoneInfo) -> bool:
    """Whether the wall clock shows this hour twice, or has just left out an hour."""
    earlier = (local.astimezone(UTC) - timedelta(hours=2)).astimezone(zone)
    wall, left_out = local.replace(tzinfo=None), _offset(local) - _offset(earlier)
    return _ambiguous(wall, zone) or (left_out > timedelta() and _ambiguous(wall - left_out, zone))


def _offset(local: datetime) -> timedelta:
    return local.utcoffset() or timedelta()


def _ambiguous(wall: datetime, zone: ZoneInfo) -> bool:
    """Whether that hour comes twice or never there; `fold` then makes a difference."""
    first, second = (wall.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    return first != second


@dataclass(frozen=True, kw_only=True)
class OpenWindow(Gate):
    """It starts at a time when something may be started."""

    key: str = "time"
    name: str = "Time"
    settings: WindowSettings

    @cached_property
    def _windows(self) -> Windows:
        return Windows(self.settings)

    async def look(self, subject: GateSubject) -> GateResult:
        at = subject.at
        local = at.astimezone(self.settings.clock)
        shown = f"{local:%a %H:%M} {local.tzname()}"
        why = self._windows.why_not(at)
        if not why:
            return self.passed(f"{shown} is in no freeze window")
        opens = self._windows.opens(at)
        if opens is None:
            return self.not_passed(
                "failed", f"{shown}: {why}", "No deploy may start within the next four days.", reason=why
            )
        there = opens.astimezone(self.settings.clock)
        return self.not_passed(
            "failed",
            f"{shown}: {why}",
            f"Deploys may start again on {there:%a %H:%M} {there.tzname()}: "
            f"`deploy {subject.version} --env {subject.environment.name} --at TIME` asks for approval now and starts then.",
            reason=why,
        )
