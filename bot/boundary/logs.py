"""The bot's log: one JSON object a line (or a readable line in a terminal), every text of it redacted.

`bot.cli` sets it up once, before anything else is imported that logs. Modules log through the standard library
(`logging.getLogger(__name__)`) or structlog; both come out here, and so do the libraries' own loggers.
"""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any, TextIO

import structlog

from bot.boundary.leaving import Redact, leaf_by_leaf
from bot.boundary.printable import safe
from runbooks.kit import bugs

_OWN_HANDLERS = ("dbos", "slack_bolt", "slack_sdk", "aiohttp", "kubernetes")
"""Libraries that would put a handler of their own on their logger, or are to be quieter than ours."""

_LEVELS = {"slack_sdk": logging.WARNING, "slack_bolt": logging.WARNING, "aiohttp.access": logging.WARNING}

_ADVERTISEMENTS = ("To view and manage workflows, connect to DBOS Conductor",)

WITHHELD = "a log line was withheld: it could not be redacted"


def _advertisement(record: logging.LogRecord) -> bool:
    """False (dropped) for the console's advertisement that DBOS logs at each launch."""
    return not record.name.startswith("dbos") or not str(record.msg).startswith(_ADVERTISEMENTS)


def _no_http(record: logging.LogRecord) -> bool:
    """Take the traceback from what aiohttp logs of bytes that are no HTTP: anybody may send them, and where in aiohttp says nothing."""
    error = record.exc_info[1] if record.exc_info else None
    if record.name == "aiohttp.server" and type(error).__module__ == "aiohttp.http_exceptions":
        record.msg, record.args = "refused bytes that are not HTTP: %s", (type(error).__name__,)
        record.exc_info = record.exc_text = None
    return True


def _exception(exc_info: tuple[type[BaseException], BaseException, TracebackType | None]) -> str:
    """Without words that may quote what was read: redaction knows patterns, not people."""
    return bugs.trace(exc_info[1])


class _Redacted:
    """The last processor before the renderer: exceptions are text by then."""

    def __init__(self, redact: Redact) -> None:
        self._redact = redact

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        internal = {key: value for key, value in event.items() if key in ("_record", "_from_structlog")}
        shown = {key: value for key, value in event.items() if key not in internal}
        level = shown.get("level")
        try:
            out: dict[str, Any] = leaf_by_leaf(shown, self._redact, fixed=frozenset({"timestamp", "level"}))
        except Exception:  # noqa: BLE001 - fails closed: nothing of the line is shown
            out = {"event": WITHHELD, "level": level or "error"}
        return _harmless(out) | internal


def _harmless(line: Mapping[str, Any]) -> dict[str, Any]:
    """Somebody reads it in a terminal: what others said drives none. Only a traceback has lines."""
    return {safe(key): _without_control(each, lines=key in ("exception", "stack")) for key, each in line.items()}


def _without_control(value: Any, *, lines: bool = False) -> Any:
    if isinstance(value, str):
        return safe(value, lines=lines)
    if isinstance(value, Mapping):
        return _harmless(value)
    return [_without_control(each) for each in value] if isinstance(value, list) else value


class _Handler(logging.StreamHandler[TextIO]):
    """Writes a line, and never a traceback of the logging system itself: that would carry the line's arguments unredacted."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the standard library's name
        try:
            self.stream.write(f'{{"event": "{WITHHELD}", "level": "error", "logger": "{record.name}"}}\n')
        except (OSError, ValueError):
            return


def set_up(redact: Redact, *, stream: TextIO | None = None, pretty: bool | None = None, level: str = "INFO") -> None:
    """Routes every logger of the process to `stream` (standard error). `pretty`: for people; by default in a terminal."""
    to = stream or sys.stderr
    for_people = to.isatty() if pretty is None else pretty
    before: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.ExceptionRenderer(_exception),
        structlog.processors.UnicodeDecoder(),
    ]
    structlog.configure(
        processors=[*before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=for_people, exception_formatter=structlog.dev.plain_traceback)
        if for_people
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    handler = _Handler(to)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[_Redacted(redact), structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    handler.addFilter(_advertisement)
    handler.addFilter(_no_http)
    _route(handler, level)


def _route(handler: logging.Handler, level: str) -> None:
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _OWN_HANDLERS:
        logger = logging.getLogger(name)
        # a handler that is there already keeps the library (DBOS) from adding its own
        logger.handlers = [handler]
        logger.propagate = False
    for name, quiet in _LEVELS.items():
        logging.getLogger(name).setLevel(max(quiet, logging.getLevelNamesMapping()[level]))
    logging.captureWarnings(capture=True)
