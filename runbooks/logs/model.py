"""What a reading of logs gives: lines, their summary, and all that is missing, as values."""

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
    """A stream that gave nothing, or not all."""

    pod: str
    why: str


class LogReading(Frozen):
    """The newest lines of all streams, oldest first, and the summary of all that were read."""

    title: str
    streams: int
    lines: tuple[LogLine, ...]
    read: int
    """Lines that were looked at."""
    groups: Groups
    """Of all lines that match."""
    labels: tuple[str, ...]
    """The streams' names, by the numbers in `groups`."""
    more: bool = False
    """There are older lines that were not read, because the newest were enough."""
    left_out: int = 0
    """Lines that match and are older than the first one here."""
    oldest: str = ""
    """When the first one here was written, as the kubelet's stamp."""
    cut: int = 0
    """Lines here that are longer than what is shown of them."""
    removed: dict[str, int] = {}
    """Values that were taken out of the lines here, by kind."""
    silent: tuple[Silent, ...] = ()
    notes: tuple[str, ...] = ()
