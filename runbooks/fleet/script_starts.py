"""Which scripts were begun in a pod, by which run: one that was interrupted in the middle is not begun again."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import Field

from runbooks.fleet.bounded_list import BoundedList
from runbooks.fleet.records import Stamp, Stored, Text
from runbooks.kit.answers import read_time
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode

_MOST = 100
_Name = Annotated[Text, Field(min_length=1)]


class ScriptStart(Stored):
    """A run began a script in a pod."""

    run: _Name
    script: _Name
    pod: Text
    at: Stamp
    attempt: Text
    """Random: a start that was written and whose answer was lost is known again by whoever wrote it."""


SCRIPT_STARTS = BoundedList("script-starts", ScriptStart, _MOST)


def begun(
    data: Mapping[str, str], start: ScriptStart, planned: datetime | None
) -> tuple[dict[str, str], ScriptStart | None]:
    """Return the record with this start and None; or as it is and how the same run began the script before.

    Raises PermanentError where an earlier start of this run may be missing in what can be read: a part can't be read, or older starts
    than its plan, which was made at `planned`, have made room for others.
    """
    known, unreadable = SCRIPT_STARTS.read(data)
    before = next((each for each in known if (each.run, each.script) == (start.run, start.script)), None)
    if before is not None:
        return dict(data), None if before.attempt == start.attempt else before
    if unreadable or SCRIPT_STARTS.unreadable in data:
        raise PermanentError(
            "The record of the scripts that were begun can't be read in full, so it is unknown whether this run began the script before. "
            "It was not run.",
            code=ReasonCode.RECORD_UNREADABLE,
            advice=("An administrator removes what can't be read from that ConfigMap of the fleet's record.",),
        )
    if len(known) >= _MOST and not _reaches_back(known, planned):
        raise PermanentError(
            f"{_MOST} other scripts were begun since this one was requested, so it is unknown whether this run began it before. It was not run.",
            code=ReasonCode.SCRIPT_UNANSWERED,
            advice=("Look at what it changes. If it is safe to run it, request it again.",),
        )
    return SCRIPT_STARTS.written((start, *known), data, unreadable=0), None


def _reaches_back(known: tuple[ScriptStart, ...], planned: datetime | None) -> bool:
    """Return whether no start that was made since then has left the list."""
    times = [read_time(each.at) for each in known]
    return planned is not None and any(each is not None and each < planned for each in times)
