"""Which indexes are broken, of no use or there twice, and which tables seem to lack one: from what each server has counted."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from runbooks.clients.postgres.access import Instance
from runbooks.clients.postgres.indexes import Index, IndexUse, TableScans
from runbooks.kit.errors import RunbookError
from runbooks.wording import by_count, counted

SMALL = 1 << 20
"""Bytes of an index, below which it costs nothing worth a word."""
_ROWS, _SCANS, _BY_INDEX = 10_000, 10, 0.95
"""A table seems to lack an index from so many rows and full reads on, unless this share of its reads go by an index."""


@dataclass(frozen=True, slots=True)
class Covered:
    """An index whose keys are the first keys of another."""

    index: Index
    by: Index


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexReading:
    """What deserves a look, each kind with the largest first."""

    invalid: tuple[Index, ...]
    duplicate: tuple[Covered, ...]
    unused: tuple[Index, ...]
    missing: tuple[tuple[TableScans, Instance], ...]
    """With the server that reads the table so."""
    of: int
    """So many indexes there are."""
    since: datetime | None
    """The latest beginning of the counts on any server that was asked."""
    unasked: Mapping[Instance, RunbookError]
    """Servers whose use of the indexes is unknown."""

    @property
    def lacking(self) -> tuple[tuple[tuple[TableScans, Instance], ...], ...]:
        """Return each table that seems to lack an index once, with the servers that read it so."""
        by_table: dict[str, list[tuple[TableScans, Instance]]] = {}
        for table, place in self.missing:
            by_table.setdefault(table.name, []).append((table, place))
        return tuple(map(tuple, by_table.values()))


def read(servers: Mapping[Instance, IndexUse | RunbookError]) -> IndexReading:
    """Return the reading of what the servers told. The primary must be among those that answered."""
    told = {place: use for place, use in servers.items() if isinstance(use, IndexUse)}
    primary = told["primary"]
    used = {index.name for use in told.values() for index in use.indexes if index.scans}
    duplicate = tuple(_duplicates(primary.indexes))
    twice = {each.index.name for each in duplicate}
    since = [use.since for use in told.values() if use.since is not None]
    return IndexReading(
        invalid=tuple(each for each in primary.indexes if not each.valid and not each.building),
        duplicate=duplicate,
        unused=tuple(
            each
            for each in primary.indexes
            if each.name not in used | twice
            and each.valid
            and not (each.unique or each.constraint)
            and each.bytes >= SMALL
        ),
        missing=tuple((each, place) for place, use in told.items() for each in use.tables if _lacks_one(each)),
        of=len(primary.indexes),
        since=max(since, default=None),
        unasked={place: use for place, use in servers.items() if isinstance(use, RunbookError)},
    )


def _lacks_one(table: TableScans) -> bool:
    by_index = table.by_index / (table.by_index + table.scans)
    whole = table.read / table.scans >= table.rows / 2  # a scan that stops early, such as LIMIT 1, reads little
    return table.rows >= _ROWS and table.scans >= _SCANS and by_index < _BY_INDEX and whole


def _duplicates(indexes: tuple[Index, ...]) -> Iterator[Covered]:
    by_table: dict[str, list[Index]] = {}
    for each in indexes:
        if each.valid and each.plain and each.method == "btree":
            by_table.setdefault(each.table, []).append(each)
    for there in by_table.values():
        for each in there:
            if each.unique or each.constraint or each.covers:
                continue
            others = (other for other in there if other is not each and other.keys[: len(each.keys)] == each.keys)
            # of two that are the same, the first by name stays
            by = next((other for other in others if _stays(other, each)), None)
            if by is not None:
                yield Covered(each, by)


def _stays(other: Index, each: Index) -> bool:
    if other.keys != each.keys or other.unique or other.constraint or other.covers:
        return True
    return other.name < each.name


def answer(found: IndexReading) -> str:
    """Return the answer in one sentence, without its full stop."""
    parts = []
    if found.invalid:
        parts.append(
            f"{counted(len(found.invalid), 'index', 'indexes')} {by_count(len(found.invalid), 'is', 'are')} invalid"
        )
    if found.missing:
        tables = len(found.lacking)
        parts.append(f"{counted(tables, 'table')} {by_count(tables, 'seems', 'seem')} to lack an index")
    if found.duplicate:
        count = len(found.duplicate)
        parts.append(f"{counted(count, 'index is a duplicate', 'indexes are duplicates')}")
    if found.unused:
        count = len(found.unused)
        parts.append(f"{counted(count, 'index', 'indexes')} {by_count(count, 'is', 'are')} unused")
    if not parts:
        return f"All {counted(found.of, 'index', 'indexes')} are valid, used and without duplicates"
    return ", ".join(parts)
