"""What a thread missed is few messages: nothing stale, nothing lost, what is over in one summary."""

from typing import Any

from bot.runs.model import Close, Show
from bot.runs.thread.backlog import caught_up
from commands.kit.card import Button, Card, RunAct, StepLine, StepList, StepStatus, words


def show(slot: str, text: str, *, asks: bool = False, steps: tuple[StepLine, ...] = ()) -> Any:
    buttons = (Button(label="Approve", does=RunAct(command="approve", run="r", word="w")),) if asks else ()
    body = (StepList(title="Deploy", steps=steps),) if steps else ()
    return Show(slot=slot, card=Card(title=words(text), summary=text, buttons=buttons, body=body)).model_dump(
        mode="json"
    )


CLOSE = Close().model_dump(mode="json")
STEP = StepLine(title="Backend rollout", status=StepStatus.DONE)


def slots(messages: list[Any]) -> list[str]:
    return [message.get("slot", message["kind"]) for message in messages]


def test_only_the_newest_state_of_each_message_is_sent():
    found = caught_up([show("head", "one"), show("progress", "a"), show("head", "two"), show("progress", "b")], ())
    assert [(each["slot"], each["card"]["summary"]) for each in found] == [("head", "two"), ("progress", "b")]


def test_what_still_asks_is_asked_with_its_invitations():
    found = caught_up([show("plan", "p"), show("approval", "a", asks=True), show("invitation-0-tomas", "i")], ())
    assert slots(found) == ["plan", "approval", "invitation-0-tomas"]


def test_nobody_is_woken_for_what_is_decided():
    missed = [
        show("approval", "a", asks=True),
        show("invitation-0-tomas", "i"),
        show("reminder", "r"),
        show("approval", "yes"),
    ]
    assert slots(caught_up(missed, ())) == ["approval"]


def test_a_run_that_is_over_is_one_summary_that_has_everything():
    missed = [
        show("plan", "the plan"), show("approval", "approved by Tomas"), show("progress", "p", steps=(STEP,)),
        show("result", "v2.0.0 runs"), show("head", "done"), CLOSE,
    ]  # fmt: skip
    found = caught_up(missed, {"head"})
    assert slots(found) == ["result", "head", "close"]
    said = str(found[0]["card"])
    assert all(text in said for text in ("the plan", "approved by Tomas", "Backend rollout", "Slack was unavailable"))


def test_messages_that_stand_in_the_thread_are_edited_and_not_folded():
    missed = [show("progress", "settled", steps=(STEP,)), show("result", "v2.0.0 runs"), show("broadcast", "b"), CLOSE]
    found = caught_up(missed, {"head", "plan", "approval", "progress"})
    assert slots(found) == ["progress", "result", "broadcast", "close"]
    assert "Slack was unavailable" not in str(found[1]["card"])
