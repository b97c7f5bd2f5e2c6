"""One loop for all that is tried again: its pauses grow and are bounded, it hears a request to stop, and it ends."""

from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.kit.errors import PermanentError, RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.retry import Pauses, hearing, is_unreachable, retried
from runbooks.kit.steps import PlainPulse, Stop, Stopped


def busy(retry_after: float = 0.0) -> TemporaryError:
    return TemporaryError("It is busy.", code=ReasonCode.TIMED_OUT, retry_after=retry_after)


class Waited:
    """Pauses that pass at once."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def failing(*errors: RunbookError) -> Callable[[], Awaitable[str]]:
    left = list(errors)

    async def act() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return act


@given(
    st.floats(0.01, 5),
    st.floats(1.0, 4.0),
    st.lists(st.floats(0, 300), max_size=30),
)
def test_a_pause_is_never_shorter_than_asked_and_grows_within_its_bound(
    first: float, growth: float, asked: list[float]
):
    pauses = Pauses(first, 10.0, growth)
    before = 0.0
    for seconds in asked:
        pause = pauses.after(busy(seconds))
        assert seconds <= pause <= max(10.0, first, seconds)
        assert pause >= min(before, 10.0)
        before = pause
    pauses.again()
    assert pauses.after() == first


async def test_what_works_later_is_tried_until_it_does():
    waited, told = Waited(), []
    act = failing(busy(), busy(3.0), busy())
    assert await retried(act, pause=waited, noticed=told.append, pauses=Pauses(1.0, 4.0, 2.0)) == "done"
    assert waited.seconds == [1.0, 3.0, 4.0]
    assert len(told) == 3


async def test_what_does_not_help_is_not_tried_again():
    waited = Waited()
    with pytest.raises(PermanentError):
        await retried(failing(PermanentError("No.", code=ReasonCode.NOT_FOUND)), pause=waited)
    with pytest.raises(TemporaryError):
        await retried(failing(busy()), pause=waited, may_help=is_unreachable)
    assert waited.seconds == []


async def test_the_deadline_ends_it_with_the_last_error_and_no_pause_reaches_beyond_it():
    waited = Waited()
    with pytest.raises(TemporaryError):
        await retried(failing(busy()), pause=waited, seconds=0.0)
    assert waited.seconds == []
    assert await retried(failing(busy(300.0)), pause=waited, seconds=9.0) == "done"
    assert waited.seconds[0] <= 9.0


async def test_whoever_counts_says_when_it_is_enough():
    waited = Waited()
    with pytest.raises(TemporaryError):
        await retried(failing(*[busy()] * 9), pause=waited, enough=lambda _error, tries, _seconds: tries >= 4)
    assert len(waited.seconds) == 3


async def test_a_request_to_stop_is_heard_in_a_pause():
    pulse = PlainPulse("production.deploy.abcdefgh")
    pulse.ask_to_stop(Stop(kind="cancelled", by="Ines"))
    with pytest.raises(Stopped):
        await retried(failing(busy(300.0)), pause=hearing(pulse))
