"""Minutes of the wall clock by cron expressions, and days by calendars of public holidays."""

from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from cronsim import CronSim, CronSimError

if TYPE_CHECKING:
    from holidays import HolidayBase

_MINUTE = timedelta(minutes=1)


class Minutes:
    """The minutes that a cron expression matches, by the wall clock: a clock change moves none of them."""

    def __init__(self, expression: str) -> None:
        self.expression = expression
        if len(expression.split()) != 5:  # noqa: PLR2004 - cron's fields
            raise ValueError(f"`{expression}` must have five fields: minute, hour, day, month, day of the week")
        try:
            self._next(datetime(2026, 1, 1))  # noqa: DTZ001 - the wall clock
        except CronSimError as error:
            raise ValueError(f"`{expression}` is not a cron expression: {error}") from None
        except StopIteration:
            raise ValueError(f"`{expression}` never matches") from None

    def has(self, wall: datetime) -> bool:
        """Whether it matches that minute; without a zone."""
        minute = wall.replace(second=0, microsecond=0)
        return self._next(minute - _MINUTE) == minute

    def after(self, at: datetime) -> datetime:
        """Return the first minute after that time which it matches."""
        return self._next(at)

    def before(self, at: datetime) -> datetime | None:
        """Return the last minute that it matches, that of `at` included; None where none is near."""
        return next(CronSim(self.expression, at.replace(second=0, microsecond=0) + _MINUTE, reverse=True), None)

    def _next(self, after: datetime) -> datetime:
        return next(CronSim(self.expression, after))


@lru_cache(maxsize=16)
def calendar_of(place: str) -> "HolidayBase":
    """Return the public holidays of `US` or `US-CA`; raises ValueError where there is no such calendar."""
    import holidays  # a tenth of a second, so only where it is configured

    country, _, part = place.partition("-")
    try:
        return holidays.country_holidays(country, subdiv=part or None)
    except NotImplementedError:
        raise ValueError(f"there is no calendar of public holidays for `{place}`") from None
