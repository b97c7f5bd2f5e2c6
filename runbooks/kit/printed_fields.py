"""The fields of the one JSON object that an application's script prints, read so that nothing is called healthy by a doubtful one."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from runbooks.kit.answers import NotUnderstood
from runbooks.wording import listed

_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?", re.ASCII)
"""What a database driver gives for `count(*)` and for a sum: a number as a text."""
_LARGEST = 1e12
_OF_A_LOGGER = ("level", "severity", "loglevel", "lvl", "@timestamp", "@t")
"""Fields that loggers write (pino, winston, zap, Logback, Serilog): such a line may carry counts too, of another moment or another queue."""


class PrintedFields:
    """The fields of an object by their names without case and underlines; more than one may have the same."""

    def __init__(self, value: Mapping[Any, Any]) -> None:
        self._found: dict[str, list[Any]] = {}
        for name, each in value.items():
            self._found.setdefault(str(name).replace("_", "").lower(), []).append(each)

    def names(self) -> Iterable[str]:
        return self._found

    def check_whole(self) -> None:
        """Raise `NotUnderstood` where it is no answer: a logger's line, a failure, or a part of more. Nothing is well by that."""
        if any(name in self._found for name in _OF_A_LOGGER):
            raise NotUnderstood("the JSON is a log line")
        if any(self._values("error")):
            raise NotUnderstood("the JSON reports an error")
        if any(value is False for value in self._values("ok", "success")):
            raise NotUnderstood("the JSON says that the script failed")
        if any(value is True for value in self._values("hasmore", "more", "truncated", "partial")):
            raise NotUnderstood("the JSON says that it is incomplete")

    def _values(self, *names: str) -> Iterable[Any]:
        return (value for name in names for value in self._found.get(name, ()))

    def first(self, *names: str) -> Any:
        """Return the value of the first of these names that is there; None where none is."""
        return next((self._found[name][0] for name in names if name in self._found), None)

    def only(self, *names: str) -> Any:
        """Return the value that stands under these names; raises `NotUnderstood` where there are several."""
        values = [value for value in self._values(*names) if value is not None]
        if any(value != values[0] for value in values[1:]):
            raise NotUnderstood(f"the JSON has different values for {self._written(names)}")
        return values[0] if values else None

    def number(self, *names: str) -> float | None:
        """Return the number under these names, None where there is none; raises `NotUnderstood` for anything else."""
        numbers: list[float] = []
        for name in names:
            for value in self._found.get(name, ()):
                if value is None:
                    continue
                read = float(value) if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()) else value
                if not isinstance(read, int | float) or isinstance(read, bool) or not 0 <= read < _LARGEST:
                    raise NotUnderstood(f"`{name}` in the JSON is not a count")
                numbers.append(float(read))
        if len(set(numbers)) > 1:
            raise NotUnderstood(f"the JSON has different values for {self._written(names)}")
        return numbers[0] if numbers else None

    def whole(self, *names: str) -> int | None:
        """Return the whole number under these names, None where there is none; raises `NotUnderstood` for anything else."""
        found = self.number(*names)
        if found is not None and not found.is_integer():
            raise NotUnderstood(f"{self._written(names)} in the JSON is not a whole number")
        return None if found is None else int(found)

    def _written(self, names: Iterable[str]) -> str:
        there = (name for name in names if any(value is not None for value in self._found.get(name, ())))
        return listed(f"`{name}`" for name in there)
