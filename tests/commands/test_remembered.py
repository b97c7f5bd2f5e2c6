"""A follow-up in a thread means the service, environment and region of what was answered there; what is typed wins."""

import pytest

from commands.kit.parsing import UsageError, parse, parse_follow_up, split
from commands.kit.registry import load
from commands.kit.remembered import UNREAD, Subject, subject_of, together
from commands.kit.types import Known

REGISTRY = load()
KNOWN = Known(
    environments=("production", "staging"),
    services=("backend", "frontend"),
    commands=REGISTRY.names(),
    regions=("eu", "us"),
)
BACKEND = Subject(service="backend", environment="staging", region="eu")


def follow_up(text: str, about: Subject = BACKEND) -> tuple[dict[str, object], Subject]:
    request, taken = parse_follow_up(split(text), REGISTRY, KNOWN, about, default_environment="production")
    return request.arguments(), taken


@pytest.mark.parametrize("text", ["logs", "pods", "describe", "events", "top pods"])
def test_a_query_takes_all_that_was_not_typed(text: str) -> None:
    arguments, taken = follow_up(text)
    assert taken == BACKEND
    assert {"staging", "eu", "backend"} <= set(map(str, arguments.values()))


def test_what_is_typed_wins_and_a_region_stays_in_its_environment() -> None:
    assert follow_up("logs frontend")[1] == Subject(environment="staging", region="eu")
    arguments, taken = follow_up("logs --env production")
    assert (arguments["env"], arguments["target"]) == ("production", "backend")
    assert taken == Subject(service="backend")
    assert follow_up("pods --region us")[0]["region"] == "us"


def test_what_is_typed_whole_takes_nothing_and_says_nothing() -> None:
    taken = follow_up("logs frontend --env production")[1]
    assert taken == Subject()
    assert taken.told("production") == ""


def test_an_operation_takes_what_it_needs_and_is_never_limited_to_a_part() -> None:
    arguments, taken = follow_up("restart")
    assert arguments == {"service": "backend", "env": "staging"}
    assert taken.told("production") == "backend in staging (this channel's default is production)"
    assert follow_up("rollback")[0] == {"env": "staging"}


def test_a_decision_takes_nothing_and_asks_where_the_thread_is_about_another_environment() -> None:
    with pytest.raises(UsageError, match="This thread is about staging"):
        follow_up("lock")
    assert follow_up("lock --env production")[0]["env"] == "production"
    assert follow_up("lock", Subject(environment="production"))[0]["env"] == "production"


def test_what_no_longer_exists_is_not_taken() -> None:
    gone = Subject(service="billing", environment="old", region="ap")
    assert follow_up("pods", gone) == ({"env": "production"}, Subject())
    with pytest.raises(UsageError, match="needs the service"):
        follow_up("logs", gone)


def test_several_answers_are_read_newest_first_and_only_of_one_environment() -> None:
    def of(*typed: str) -> Subject:
        requests = [parse(split(text), REGISTRY, KNOWN, default_environment=None) for text in typed]
        return together(subject_of(each, KNOWN) for each in requests)

    assert of("status --env staging", "pods backend --env staging --region eu") == BACKEND
    both = Subject(environment="production", unsure="This thread is about production and staging")
    assert of("status --env production", "pods backend --env staging") == both
    assert of("logs backend-7c9f-x2lqp --env staging").service == "backend"
    assert of("rollback backend frontend --env staging").service is None


def test_what_changes_something_names_its_environment_where_the_thread_is_not_clear() -> None:
    both = together([Subject(environment="production"), Subject(environment="staging")])
    for about, why in ((UNREAD, "could not read this thread"), (both, "This thread is about production and staging")):
        for text in ("restart backend", "deploy v2.0.0", "rollback --to v1.0.0", "lock"):
            with pytest.raises(UsageError, match=why) as caught:
                follow_up(text, about)
            assert caught.value.question is not None
            assert set(caught.value.question.values) == {"production", "staging"}
            assert follow_up(f"{text} --env staging", about)[0]["env"] == "staging"
        for text in ("pods", "deploy v2.0.0 --dry-run", "rollback"):  # going back is not held up
            assert follow_up(text, about)[0]["env"] == "production"


def test_an_operation_takes_no_other_environment_from_an_answer_to_another_person() -> None:
    theirs = BACKEND.model_copy(update={"to_another": True})
    for text in ("restart", "rollback --to v1.0.0"):
        with pytest.raises(UsageError, match="newest answer in this thread was to another person, about staging"):
            follow_up(text, theirs)
        assert follow_up(f"{text} --env staging", theirs)[0]["env"] == "staging"
    for text in ("logs", "rollback"):
        assert follow_up(text, theirs)[0]["env"] == "staging"
    same = theirs.model_copy(update={"environment": "production"})
    assert follow_up("restart", same)[0]["env"] == "production"


def test_a_query_takes_the_service_that_an_answer_found_and_an_operation_does_not() -> None:
    def about(text: str, found: str = "") -> Subject:
        return subject_of(parse(split(text), REGISTRY, KNOWN, default_environment=None), KNOWN, found)

    diagnosed = about("diagnose --env staging", "backend")
    arguments, taken = follow_up("logs", together([diagnosed]))
    assert (arguments["target"], arguments["env"]) == ("backend", "staging")
    assert taken.told("production") == "backend in staging (this channel's default is production)"
    with pytest.raises(UsageError, match="needs the service"):
        follow_up("restart", together([diagnosed]))
    assert follow_up("logs frontend", together([diagnosed]))[0]["target"] == "frontend"
    looked = about("describe frontend --env staging")
    assert follow_up("logs", together([looked, diagnosed]))[0]["target"] == "frontend", "the newest comes first"
    assert follow_up("logs", together([diagnosed, looked]))[0]["target"] == "backend"
    assert follow_up("restart", together([diagnosed, looked]))[0]["service"] == "frontend"
    assert about("diagnose frontend --env staging", "backend").found is None, "what is typed wins"
