"""Parser for one line: level, message, trace id (from JSON if it is JSON, otherwise from its words), and its group.

Only redacted lines are parsed here. A group is the message without the parts that vary: numbers, ids, quoted
values, times, addresses, and the ordinals of redaction's marks.
"""

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from runbooks.redaction.marks import MARK
from runbooks.wording import shortened


class LogLevel(StrEnum):
    """How bad a line is, the worst first."""

    FATAL = "fatal"
    ERROR = "error"
    WARN = "warn"
    INFO = "info"
    DEBUG = "debug"
    TRACE = "trace"
    NONE = "none"
    """The line does not say."""

    __hash__ = str.__hash__  # an Enum's own is a Python function, and lines are counted by it


class Said(NamedTuple):
    """One line, read."""

    level: LogLevel
    message: str
    trace: str
    is_json: bool


_WORDS = {
    "fatal": LogLevel.FATAL, "critical": LogLevel.FATAL, "crit": LogLevel.FATAL, "panic": LogLevel.FATAL, "emerg": LogLevel.FATAL,
    "emergency": LogLevel.FATAL, "alert": LogLevel.FATAL, "error": LogLevel.ERROR, "err": LogLevel.ERROR, "severe": LogLevel.ERROR,
    "warning": LogLevel.WARN, "warn": LogLevel.WARN, "info": LogLevel.INFO, "information": LogLevel.INFO, "notice": LogLevel.INFO,
    "debug": LogLevel.DEBUG, "fine": LogLevel.DEBUG, "trace": LogLevel.TRACE, "verbose": LogLevel.TRACE,
    "f": LogLevel.FATAL, "e": LogLevel.ERROR, "w": LogLevel.WARN, "i": LogLevel.INFO, "d": LogLevel.DEBUG,
}  # fmt: skip
_LEVEL_KEYS = ("level", "severity", "lvl", "loglevel", "log.level", "levelname", "@level")
_MESSAGE_KEYS = ("message", "msg", "@message", "event", "text", "body")
_TRACE_KEYS = (
    "traceId", "trace_id", "trace.id", "traceID", "trace", "requestId", "request_id", "reqId", "correlationId", "correlation_id",
)  # fmt: skip
_GLANCE = 80
_QUIET_KEYS = frozenset(
    {*_LEVEL_KEYS, *_TRACE_KEYS, "time", "timestamp", "ts", "@timestamp", "pid", "hostname", "spanId", "span_id", "v"}
)
_PINO = (
    (60, LogLevel.FATAL),
    (50, LogLevel.ERROR),
    (40, LogLevel.WARN),
    (30, LogLevel.INFO),
    (20, LogLevel.DEBUG),
    (0, LogLevel.TRACE),
)
"""Node's pino and bunyan write numbers."""

_LOUD = re.compile(r"\b(FATAL|CRITICAL|CRIT|PANIC|EMERG|ALERT|ERROR|ERR|SEVERE|WARNING|WARN|INFO|NOTICE|DEBUG|TRACE)\b")
_QUIET = re.compile(
    r"(?i)(?:^|[\s\[(<|])(?:level|lvl|severity)[=:]\s?\"?([a-z]{3,9})\b"
    r"|[\[(<](fatal|critical|crit|panic|error|err|warning|warn|info|notice|debug|trace)[\])>]"
    r"|^(fatal|critical|panic|error|err|warning|warn|info|notice|debug|trace)(?::|\s)"
)
_KLOG = re.compile(r"([FEWI])\d{4} \d\d:\d\d:\d\d")
_LOOKED_AT = 160
"""Characters at a line's beginning where its level stands."""


def read(text: str) -> Said:
    """One redacted line."""
    stripped = text.lstrip()
    if stripped.startswith("{") and (found := _json(stripped)) is not None:
        return found
    return Said(_level_in(text), text.strip(), _traced(text), is_json=False)


def level_of(line: str) -> LogLevel:
    """Of a line as it is shown, behind its pod and its time."""
    begin = line.find("{")
    if 0 <= begin < _LOOKED_AT and (found := _json(line[begin:])) is not None:
        return found.level
    return _level_in(line)


def _json(text: str) -> Said | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    message = next((value[key] for key in _MESSAGE_KEYS if isinstance(value.get(key), str)), None)
    if message is None:
        rest = {key: each for key, each in value.items() if key not in _QUIET_KEYS}
        message = " ".join(f"{key}={_short(each)}" for key, each in rest.items()) or text
    elif isinstance(error := value.get("error", value.get("err")), str | dict):
        message = f"{message}: {_short(error.get('message', error) if isinstance(error, dict) else error)}"
    trace = next((str(value[key]) for key in _TRACE_KEYS if isinstance(value.get(key), str | int)), "")
    return Said(_json_level(value), message.strip(), trace[:64], is_json=True)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return shortened(text, _GLANCE)


def _json_level(value: Mapping[str, Any]) -> LogLevel:
    for key in _LEVEL_KEYS:
        found = value.get(key)
        if key == "log.level" and found is None and isinstance(value.get("log"), Mapping):
            found = value["log"].get("level")
        if isinstance(found, str) and found.strip().lower() in _WORDS:
            return _WORDS[found.strip().lower()]
        if isinstance(found, int | float) and not isinstance(found, bool):
            return next(level for least, level in _PINO if found >= least or least == 0)
    return LogLevel.NONE


def _level_in(text: str) -> LogLevel:
    head = text[:_LOOKED_AT]
    if (loud := _LOUD.search(head)) is not None:
        return _WORDS[loud[1].lower()]
    if (quiet := _QUIET.search(head)) is not None:
        return _WORDS.get(next(word for word in quiet.groups() if word).lower(), LogLevel.NONE)
    if (klog := _KLOG.match(head)) is not None:
        return _WORDS[klog[1].lower()]
    return LogLevel.NONE


_TRACED = re.compile(r"(?i)\b(?:trace|request|req|correlation)[_-]?id[=:]\s?\"?([0-9a-z-]{6,64})")


def _traced(text: str) -> str:
    found = _TRACED.search(text)
    return found[1] if found else ""


_SHAPE_LOOKED_AT = 400
_SHAPE_LONGEST = 160
_MARK_TEXT = re.compile(MARK.pattern.decode())
_LOGIN = re.compile(r"//[^\s/@]{0,128}:\[[a-z -]{1,30}\]@")
"""A mark without its number, where a password stands, would be taken for one."""
_VARIES = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?|\b\d\d:\d\d:\d\d(?:[.,]\d{1,9})?)"
    r"|(?P<id>\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b)"
    r"|(?P<ip>\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b)"
    r"|(?P<hex>\b(?=[0-9a-fA-F]*\d)(?:0x)?[0-9a-fA-F]{8,}\b)"
    r"|(?P<token>\b(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{20,}\b)"
    r"|(?P<quoted>\"[^\"\n]{1,200}\"|'[^'\n]{1,200}')"
    r"|(?P<number>\d+(?:[.,]\d+)*)"
)
_STANDS_FOR = {
    "time": "<time>", "id": "<id>", "ip": "<ip>", "hex": "<id>", "token": "<id>", "quoted": "'…'", "number": "#",
}  # fmt: skip


def shape_of(message: str) -> str:
    """The message with what varies taken out; two messages of one statement in the code have the same."""
    head = _MARK_TEXT.sub(lambda mark: mark[0][: mark[0].rindex(" ")] + "]", message[:_SHAPE_LOOKED_AT])
    head = _LOGIN.sub("//…@", head)
    shape = " ".join(_VARIES.sub(lambda found: _STANDS_FOR[str(found.lastgroup)], head).split())
    return shape if len(shape) <= _SHAPE_LONGEST else shape[: _SHAPE_LONGEST - 1] + "…"
