"""The result of reading logs as values: lines, their summary, and everything that is missing."""

from runbooks.kit.targets import Frozen
from runbooks.logs.grouping import Groups
from runbooks.logs.parsing import LogLevel


class LogLine(Frozen):
    """One line, as the container wrote it, redacted."""

    at: str
    """When the kubelet got it: RFC 3339, UTC, nine digits of a second; empty where it does not say."""
    pod: str
    text: str
    level: LogLevel = LogLevel.NONE
    message: str = ""
    """Of a line that is JSON; otherwise the text is the message."""
    trace: str = ""


class Silent(Frozen):
    """A stream that is missing or incomplete."""

    pod: str
    why: str


class LogCounts(Frozen):
    """How many lines a reading is about. What is shown and what is left out are together what matches, which is a part of what was read."""

    streams: int
    read: int
    matching: int
    shown: int
    each: int = 0
    """Only the newest so many lines of each stream were read, and there may be older ones; 0: no older ones were left unread."""

    @property
    def left_out(self) -> int:
        """Matching lines older than the first one that is shown."""
        return self.matching - self.shown


class LogReading(Frozen):
    """The newest lines of all streams, oldest first, and the summary of all lines that were read."""

    title: str
    counts: LogCounts
    lines: tuple[LogLine, ...]
    groups: Groups
    """Of all lines that match."""
    labels: tuple[str, ...]
    """The streams' names, by the numbers in `groups`."""
    begins: tuple[str, ...] = ()
    """When the first line of each stream was written that was read, matching or not, as the kubelet's stamp; empty where none was read."""
    oldest: str = ""
    """When the first one here was written, as the kubelet's stamp."""
    cut: int = 0
    """Number of lines here that are cut off."""
    removed: dict[str, int] = {}
    """Number of values removed from the lines here, by kind."""
    silent: tuple[Silent, ...] = ()
    notes: tuple[str, ...] = ()
