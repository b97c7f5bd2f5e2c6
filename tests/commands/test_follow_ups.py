"""The buttons under an answer: filled with what it is about, and no more than help."""

from datetime import UTC, datetime

from commands.kit import registry
from commands.kit.card import Button, Card, CardSubject, OpenForm, State, Typed, words
from commands.kit.command import Command
from commands.kit.follow_ups import MOST, follow_ups, refreshed, with_buttons

MENU = registry.load()
NOW = datetime(2026, 11, 29, 22, 0, 7, tzinfo=UTC)


def card(state: State | None = State.DONE, *buttons: Button, about: CardSubject | None = None) -> Card:
    return Card(title=words("x"), summary="x", state=state, buttons=buttons, about=about)


def offered(request: Command, answer: Card) -> dict[str, str]:
    found = [button for _, button in follow_ups(request, answer, MENU.find)]
    return {button.label: button.does.text for button in found if isinstance(button.does, Typed)}


def test_a_healthy_answer_leads_on_and_one_with_trouble_to_its_cause() -> None:
    status = MENU.make("status", {"env": "staging"})
    assert offered(status, card()) == {
        "Diagnose": "diagnose --env staging",
        "Pods": "pods --env staging",
        "Runs": "runs --env staging",
    }
    ill = offered(status, card(State.FAILED))
    assert list(ill.items())[:2] == [("Diagnose", "diagnose --env staging"), ("Roll back", "rollback --env staging")]


def test_an_operation_is_asked_about_before_it_is_requested() -> None:
    status = MENU.make("status", {"env": "staging"})
    back = next(button for spec, button in follow_ups(status, card(State.FAILED), MENU.find) if spec.name == "rollback")
    assert back.style == "danger"
    assert back.confirm is not None
    assert back.confirm.title == "Roll back staging?"


def test_service_and_region_go_on_and_what_is_missing_is_asked() -> None:
    one = MENU.make("pods", {"service": "backend", "env": "production", "region": "us"})
    assert offered(one, card(None)) == {
        "Logs": "logs backend --region us --env production",
        "Describe": "describe backend --region us --env production",
        "Diagnose": "diagnose backend --region us --env production",
    }
    every = offered(MENU.make("pods", {"env": "production"}), card(None))
    assert every["Logs…"] == "logs --env production"
    assert every["Diagnose"] == "diagnose --env production"


def test_an_answer_may_be_about_more_than_was_named() -> None:
    pod = MENU.make("describe", {"target": "x2lqp", "env": "production"})
    found = offered(pod, card(State.FAILED, about=CardSubject(service="backend", target="backend-7c9f-x2lqp")))
    assert found["Logs"] == "logs backend-7c9f-x2lqp --env production"
    assert found["Diagnose"] == "diagnose backend --env production"


def test_what_the_card_has_already_is_not_offered_twice_and_five_are_enough() -> None:
    status = MENU.make("status", {"env": "staging"})
    own = [
        Button(label="Way back", does=OpenForm(command="rollback", filled={})),
        Button(label="All pods", does=Typed(text="pods --env staging")),
        Button(label="Sync", does=Typed(text="sync status --env staging")),
    ]
    answer = card(State.FAILED, *own)
    more = [button for _, button in follow_ups(status, answer, MENU.find)]
    assert [button.label for button in more] == ["Diagnose", "Runs"]
    answer, refresh = refreshed(status, answer, NOW)
    shown = with_buttons(answer, more, (refresh,)).buttons
    assert [button.label for button in shown] == ["Way back", "All pods", "Sync", "Diagnose", "Refresh"]
    assert len(shown) == MOST
    assert refresh.does == Typed(text="status --env staging", replaces=True)


def test_every_follow_up_is_a_command_that_there_is() -> None:
    for spec in MENU:
        for each in MENU.command(spec.name).meta.next:
            assert MENU.find(each.command) is not None, f"{spec.name}: {each.command}"
