"""Each query about production has the lines that tell the same in a terminal, or says here why it has none."""

from commands.kit.command import Observation, Query
from commands.kit.parsing import BY_HAND, parse, split
from commands.kit.registry import load
from commands.kit.types import Known

GROUPS = ("commands.observe", "commands.database")
WITHOUT = {
    "evidence": "it tells what a run measured, which only the bot's own store has",
    "home": "it tells of all environments and of requests, which only the bot's own store has",
    "logs stop": "it ends an answer of the bot's own",
    "verify": "its checks are those of `status`, `metrics`, `db connect` and `sync status`, which have lines of their own",
}


def test_every_query_of_production_has_lines_or_says_why_not() -> None:
    registry = load()
    missing = {
        spec.name
        for spec in registry
        if (command := registry.command(spec.name)).__module__.startswith(GROUPS)
        and issubclass(command, Query)
        and not issubclass(command, Observation)
    }
    assert missing == set(WITHOUT)


def test_the_last_word_asks_for_the_lines() -> None:
    known = Known(environments=("production",), services=("backend",))
    for typed in ("pods backend kubectl", "pods --env production kubectl", "pods --kubectl"):
        request = parse(split(typed), load(), known, default_environment="production")
        assert isinstance(request, Observation)
        assert request.kubectl, typed
    assert load().get("pods").parameter(BY_HAND) is not None
