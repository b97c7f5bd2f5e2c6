"""The locks of a database by what they are on, and what each keeps others from."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from runbooks.clients.postgres.access import Instance
from runbooks.clients.postgres.locks import HeldLock

_KEEPS_OUT = {
    "AccessShareLock": "reads",
    "RowShareLock": "locks rows",
    "RowExclusiveLock": "writes rows",
    "ShareUpdateExclusiveLock": "keeps out schema changes and vacuum",
    "ShareLock": "keeps out writing",
    "ShareRowExclusiveLock": "keeps out writing",
    "ExclusiveLock": "keeps out all but reading",
    "AccessExclusiveLock": "keeps out reading and writing",
}


@dataclass(frozen=True, slots=True)
class LockedThing:
    """What is locked, who has it and who waits for it."""

    name: str
    """`encounters`, `a row of encounters`, `advisory lock 42`."""
    holders: tuple[HeldLock, ...]
    waiting: tuple[HeldLock, ...]
    """The one that has waited longest first."""


@dataclass(frozen=True, slots=True)
class LockReading:
    """The locks of a database that matter now."""

    place: Instance
    address: str
    things: tuple[LockedThing, ...]
    """What most wait for first."""

    @property
    def waiting(self) -> int:
        """Return how many sessions wait for a lock."""
        return len({each.pid for thing in self.things for each in thing.waiting})


def read(place: Instance, address: str, found: Iterable[HeldLock]) -> LockReading:
    """Return the locks by what they are on."""
    things = [_thing(tuple(group)) for _, group in groupby(sorted(found, key=_key), key=_key)]
    return LockReading(place, address, tuple(sorted(things, key=lambda each: (-len(each.waiting), each.name))))


def meaning(lock: HeldLock) -> str:
    """Return what a lock does to others, or what it is wanted for."""
    if lock.kind == "relation":
        return _KEEPS_OUT.get(lock.mode, lock.mode)
    if lock.kind in ("transactionid", "tuple"):
        return "changes the row"
    return lock.mode


def _key(lock: HeldLock) -> str:
    return lock.key


def _thing(found: tuple[HeldLock, ...]) -> LockedThing:
    # who waits for a row may know its table; who holds it does not
    relation = next(
        (each.relation for each in found if each.relation and (each.kind == "relation" or not each.granted)), ""
    )
    first = found[0]
    if first.kind in ("transactionid", "tuple"):
        name = f"a row of {relation}" if relation else "a row"
    elif first.kind == "advisory":
        name = f"advisory lock {first.number}"
    elif first.kind == "virtualxid":
        name = "the end of another transaction"
    else:
        name = relation or first.kind
    waiting = sorted((each for each in found if not each.granted), key=lambda each: -each.seconds)
    return LockedThing(name, tuple(each for each in found if each.granted), tuple(waiting))
