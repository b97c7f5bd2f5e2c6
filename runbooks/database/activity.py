"""Who waits for whom in a database, as trees, and what deserves a look: from its sessions of now."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from runbooks.clients.postgres.access import Instance
from runbooks.clients.postgres.activity import ActiveSession, Activity, PreparedTransaction

LONG = 60.0
"""Seconds, from which a statement or an idle transaction is called long."""
PAUSED, _SEVERAL = 5.0, 3
"""Seconds, from which a transaction in which nothing runs is no short pause, and so many of them are worth a word before they are long."""
LEFT_BEHIND = 300.0
"""Seconds, from which a prepared transaction was probably forgotten: whoever prepares one ends it at once."""


@dataclass(frozen=True, slots=True)
class Waits:
    """A session, or a prepared transaction, and those that wait directly behind it."""

    holder: int | str
    """The process, or the prepared transaction's global id."""
    session: ActiveSession | None
    """None for a prepared transaction, and for a session that has ended meanwhile."""
    behind: "tuple[Waits, ...]" = ()

    @property
    def pids(self) -> tuple[int, ...]:
        """Return all that wait behind it, however far."""
        return tuple(each.holder for each in self.below() if isinstance(each.holder, int))

    def below(self) -> "Iterator[Waits]":
        """Yield all that wait behind it, each before those behind it."""
        for each in self.behind:
            yield each
            yield from each.below()


@dataclass(frozen=True, slots=True)
class ActivityReading:
    """What goes on in a database, ordered as a person asks."""

    place: Instance
    address: str
    activity: Activity
    trees: tuple[Waits, ...]
    """Who is waited for and waits for nobody, the one with the most behind it first."""

    @property
    def idle(self) -> tuple[ActiveSession, ...]:
        """Return sessions that left a transaction open for long and hold up nobody, the longest first."""
        return _longest(each for each in self.others if each.idle and each.seconds >= LONG)

    @property
    def many_idle(self) -> tuple[ActiveSession, ...]:
        """Return sessions that do nothing in an open transaction, the longest first, where they are a quarter of all; otherwise none."""
        found = _longest(each for each in self.others if each.idle and each.seconds >= PAUSED)
        return found if len(found) >= _SEVERAL and len(found) * 4 >= self.sessions else ()

    @property
    def sessions(self) -> int:
        """Return how many sessions there are, the bot's own not counted."""
        return sum(self.activity.states.values())

    @property
    def long(self) -> tuple[ActiveSession, ...]:
        """Return sessions whose statement has been running for long and that hold up nobody, the longest first."""
        return _longest(each for each in self.others if not each.idle and each.seconds >= LONG)

    @property
    def others(self) -> tuple[ActiveSession, ...]:
        """Return the sessions that neither wait for another nor are waited for."""
        held = {each.holder for each in self.trees} | {pid for each in self.trees for pid in each.pids}
        return tuple(each for each in self.activity.sessions if each.pid not in held)

    @property
    def left_behind(self) -> tuple[PreparedTransaction, ...]:
        """Return the prepared transactions that somebody is probably never going to end."""
        return tuple(each for each in self.activity.prepared if each.seconds >= LEFT_BEHIND)


def read(place: Instance, address: str, found: Activity) -> ActivityReading:
    """Return the reading of what a server told."""
    return ActivityReading(place, address, found, trees(found.sessions))


def trees(sessions: Sequence[ActiveSession]) -> tuple[Waits, ...]:
    """Return who holds up whom, each session once: behind the one that gets its turn last before it.

    In a ring of sessions (a deadlock that the server has not ended yet) the smallest pid stands first.
    """
    known = {each.pid: each for each in sessions}
    ahead: dict[int | str, list[int | str]] = {
        each.pid: [*each.blocked_by, *each.prepared] for each in sessions if each.blocked_by or each.prepared
    }
    depths: dict[int | str, int] = {}
    behind: dict[int | str, list[int | str]] = {}
    for pid, holders in ahead.items():
        behind.setdefault(max(holders, key=lambda holder: _depth(holder, ahead, depths)), []).append(pid)
    roots = [holder for holder in behind if holder not in ahead]
    rings = sorted(pid for pid in ahead if isinstance(pid, int))
    seen: set[int | str] = set()
    found = [_tree(each, behind, known, seen) for each in (*roots, *rings) if each not in seen]
    return tuple(sorted(found, key=lambda each: -len(each.pids)))


def _depth(holder: int | str, ahead: Mapping[int | str, list[int | str]], depths: dict[int | str, int]) -> int:
    """Return how many stand before it in the longest row. `depths` keeps what is known; a ring ends the count."""
    if holder not in depths:
        depths[holder] = 0
        depths[holder] = max((1 + _depth(each, ahead, depths) for each in ahead.get(holder, ())), default=0)
    return depths[holder]


def _tree(
    holder: int | str, behind: dict[int | str, list[int | str]], known: dict[int, ActiveSession], seen: set[int | str]
) -> Waits:
    seen.add(holder)
    session = known.get(holder) if isinstance(holder, int) else None
    return Waits(
        holder,
        session,
        tuple(_tree(each, behind, known, seen) for each in behind.get(holder, ()) if each not in seen),
    )


def _longest(sessions: Iterable[ActiveSession]) -> tuple[ActiveSession, ...]:
    return tuple(sorted(sessions, key=lambda each: -each.seconds))
