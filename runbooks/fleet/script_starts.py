"""Which scripts were begun in a pod, by which run: one that was interrupted in the middle is not begun again."""

from runbooks.fleet.bounded_list import BoundedList
from runbooks.fleet.records import Stamp, Stored, Text


class ScriptStart(Stored):
    """A run began a script in a pod."""

    run: Text
    script: Text
    pod: Text
    at: Stamp
    attempt: Text
    """Random: a start that was written and whose answer was lost is known again by whoever wrote it."""


SCRIPT_STARTS = BoundedList("script-starts", ScriptStart, 100)
