"""What leaves as it is: a value of a type of its own, so that nothing takes it for words that were redacted.

`logs --raw` is the one answer that has it. A card's fields are texts and redacted wherever they leave; this goes into none of
them. It is no JSON, can't be pickled, and shows nothing of itself: what is stored, logged or raised by mistake is a number.
"""

from dataclasses import dataclass
from typing import Generic, NoReturn, SupportsIndex, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Unredacted(Generic[T]):
    """For one person at a terminal, and for nothing else."""

    lines: tuple[T, ...]

    def __repr__(self) -> str:
        return f"<{len(self.lines)} unredacted lines>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("what is unredacted is kept nowhere")
