"""All gates are looked at side by side; one that raises or hangs is unknown, and unknown is not passed."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from runbooks.gates.gate import Gate, GateResult, GateSubject, Once
from runbooks.gates.looking import look_at
from runbooks.kit.errors import PermanentError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from tests.support.gates import MakesSubject


@dataclass(frozen=True, kw_only=True)
class Plain(Gate):
    key: str = "plain"
    name: str = "Plain"
    does: Callable[[], object]

    async def look(self, subject: GateSubject) -> GateResult:  # noqa: ARG002 - a gate's form
        found = self.does()
        if asyncio.iscoroutine(found):
            await found
        return self.passed("seen")


def _raises(error: Exception) -> Callable[[], object]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("does", "evidence"),
    [
        (_raises(PermanentError("It may not look.", code=ReasonCode.CLUSTER_REFUSED, advice=("Give it the right.",))), "It may not look"),
        (_raises(TemporaryError("It is away.", code=ReasonCode.CLUSTER_UNREACHABLE, retry_after=0.01)), "It is away"),
        (_raises(ValueError("a secret")), "an error in the bot"),
        (asyncio.Event().wait, "no answer within 0.3 s"),
    ],
)  # fmt: skip
async def test_what_can_not_be_seen_is_unknown_and_holds_up_no_other(
    does: Callable[[], object], evidence: str, subject: MakesSubject
) -> None:
    broken, fine = await look_at([Plain(does=does), Plain(does=lambda: None)], subject(), 0.3)
    assert (broken.state, broken.stops) == ("unknown", True)
    assert broken.evidence.startswith(evidence)
    assert "secret" not in broken.evidence
    assert fine.state == "passed"


async def test_a_temporary_failure_is_tried_again(subject: MakesSubject) -> None:
    errors = [TemporaryError("It is away.", code=ReasonCode.CLUSTER_UNREACHABLE, retry_after=0.01)] * 2

    def sometimes() -> None:
        if errors:
            raise errors.pop()

    (found,) = await look_at([Plain(does=sometimes)], subject(), 5.0)
    assert found.state == "passed"


async def test_an_advisory_gate_stops_nothing(subject: MakesSubject) -> None:
    (found,) = await look_at([Plain(does=_raises(ValueError()), required=False)], subject(), 1.0)
    assert (found.state, found.stops) == ("unknown", False)


async def test_what_several_gates_ask_for_is_fetched_once_and_again_after_a_failure() -> None:
    answers: list[object] = [ValueError(), "found"]
    asked: list[object] = []

    async def fetch() -> object:
        await asyncio.sleep(0)
        asked.append(answer := answers.pop(0))
        if isinstance(answer, Exception):
            raise answer
        return answer

    once = Once(fetch)
    found = await asyncio.gather(once.get(), once.get(), once.get(), return_exceptions=True)
    assert [type(found[0]), *found[1:]] == [ValueError, "found", "found"]
    assert len(asked) == 2
