"""A list in a ConfigMap of the fleet's record: bounded, newest first, and each entry read with distrust."""

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from runbooks.kit.answers import read_json
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Frozen

E = TypeVar("E", bound=Frozen)

_LARGEST = 100_000
"""Characters that are kept of a list that can't be read."""


class BoundedList(Generic[E]):
    """How one such list stands under its key."""

    def __init__(self, key: str, entry: type[E], most: int) -> None:
        self.key, self._entry, self._most = key, entry, most
        self._all: TypeAdapter[tuple[E, ...]] = TypeAdapter(tuple[entry, ...])  # type: ignore[valid-type] # a class

    @property
    def unreadable(self) -> str:
        """The key beside it that keeps the text of a list that could not be read."""
        return f"{self.key}-unreadable"

    def read(self, data: Mapping[str, str]) -> tuple[tuple[E, ...], int]:
        """Return the entries that can be read, and how many can't: one that somebody wrote wrong hides no other."""
        if self.key not in data:
            return (), 0
        try:
            listed = read_json(data[self.key], self._can_not_be_read)
        except PermanentError:
            listed = None
        if not isinstance(listed, list):
            return (), 1
        kept, unreadable = [], 0
        for entry in listed[: self._most]:
            try:
                kept.append(self._entry.model_validate(entry))
            except (ValidationError, RecursionError):
                unreadable += 1
        return tuple(kept), unreadable

    def written(self, entries: Iterable[E], before: Mapping[str, str], *, unreadable: int) -> dict[str, str]:
        """Return the newest as they are written; the text of a list that could not be read is kept beside it."""
        kept = {self.unreadable: before[self.unreadable]} if self.unreadable in before else {}
        if unreadable:
            kept[self.unreadable] = before[self.key].encode()[:_LARGEST].decode(errors="ignore")
        newest = tuple(entries)[: self._most]
        return {self.key: self._all.dump_json(newest, indent=1).decode(), **kept}

    def _can_not_be_read(self) -> PermanentError:
        return PermanentError(f"`{self.key}` can't be read.", code=ReasonCode.RECORD_UNREADABLE)
