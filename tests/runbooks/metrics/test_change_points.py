"""Change points on generated series: where the level jumped, and none where it did not."""

import math
import random

import pytest

from runbooks.metrics.change_points import change_points, usual

POINTS = 90
STILL = {
    "noise": lambda r, _: 100 + r.gauss(0, 5),
    "a rate near zero": lambda r, _: max(0.0, r.gauss(0.02, 0.01)),
    "a daily wave": lambda r, place: 100 + 20 * math.sin(place / POINTS * math.tau) + r.gauss(0, 3),
    "a slope": lambda r, place: 50 + place * 0.8 + r.gauss(0, 2),
    "rare restarts": lambda r, _: float(r.random() < 0.02),
    "a constant": lambda _r, _: 100.0,
}


@pytest.mark.parametrize("kind", STILL)
def test_what_does_not_jump_has_no_change(kind: str) -> None:
    for seed in range(60):
        numbers = random.Random(seed)
        assert change_points([STILL[kind](numbers, place) for place in range(POINTS)]) == ()


def test_a_jump_is_found_within_a_point_wherever_it_is() -> None:
    for seed in range(100):
        numbers = random.Random(seed)
        at = numbers.randrange(6, POINTS - 6)
        (found,) = change_points([100 + numbers.gauss(0, 5) + (25 if place >= at else 0) for place in range(POINTS)])
        assert abs(found.index - at) <= 1
        assert found.before == pytest.approx(100, abs=10)
        assert found.after == pytest.approx(125, abs=10)


def test_there_and_back_are_two_changes_and_gaps_and_outliers_are_none() -> None:
    numbers = random.Random(7)
    values: list[float | None] = [0.02 + numbers.gauss(0, 0.004) for _ in range(POINTS)]
    values[12] = 9.0
    assert change_points(values) == ()
    values[40:60] = [2.4 + numbers.gauss(0, 0.2) for _ in range(20)]
    values[30:34] = [None] * 4
    assert [found.index for found in change_points(values)] == [40, 60]
    assert usual(values) == pytest.approx(0.02, abs=0.005), "what lasted longest"
    assert change_points([]) == change_points([None, 1.0, None]) == ()
    assert usual([None]) is None
