"""Reading and following the logs of services: `read` gives the newest lines and a summary of all."""

from runbooks.logs.following import Fresh, follow
from runbooks.logs.grouping import Groups, Shape
from runbooks.logs.model import LogLine, Reading, Silent
from runbooks.logs.parsing import Level
from runbooks.logs.reading import MOST, Asked, Limits, read
from runbooks.logs.unredacted import Unread, unread

__all__ = [
    "MOST",
    "Asked",
    "Fresh",
    "Groups",
    "Level",
    "Limits",
    "LogLine",
    "Reading",
    "Shape",
    "Silent",
    "Unread",
    "follow",
    "read",
    "unread",
]
