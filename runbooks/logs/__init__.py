"""Reading and following the logs of services: `read` gives the newest lines and a summary of all."""

from runbooks.logs.following import Fresh, follow
from runbooks.logs.grouping import Groups, Shape
from runbooks.logs.model import LogCounts, LogLine, LogReading, Silent
from runbooks.logs.parsing import LogLevel
from runbooks.logs.reading import MOST, Asked, LogLimits, read
from runbooks.logs.unredacted import Unread, unread

__all__ = [
    "MOST",
    "Asked",
    "Fresh",
    "Groups",
    "LogCounts",
    "LogLevel",
    "LogLimits",
    "LogLine",
    "LogReading",
    "Shape",
    "Silent",
    "Unread",
    "follow",
    "read",
    "unread",
]
