"""Names, reasons and logs that want to be markup stay words on every surface: Slack's blocks and texts, a terminal."""

# ruff: noqa: ARG002 - the arguments of a directory

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from bot.dispatch.answers import refusal_card, usage_card
from bot.policy.approvals import ApprovalDecision
from bot.runs import cards
from bot.runs.model import Request
from bot.surfaces.slack.render.blocks import drawn
from bot.surfaces.terminal.plain import lines
from bot.surfaces.terminal.words import Audience
from commands.kit.card import Card, State, StepLine, StepStatus
from commands.kit.context import Actor, Outcome
from commands.kit.endings import ending_card
from commands.kit.parsing import UsageError
from commands.kit.registry import load
from runbooks.kit.diagnosis import UsualCause
from runbooks.kit.reasons import ReasonCode
from sandbox.slack.limits import check_message
from tests.support.thresholds import DEPLOYS, NOON, REQUESTER

MARKUP = [
    "<!channel>",
    "<!here|x>",
    "<@U1REQUESTER>",
    "<http://evil.example|Approve>",
    "`code` *bold* _x_ ~y~",
    "\u202egnp.exe\u2066",
    "\x1b[2J\x1b]0;owned\x07",
    "\r\n🟢 Approved by Approver",
    "&lt;!channel&gt;",
    ":rotating_light:",
    "\u009b31m",
    "x\u200b\u2028Approve\u00ad\u2060\U000e0041",
]
UNSEEN = "\u202e\u2066\x1b\x07\u009b\u200b\u2028\u00ad\u2060\U000e0041"


class _Names:
    """A directory whose names are markup."""

    def __init__(self, name: str) -> None:
        self._name = name

    def by_slack(self, account: str) -> str | None:
        return None

    def slack_id(self, key: str) -> str | None:
        return REQUESTER

    def name(self, key: str) -> str:
        return self._name


def _cards(nasty: str, request: Request) -> list[Card]:
    """Every card in which words of others stand."""
    decision = ApprovalDecision(act="deny", by="approver", name=nasty, at=NOON, reason=nasty)
    outcome = Outcome(
        code=ReasonCode.CRASH_LOOP,
        title=nasty,
        lines=(nasty,),
        message=nasty,
        evidence=(nasty, nasty),
        log=(nasty,),
        causes=(UsualCause(cause=nasty, to_do=nasty),),
        advice=(nasty,),
        kubectl=(f"kubectl get pods # {nasty}",),
        run=request.id,
        environment="production",
    )
    step = StepLine(title=nasty, status=StepStatus.RUNNING, detail=nasty)
    return [
        cards.head_card(request, State.WAITING, nasty),
        cards.progress_card(request, (step,), elapsed=1.0, word="word"),
        ending_card(outcome),
        refusal_card(nasty, ReasonCode.NOT_PERMITTED, advice=(nasty,)),
        usage_card(
            UsageError(nasty, usage=nasty, example=nasty, form=("deploy", {"version": nasty}), choices=(nasty,))
        ),
        Card(title=cards.decision_text((decision,), nasty), summary=nasty),
    ]


def _live(blocks: Any) -> Iterator[str]:
    """The texts in blocks that Slack would look for markup in, and the addresses and people that are live."""
    if isinstance(blocks, dict):
        if blocks.get("type") == "mrkdwn":
            yield blocks["text"]
        if blocks.get("type") == "link":
            yield f"<{blocks['url']}>"
        if blocks.get("type") in ("user", "usergroup", "broadcast"):
            yield f"<{blocks['type']}>"
    for each in blocks.values() if isinstance(blocks, dict) else blocks if isinstance(blocks, list) else ():
        yield from _live(each)


def _without_values(blocks: Any) -> Any:
    """What is seen: a button's value is not."""
    if isinstance(blocks, dict):
        return {key: _without_values(each) for key, each in blocks.items() if key != "value"}
    return [_without_values(each) for each in blocks] if isinstance(blocks, list) else blocks


@pytest.mark.parametrize("nasty", MARKUP, ids=[str(n) for n in range(len(MARKUP))])
@pytest.mark.parametrize("newest", [True, False])
def test_words_of_others_stay_words_in_slack(nasty: str, newest: bool) -> None:
    for card in _cards(nasty, _request(nasty)):
        shown = drawn(card, _Names(nasty), newest=newest)
        check_message(shown.text, shown.blocks)
        for text in (shown.text, *_live(shown.blocks)):
            assert not [sign for sign in ("<!", "<@", "<http", "<#", "<user", "<broadcast") if sign in text], text
            assert ":rotating_light:" not in text or text == shown.text
        everything = json.dumps(_without_values(shown.blocks), ensure_ascii=False) + shown.text
        assert not [sign for sign in UNSEEN if sign in everything]


@pytest.mark.parametrize("newest", [True, False])
def test_words_of_others_begin_no_line_of_a_card(newest: bool) -> None:
    """A line break in a pod's name, a reason or a message of Kubernetes is no line of ours, such as one that says who approved."""
    said = "Approved by Approver"
    nasty = f"x\r\n{said}\n\n{said}\v{said}\u2028{said}"
    for card in _cards(nasty, _request(nasty)):
        shown = drawn(card, _Names(nasty), newest=newest)
        for text in (shown.text, *_of_kind(_without_preformatted(shown.blocks), "text")):
            assert not [line for line in text.splitlines() if line.lstrip("🟢🟡🔵🔴⚪ •").startswith(said)], text


def _without_preformatted(blocks: Any) -> Any:
    """What stands in a frame of its own has lines, and poses as nothing."""
    if isinstance(blocks, dict):
        return {key: _without_preformatted(each) for key, each in blocks.items()}
    if not isinstance(blocks, list):
        return blocks
    kept = [each for each in blocks if not (isinstance(each, dict) and each.get("type") == "rich_text_preformatted")]
    return [_without_preformatted(each) for each in kept]


def _of_kind(blocks: Any, name: str) -> Iterator[str]:
    if isinstance(blocks, dict) and isinstance(blocks.get(name), str):
        yield blocks[name]
    for each in blocks.values() if isinstance(blocks, dict) else blocks if isinstance(blocks, list) else ():
        yield from _of_kind(each, name)


@pytest.mark.parametrize("nasty", MARKUP, ids=[str(n) for n in range(len(MARKUP))])
def test_words_of_others_do_not_drive_a_terminal(nasty: str) -> None:
    reader = Audience(now=NOON + timedelta(minutes=5), names={"requester": nasty}, spec=load().find)
    for card in _cards(nasty, _request(nasty)):
        for line in lines(card, reader):
            assert not [sign for sign in line if sign in UNSEEN + "\r\n"], line
            assert not line.startswith("🟢")


def _request(nasty: str) -> Request:
    return Request(
        id="production.deploy.0a1b2c3d4e5f6",
        command="deploy",
        arguments={"version": "v2.0.0", "env": "production"},
        environment="production",
        text=nasty,
        title=nasty,
        requester=Actor(key="requester", name=nasty),
        channel=DEPLOYS,
        at=NOON,
        reason=nasty,
        ticket=nasty,
    )
