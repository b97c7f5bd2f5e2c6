"""A workspace with one of everything in it, and an app that answers a little: to look at the page, and to test it.

`python -m sandbox.slack.page` shows it. The real sandbox has the real bot in its place.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.slack.model import Channel, Group, Json, Person
from sandbox.slack.page import sample_blocks as cards
from sandbox.slack.page.offers import CommandHint, Try
from sandbox.slack.page.world import Breakage, Pod
from sandbox.slack.workspace import Workspace

PEOPLE = (
    Person("U0MAYA", "maya", "Maya Lindqvist", "Release manager"),
    Person("U0TOMAS", "tomas", "Tomas Okafor", "Approver"),
    Person("U0INES", "ines", "Ines Moreau", "On-call"),
    Person("U0DANA", "dana", "Dana Petrov", "DBA"),
    Person("U0NOOR", "noor", "Noor Haddad", "Auditor"),
    Person("U0ELI", "eli", "Eli Brandt", "Outsider"),
)
CHANNELS = (
    ("C0DEPLOYS", "deploys", "Releases to production and staging"),
    ("C0INCIDENTS", "incidents", "When something is wrong"),
    ("C0GENERAL", "general", ""),
    ("C0STAGING", "staging", "Commands here go to staging"),
)
COMMANDS = (
    CommandHint("deploy", "deploy VERSION [--env ENV] [--dry-run]", "Deploy a release: backend, then frontend"),
    CommandHint("rollback", "rollback [SERVICE…] [--to VERSION]", "Go back to the last known good release"),
    CommandHint("status", "status [--env ENV]", "What runs, and whether it is well"),
    CommandHint("pods", "pods [SERVICE]", "Every pod with its image and age"),
    CommandHint("logs", "logs SERVICE|POD [--tail N] [--since 15m] [--grep REGEX]", "Log lines of all pods, redacted"),
    CommandHint("runs", "runs [RUN]", "What ran, and one run with its steps"),
    CommandHint("lock", "lock [--until 18:00] [--reason TEXT]", "Freeze an environment"),
    CommandHint("whoami", "whoami", "What you may do here, and why"),
    CommandHint("help", "help [COMMAND]", "Every command with an example"),
)


@dataclass(frozen=True, slots=True)
class SampleNight:
    """A scenario of the sample's own."""

    name: str
    sentence: str
    command: str


class SampleWorld:
    """Six pods that roll to another version when something is broken or reset."""

    breakages = (
        Breakage("registry", "Lose an image"),
        Breakage("node", "Crash a pod", "pods"),
        Breakage("slack", "Slack down"),
    )
    scenarios = (
        SampleNight("quota", "The quota allows the pods that run, and not one more.", "deploy v2.0.0"),
        SampleNight("taint", "All nodes have a taint that the backend does not tolerate.", "deploy v2.0.0"),
    )
    scenario_groups = (("Broken as soon as somebody deploys", scenarios),)
    kubeconfig_path = Path(".sandbox") / "kubeconfig"

    def __init__(self) -> None:
        self._pods = [self._pod("production", name, at) for name in ("backend", "frontend") for at in range(3)]
        self._pods += [self._pod("staging", name, 0) for name in ("backend", "frontend")]
        self._changed = asyncio.Event()
        self.played: list[SampleNight] = []

    @staticmethod
    def _pod(environment: str, name: str, at: int, version: str = "v1.2.0", phase: str = "Running") -> Pod:
        return Pod(environment, name, f"{name}-7c9f-x2lq{at}", version, phase, phase == "Running")

    def pods(self) -> list[Pod]:
        return list(self._pods)

    async def changes(self) -> AsyncIterator[None]:
        while True:
            await self._changed.wait()
            self._changed.clear()
            yield

    async def break_something(self, kind: str) -> str:
        self._pods[1] = self._pod("production", "backend", 1, "v2.0.0", "Pending")
        self._pods[2] = self._pod("production", "backend", 2, "v2.0.0", "ImagePullBackOff")
        self._changed.set()
        return f"Broken: {kind}. One backend pod can't pull its image now."

    async def switch(self, name: str, *, on: bool) -> str:
        self.played = [night for night in self.played if night.name != name]
        chosen = next(night for night in self.scenarios if night.name == name)
        self.played += [chosen] if on else []
        self._changed.set()
        return f"{chosen.sentence} Type: /omnicare {chosen.command}" if on else f"{name} is off."

    async def reset(self) -> None:
        self.__init__()  # type: ignore[misc]


class SampleApp:
    """The app's side: takes what is delivered, and answers as the bot's messages look."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.received: list[Json] = []
        self.answers = asyncio.Event()
        self.answers.set()
        self._numbers = itertools.count(1)
        workspace.delivery = self

    @property
    def connected(self) -> int:
        return 1

    async def refresh(self) -> None:
        return

    def announce(self, payload: Json) -> None:
        self.received.append(payload)
        event = payload["event"]
        if event["type"] == "app_home_opened":
            self._workspace.publish_home(event["user"], cards.home())

    async def deliver(self, kind: str, payload: Json) -> Json:
        self.received.append(payload)
        await self.answers.wait()
        if kind == "slash_commands":
            return self._command(payload)
        match payload["type"]:
            case "block_suggestion":
                found = [one for one in cards.VERSIONS if payload["value"] in one]
                return {"options": [cards.option(one) for one in found]}
            case "view_submission":
                return self._submitted(payload["view"])
            case "block_actions":
                self._action(payload)
        return {}

    def _command(self, payload: Json) -> Json:
        channel, text, user = payload["channel_id"], str(payload["text"]), str(payload["user_id"])
        if text.startswith("deploy"):
            version = [*text.split(), "v2.0.0"][1]
            words, blocks = cards.waiting(version)
            head = self._workspace.post(channel, self._workspace.app.user_id, words, blocks=blocks)
            plan, approval = cards.plan(version), cards.approval(version)
            for words, blocks in (plan, approval):
                self._workspace.post(channel, self._workspace.app.user_id, words, blocks=blocks, thread_ts=head.ts)
            return {}
        if text == "form":
            self._workspace.open_view(payload["trigger_id"], cards.form())
            return {}
        if text:
            return {"text": f"There is no `{text}`. Did you mean `deploy`?", "blocks": cards.unknown(text)}
        self._workspace.post_ephemeral(channel, user, "What you may do here", blocks=cards.menu())
        return {}

    def _action(self, payload: Json) -> None:
        action = payload["actions"][0]
        where, user = payload["container"], payload["user"]["id"]
        if action["action_id"] in {"deny", "form"}:
            self._workspace.open_view(
                payload["trigger_id"], cards.denial() if action["action_id"] == "deny" else cards.form()
            )
        elif action["action_id"] == "approve":
            words, blocks = cards.approved(user)
            self._workspace.update(where["channel_id"], where["message_ts"], text=words, blocks=blocks)
            words, blocks = cards.progress()
            self._workspace.post(
                where["channel_id"], self._workspace.app.user_id, words, blocks=blocks, thread_ts=where["thread_ts"]
            )

    def _submitted(self, view: Json) -> Json:
        values = view["state"]["values"]
        reason = (values.get("reason", {}).get("text") or {}).get("value") or ""
        if len(reason) < len("why"):
            return {"response_action": "errors", "errors": {"reason": "Say a little more: the requester reads this."}}
        return {}


def furnish(workspace: Workspace) -> SampleApp:
    """People, channels, and one of each message that the bot posts."""
    for person in PEOPLE:
        workspace.add_person(person)
    everybody = {person.id for person in PEOPLE} | {workspace.app.user_id}
    for channel_id, name, topic in CHANNELS:
        members = everybody - {"U0ELI"} if name == "incidents" else set(everybody)
        workspace.add_channel(Channel(channel_id, name, topic, members=members))
    workspace.add_group(
        Group("S0APPROVERS", "release-approvers", "Release approvers", frozenset({"U0TOMAS", "U0INES"}))
    )
    return SampleApp(workspace)


def fill(workspace: Workspace) -> str:
    """Post one of each; the address part of the thread that shows most of them."""
    app, deploys = workspace.app.user_id, "C0DEPLOYS"

    def say(words: str, blocks: list[Json], **more: Any) -> str:
        return workspace.post(deploys, app, words, blocks=blocks, **more).ts

    workspace.post(
        deploys,
        "U0MAYA",
        "Release notes for *v2.0.0* are in <https://example.com/notes|the wiki>. <@U0TOMAS>, could you look at it this afternoon? :eyes:",
    )
    workspace.post(deploys, "U0TOMAS", "Yes, after lunch.\n> could you look at it\n`backend` first, I suppose")
    head = say(*cards.running("v2.0.0"))
    for words, blocks in (cards.plan("v2.0.0"), cards.approved("U0TOMAS"), cards.progress(), cards.succeeded()):
        say(words, blocks, thread_ts=head)
    log = "\n".join(
        f"2026-11-24T14:05:{at % 60:02d}Z backend-7c9f-x2lq{at % 3} GET /health 200 {at} ms" for at in range(4000)
    )
    file = workspace.new_file("backend.log", log.encode(), size=len(log), user=app, mimetype="text/plain")
    workspace.share_files([file], deploys, app, text="4 000 lines of 3 pods, nothing left out", thread_ts=head)
    failed = say(*cards.failed_head())
    for words, blocks in (cards.failed_progress(), cards.failed()):
        say(words, blocks, thread_ts=failed)
    workspace.post("C0GENERAL", app, "One of each block", blocks=cards.everything())
    workspace.post("C0INCIDENTS", "U0INES", "Quiet night so far.")
    workspace.post_ephemeral(deploys, "U0MAYA", "You can't approve your own request.", blocks=cards.refusal())
    return head


def tries(workspace: Workspace) -> tuple[Try, ...]:
    def said(words: str) -> bool:
        return any(words in message.text for message in workspace.history("C0DEPLOYS"))

    return (
        Try("See what runs now", "/omnicare status", lambda: said("status")),
        Try("Ask for a release", "/omnicare deploy v2.0.0", lambda: said("needs your approval"), become="maya"),
        Try("Approve it as somebody else, in its thread", "", lambda: said("approved"), become="tomas"),
    )
