"""What scenarios have changed, place by place: two may want the same one, and each puts back only what is its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Change:
    """One change of one place; `put` may be called again once something else that stood there is gone."""

    where: str
    """The place: `ConfigMap/backend-config`, and a part of it `ConfigMap/backend-config/LOG_LEVEL`."""
    put: Callable[[], object]
    remember: Callable[[], Callable[[], object]]
    """Looks at what is there before, and returns what puts it back."""
    stands: Callable[[], bool]
    """Whether it is still as it was put: what somebody mended meanwhile stays mended."""


@dataclass(frozen=True)
class Setting(Generic[T]):
    """A place that is read and written as a whole."""

    where: str
    read: Callable[[], T]
    write: Callable[[T], object]

    def to(self, value: T) -> Change:
        """Return the change that sets it."""

        def remember() -> Callable[[], object]:
            before = self.read()
            return lambda: self.write(before)

        return Change(self.where, lambda: self.write(value), remember, lambda: self.read() == value)


@dataclass
class _Layers:
    """One place: how it was, and what each scenario put there, the newest last."""

    put_back: Callable[[], object]
    wanted: dict[str, Change] = field(default_factory=dict)

    @property
    def top(self) -> Change:
        return next(reversed(self.wanted.values()))


class Changes:
    """All changes that stand, by place and by who made them."""

    def __init__(self) -> None:
        self._places: dict[str, _Layers] = {}

    def put(self, who: str, change: Change) -> None:
        """Make the change, over those of others in the same place."""
        with self._lifted(change.where):
            layers = self._places.get(change.where)
            if layers is None:
                layers = self._places[change.where] = _Layers(change.remember())
            layers.wanted[who] = change
            change.put()

    def take_back(self, who: str) -> None:
        """Put back what that one changed: to what another wants there, or to what was there before all of them."""
        for where, layers in reversed(list(self._places.items())):
            if who in layers.wanted:
                with self._lifted(where):
                    self._take_back(where, layers, who)

    def _take_back(self, where: str, layers: _Layers, who: str) -> None:
        shown = layers.top
        change = layers.wanted.pop(who)
        if not layers.wanted:
            del self._places[where]
        if change is not shown or not change.stands():
            return
        if layers.wanted:
            layers.top.put()
        else:
            layers.put_back()

    @contextmanager
    def _lifted(self, where: str) -> Iterator[None]:
        """What hides the place, such as the removal of the object that it is in, is not there for a moment."""
        hiding = [layers for place, layers in self._places.items() if where.startswith(f"{place}/")]
        hiding = [layers for layers in hiding if layers.top.stands()]
        for layers in hiding:
            layers.put_back()
        yield
        for layers in hiding:
            layers.put_back = layers.top.remember()
            layers.top.put()

    def stands(self, who: str, kind: str) -> bool:
        """Return whether something of that kind is still as that one put it."""
        return any(
            where.startswith(f"{kind}/") and who in layers.wanted and layers.wanted[who].stands()
            for where, layers in self._places.items()
        )

    def let_stand(self, who: str, kind: str) -> None:
        """Take back nothing of that kind that is that one's."""
        for where, layers in list(self._places.items()):
            if where.startswith(f"{kind}/") and layers.wanted.pop(who, None) is not None and not layers.wanted:
                del self._places[where]

    def forget(self) -> None:
        """Everything was put back by other means."""
        self._places.clear()
