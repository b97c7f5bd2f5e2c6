"""When a metric's behaviour changed: the points at which its level jumped and stayed.

A series is split where the means of both sides differ most for its noise, and each part again. Single outliers are taken out first, by
running medians. The noise comes from the differences between neighbours, so the jump itself does not hide it. A slope is no change of
behaviour: right beside the split the levels must differ by most of what the sides do.
"""

import statistics
from collections.abc import Sequence
from itertools import accumulate, pairwise

from runbooks.kit.targets import Frozen

_LEAST = 5
"""Points of a part; a level that lasted for fewer is not told from an outlier."""
_STRENGTH = 30.0
"""The smallest squared difference of the sides, in units of its own variance. At 30 one of a thousand generated series without a change had one."""
_NEAR = 6
_ABRUPT = 0.7
_MOST = 500
"""Points; more are not looked at, because the time grows with their square."""
_GAUSSIAN = 1.4826
"""Times the median deviation: the standard deviation."""
_QUIET = 0.01
"""The noise of a series that stands still, as a part of its level: less is not worth a word."""


class ChangePoint(Frozen):
    """The level before and after."""

    index: int
    """The first point of the new level, in the whole series."""
    before: float
    after: float


def change_points(values: Sequence[float | None]) -> tuple[ChangePoint, ...]:
    """Return the changes in their order; None is a gap, which is passed over."""
    known = [(place, value) for place, value in enumerate(values) if value is not None][-_MOST:]
    numbers = [value for _, value in known]
    noise = _noise(numbers)
    splits = sorted(_splits(numbers, 0, noise))
    edges = [0, *splits, len(numbers)]
    levels = [statistics.median(numbers[a:b]) for a, b in pairwise(edges)] if splits else []
    return tuple(
        ChangePoint(index=known[split][0], before=levels[place], after=levels[place + 1])
        for place, split in enumerate(splits)
    )


def usual(values: Sequence[float | None]) -> float | None:
    """Return the level that lasted longest; None where nothing is known."""
    edges = [0, *(change.index for change in change_points(values)), len(values)]
    parts = [[value for value in values[a:b] if value is not None] for a, b in pairwise(edges)]
    longest = max(parts, key=len, default=[])
    return statistics.median(longest) if longest else None


def _noise(numbers: Sequence[float]) -> float:
    """Return the standard deviation of one point around its level."""
    steps = [abs(b - a) for a, b in pairwise(numbers)]
    if not steps:
        return 0.0
    level = statistics.median(abs(number) for number in numbers)
    # half of the steps may be none: what is rare is noise too, so the mean counts where it is larger
    typical = max(statistics.median(steps) * _GAUSSIAN, statistics.fmean(steps))
    return max(typical / 2**0.5, level * _QUIET, 1e-12)  # a step has the noise of two points


def _splits(numbers: Sequence[float], offset: int, noise: float) -> list[int]:
    found = _split(numbers, noise)
    if found is None:
        return []
    return [
        *_splits(numbers[:found], offset, noise),
        offset + found,
        *_splits(numbers[found:], offset + found, noise),
    ]


def _split(numbers: Sequence[float], noise: float) -> int | None:
    """Return where the second part begins; None where all is one level."""
    count = len(numbers)
    smooth = [statistics.median(numbers[max(0, at - 2) : at + 3]) for at in range(count)]
    before = list(accumulate(smooth, initial=0.0))
    best, place = _STRENGTH, None
    for at in range(_LEAST, count - _LEAST + 1):
        difference = (before[-1] - before[at]) / (count - at) - before[at] / at
        strength = (difference / noise) ** 2 * at * (count - at) / count
        if strength > best and _abrupt(numbers, at, difference):
            best, place = strength, at
    return _sharpened(numbers, place) if place is not None else None


def _sharpened(numbers: Sequence[float], place: int) -> int:
    """Return the split near `place` at which each point is on the side of the level that it is nearer to."""
    before, after = _levels_beside(numbers, place)
    around = range(max(_LEAST, place - _NEAR), min(len(numbers) - _LEAST, place + _NEAR) + 1)

    def strays(at: int) -> float:
        left = sum(abs(number - before) for number in numbers[around.start - _LEAST : at])
        return left + sum(abs(number - after) for number in numbers[at : around.stop + _LEAST])

    return min(around, key=strays)


def _abrupt(numbers: Sequence[float], at: int, difference: float) -> bool:
    before, after = _levels_beside(numbers, at)
    return (after - before) * difference > 0 and abs(after - before) >= abs(difference) * _ABRUPT


def _levels_beside(numbers: Sequence[float], at: int) -> tuple[float, float]:
    return statistics.median(numbers[max(0, at - _NEAR) : at]), statistics.median(numbers[at : at + _NEAR])
