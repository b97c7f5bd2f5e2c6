"""How long a method that was called too often has to rest, on a clock of the test's own."""

from dataclasses import dataclass

import pytest

from sandbox.slack.rates import Rates
from sandbox.slack.settings import SlackSettings


@dataclass
class Clock:
    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_retry_after_is_the_time_until_the_next_call_in_whole_seconds(clock: Clock):
    rates = Rates(SlackSettings(rates={"chat.update": (2, 6)}), clock)  # two at once, then one in ten seconds
    assert [rates.take("chat.update", 50) for _ in range(3)] == [0, 0, 10]
    clock.seconds = 6.5
    assert rates.take("chat.update", 50) == 4
    clock.seconds = 9.9
    assert rates.take("chat.update", 50) == 1
    clock.seconds = 10.0
    assert [rates.take("chat.update", 50) for _ in range(2)] == [0, 10]


def test_a_rest_fills_the_bucket_no_further_than_its_burst(clock: Clock):
    rates = Rates(SlackSettings(rates={"chat.update": (2, 60)}), clock)
    clock.seconds = 3600.0
    assert [rates.take("chat.update", 50) for _ in range(3)] == [0, 0, 1]


def test_each_channel_has_its_own_bucket(clock: Clock):
    rates = Rates(SlackSettings(), clock)
    assert [rates.take("chat.postMessage", 60, burst=1, place=place) for place in ("C1", "C1", "C2")] == [0, 1, 0]
