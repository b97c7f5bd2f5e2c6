"""What `status` says of a dependency that can't be looked at: unknown, and nothing else is lost by it."""

import pytest

from commands.kit.dependencies import DependencyFacts, looked
from runbooks.kit.errors import TemporaryError
from runbooks.kit.reasons import ReasonCode


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RecursionError(), "unknown: an error in the bot"),
        (KeyError("patient"), "unknown: an error in the bot"),
        (TemporaryError("AWS is away.", code=ReasonCode.TIMED_OUT), "unknown: AWS is away"),
    ],
)
async def test_whatever_it_raises_is_unknown(error: Exception, said: str) -> None:
    async def raises() -> DependencyFacts:
        raise error

    (fact,) = (await looked("Cache", raises, 5.0)).facts
    assert fact.label == "Cache"
    assert said in fact.model_dump_json()
    assert "patient" not in fact.model_dump_json()
