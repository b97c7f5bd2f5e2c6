"""The whole world for a story: sandbox, bot, and what people there see and do. Used by `tests/kill` and `tests/bot/runs`.

A story's bot is `omnicare serve` as a process (`start`, `kill`, `stop`), or the same code inside the test's own process (`inside`),
which is faster and can't be killed. Waiting is for the thing itself, with a deadline, and a failure shows the thread as it stands.
"""

import asyncio
import json
import tomllib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from bot.audit import Entry, EventName, search_audit_logs, verify
from bot.surfaces.slack.render.button_values import read
from commands.kit.audit_filter import AuditFilter
from commands.kit.card import RunAct
from runbooks.fleet.fleet import EnvironmentRecord, Release
from runbooks.wording import short_id
from sandbox import configuration
from sandbox.cluster.resources import CONFIG_MAP, DEPLOYMENT, POD, Json
from sandbox.cluster.settings import Settings as ClusterSettings
from sandbox.people import DEPLOYS
from sandbox.postgres import Database
from sandbox.slack.model import Message, Outcome
from sandbox.slack.settings import SlackSettings
from sandbox.slack.workspace import Workspace
from sandbox.world import SandboxWorld, opened
from tests.support.forked_bot import ForkedBot
from tests.support.leaks import nothing_leaked
from tests.support.real import Place
from tests.support.shown import answer_among, run_of, shown_text

T = TypeVar("T")

REQUESTER, APPROVER, ON_CALL, AUDITOR, OUTSIDER = "maya", "tomas", "ines", "noor", "eli"
"""The sandbox's people: release manager, approver, on-call (who may approve too), auditor, somebody who is not listed."""
SERVICES = ("backend", "frontend")
PRODUCTION, STAGING = "omnicare-prod", "omnicare-staging"
REVISION = "deployment.kubernetes.io/revision"

PATIENCE = 300.0
"""Seconds for anything in a story: two cores are shared, and who else is at work on them is not known."""
_REDELIVERED = 120.0
_LOOK = 0.02

FAST_CLUSTER = ClusterSettings(
    start_seconds=(0.1, 0.2),
    slow_seconds=0.5,
    pull_retry_seconds=0.2,
    crash_seconds=0.05,
    restart_seconds=0.1,
    longest_restart_seconds=0.3,
    stop_seconds=0.05,
)
PATIENT_SLACK = SlackSettings(rate_limits=False, acknowledge_within=_REDELIVERED, trigger_lives=_REDELIVERED)
"""Delivers again for so long, as the real one does within its three seconds; here a restart of Python has to fit in."""
QUICK: dict[str, float] = {
    "abandoned_after": 600.0,
    "place_recheck": 1.0,
    "form_deadline": 30.0,
    "query_deadline": 60.0,
}
LIVELY: dict[str, object] = {"progress_seconds": 0.2, "edits_per_minute": 6000.0, "account_seconds": 30.0}


class Story:
    """One world and one bot in it, as a test drives it."""

    def __init__(self, world: SandboxWorld, stack: AsyncExitStack) -> None:
        self.world = world
        self._stack = stack
        self._inside: AsyncExitStack | None = None
        self._not_taken: list[str] = []
        """What Slack could not hand to the bot."""

    @property
    def slack(self) -> Workspace:
        return self.world.workspace

    # the bot

    async def start(self, crash_point: str = "", how: str = "KILL") -> None:
        """`omnicare serve`, which may end itself at a crash point."""
        await self.world.start_bot(
            {"OMNICARE_CRASH_POINT": crash_point, "OMNICARE_CRASH_SIGNAL": how} if crash_point else None
        )

    async def ended(self) -> int:
        """The process's exit status, once it has ended by itself."""
        assert self.world.bot is not None
        async with asyncio.timeout(PATIENCE):
            return await self.world.bot.wait()

    async def back_again(self) -> None:
        """The process ends by itself at its crash point; then a new one starts, which has none."""
        await self.ended()
        await self.start()

    async def kill(self) -> None:
        assert self.world.bot is not None
        await self.world.bot.kill()

    async def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.world.bot is not None
        return await self.world.bot.stop(PATIENCE)

    async def inside(self) -> None:
        """The bot in this very process."""
        from bot.app import running
        from bot.config import validate

        raw: dict[str, Any] = tomllib.loads(self.config.read_text(encoding="utf-8"))
        raw["slack"] |= {"bot_token": self.world.slack.bot_token, "app_token": self.world.slack.app_token}
        self._inside = await self._stack.enter_async_context(AsyncExitStack())
        self.bot = await self._inside.enter_async_context(running(validate(raw)))
        await self.until(lambda: self.slack.app_connected, "the bot is connected")

    async def leave(self) -> None:
        """Ends the bot that is inside; what it did not finish is in its files."""
        assert self._inside is not None
        await self._inside.aclose()

    @property
    def config(self) -> Path:
        return self.world.folder / "omnicare.toml"

    def configure(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Changes the configuration before the bot reads it."""
        document = tomllib.loads(self.config.read_text(encoding="utf-8"))
        change(document)
        self.config.write_text("\n".join(configuration._lines(document)) + "\n", encoding="utf-8")

    # waiting

    async def until(self, look: Callable[[], T | None], what: str, *, seconds: float = PATIENCE) -> T:
        """What `look` says once it is true."""
        try:
            async with asyncio.timeout(seconds):
                while not (found := look()):  # noqa: ASYNC110 - what is looked at is in several servers
                    await asyncio.sleep(_LOOK)
        except TimeoutError:
            raise AssertionError(f"never seen within {seconds:g} s: {what}\n{self.describe()}") from None
        return found

    def describe(self) -> str:
        """Everything that helps to see why."""
        said = [f"  {self._who(message)}: {message.text}" for message in self.messages()]
        alone = [
            f"  {who.handle}: {each.text}" for who in self.slack.people.values() for each in self.slack.ephemerals(who)
        ]
        log = self.world.bot.tail(40) if self.world.bot else ""
        events = [f"  {event.name} {event.id}" for event in self.events()]
        parts = {
            "what was said:": said,
            "what one person alone can read:": alone,
            "what did not reach the bot:": self._not_taken,
            "what the audit log has:": events,
            "the bot's log:": [log],
        }
        return "\n".join(line for title, lines in parts.items() for line in (title, *lines))

    def _who(self, message: Message) -> str:
        return (message.metadata or {}).get("event_payload", {}).get("slot") or message.user

    # people

    async def type(self, who: str, text: str, where: str = DEPLOYS, thread: str | None = None) -> Outcome:
        outcome = await self.slack.type(who, where, text, thread)
        if not outcome.ok:
            self._not_taken.append(f"  {text}: {outcome.error}")
        return outcome

    async def ask(self, text: str, who: str = REQUESTER, where: str = DEPLOYS) -> str:
        """Types `/omnicare …`; the run that it started."""
        before = set(self.runs())
        outcome = await self.type(who, f"/omnicare {text}", where)
        assert outcome.ok, outcome.error

        def begun() -> list[str]:
            # that the audit log was changed is said as a run is, without a head
            return [run for run in self.runs() if run not in before and "head" in self.said(run)]

        (run,) = await self.until(begun, f"`{text}` has a head message")
        return run

    def button(self, action: str, run: str | None = None) -> tuple[Message, Json, Json] | None:
        """The newest button whose name begins so: (message, block, element)."""
        for message in reversed(self.messages()):
            if run is not None and (message.metadata or {}).get("event_payload", {}).get("run") != run:
                continue
            for block in message.blocks:
                for element in block.get("elements", ()):
                    if isinstance(element, dict) and element.get("action_id", "").startswith(action):
                        return message, block, element
        return None

    def button_named(self, label: str) -> tuple[Message, Json, Json]:
        """The newest button with that label: (message, block, element)."""
        for message in reversed(self.messages()):
            for block in message.blocks:
                for element in block.get("elements", ()):
                    words = element.get("text") if isinstance(element, dict) else None
                    if isinstance(words, dict) and words.get("text") == label:
                        return message, block, element
        raise AssertionError(f"no button is called {label}\n{self.describe()}")

    async def shown(self, action: str, run: str | None = None) -> tuple[Message, Json, Json]:
        return await self.until(lambda: self.button(action, run), f"a button `{action}` of {run}")

    async def press(self, who: str, action: str, run: str | None = None) -> Outcome:
        """Clicks the newest button of that name, as soon as it is there."""
        return await self.click(who, await self.shown(action, run))

    async def click(self, who: str, button: tuple[Message, Json, Json]) -> Outcome:
        message, block, element = button
        value = element.get("value") or element["options"][0]["value"]
        return await self.slack.click(
            who,
            message.ts,
            message.channel,
            action_id=element["action_id"],
            block_id=block["block_id"],
            value=value,
        )

    async def fill(self, who: str, **values: str) -> Outcome:
        """Submits the form that is open for `who`."""
        view = (await self.until(lambda: self.slack.modals_of(who), f"a form for {who}"))[-1]
        state: Json = {}
        for block in view.view["blocks"]:
            element = block.get("element")
            if element is None:
                continue
            for name, value in values.items():
                if name in (block["block_id"], element["action_id"]):
                    state[block["block_id"]] = {element["action_id"]: value}
        assert len(state) == len(values), [block["block_id"] for block in view.view["blocks"]]
        return await self.slack.submit_view(who, view.id, state)

    async def stop_run(self, who: str, run: str, *, then: str = "stay") -> None:
        """*Cancel…*, and what is to follow, in its form."""
        await self.press(who, "cancel", run)
        await self.fill(who, then=then)

    async def whispered(self, who: str, words: str, where: str = "") -> Message:
        """What only `who` sees, with these words in it."""

        def look() -> Message | None:
            found = [message for message in self.slack.ephemerals(who, where) if words in shown_text(message)]
            return found[-1] if found else None

        return await self.until(look, f"{who} alone reads “{words}”")

    async def answered(self, words: str) -> str:
        """The newest message that anybody can read with these words in it, in full."""

        def look() -> str:
            return next((text for each in reversed(self.messages()) if words in (text := shown_text(each))), "")

        return await self.until(look, f"an answer says “{words}”")

    async def answer(self, who: str, text: str, words: str = "") -> str:
        """Types `/omnicare …`; the answer with these words in it, in full: neither what was there before nor what a run says meanwhile.

        Asks again, as people do, where it says instead that something did not answer in time.
        """
        for _ in range(20):
            before = self.messages()
            await self.type(who, f"/omnicare {text}")
            look = partial(lambda before: answer_among(self.messages(), before, words), before)
            if words in (said := await self.until(look, f"`{text}` is answered with “{words}”")):
                return said
        raise AssertionError(f"`{text}` was never answered with “{words}”, but with: {said}")

    async def rolling(self, version: str = "v2.1.0-slow", service: str = "backend") -> str:
        """A deploy in the middle of that service, where it stays until `let_ready`."""
        self.keep_unready(service, version)
        run = await self.ask(f"deploy {version}")
        await self.press(APPROVER, "approve", run)
        await self.until(lambda: self.tag(service) == version, f"the {service} is rolling")
        return run

    # what the cluster does

    def keep_unready(self, service: str = "backend", version: str = "v2.1.0-slow") -> None:
        """No pod of that image gets ready from now on, so a rollout of it lasts until `let_ready`."""
        self.world.cluster.faults.unready.add(f"/{service}:{version}")

    def let_ready(self, service: str = "backend", version: str = "v2.1.0-slow") -> None:
        self.world.cluster.let_ready(f"/{service}:{version}")

    # what is said

    def messages(self) -> list[Message]:
        """Everything the bot and people said anywhere, oldest first, direct messages and threads too."""
        found: dict[tuple[str, str], Message] = {}
        for channel in self.slack.channels:
            for head in self.slack.history(channel):
                found[channel, head.ts] = head
                if head.reply_count:
                    found |= {(channel, reply.ts): reply for reply in self.slack.replies(channel, head.ts)}
        return [found[key] for key in sorted(found, key=lambda key: key[1])]

    def said(self, run: str) -> dict[str, list[Message]]:
        """The run's messages, by slot."""
        slots: dict[str, list[Message]] = {}
        for message in self.messages():
            payload = run_of(message)
            if payload is not None and payload["run"] == run:
                slots.setdefault(payload["slot"], []).append(message)
        return slots

    def runs(self) -> list[str]:
        """Every run that has a message, oldest first."""
        return list(dict.fromkeys(payload["run"] for each in self.messages() if (payload := run_of(each))))

    def text(self, run: str, slot: str = "head") -> str:
        """What that message says in full, blocks included; empty where it is not there."""
        found = self.said(run).get(slot, [])
        return shown_text(found[-1]) if found else ""

    async def says(self, run: str, words: str, slot: str = "head", *, seconds: float = PATIENCE) -> str:
        """Waits until the message says so."""
        return await self.until(
            lambda: self.text(run, slot) if words in self.text(run, slot) else "",
            f"{slot} of run {short_id(run)} says “{words}”",
            seconds=seconds,
        )

    async def ended_with(self, run: str, words: str) -> None:
        """Waits until head and result say so, and the progress no longer moves."""
        await self.says(run, words, "result")
        await self.says(run, words)
        await self.until(lambda: "🔵" not in self.text(run, "progress"), "the progress has settled")

    async def deployed(self, version: str, *, ends: str = "", approver: str = APPROVER) -> str:
        """Asked for, approved, and ended so; the run."""
        run = await self.ask(f"deploy {version}")
        await self.press(approver, "approve", run)
        await self.ended_with(run, ends or f"{version} runs in production")
        return run

    def said_in(self, channel: str) -> list[str]:
        """The runs that have a message in that channel's main view."""
        return [payload["run"] for each in self.slack.history(channel) if (payload := run_of(each))]

    @staticmethod
    def word_of(element: Json) -> str:
        """The random word that a button of a run carries."""
        act = read(element["value"])
        assert isinstance(act, RunAct)
        return act.word

    # what is

    def deployment(self, service: str, namespace: str = PRODUCTION, region: str = "") -> Json:
        """In a region away from home, or in the one cluster."""
        cluster = self.world.regions[region].cluster if region else self.world.cluster
        found = cluster.store.get(DEPLOYMENT, namespace, service)
        assert found is not None
        return found

    def image(self, service: str, namespace: str = PRODUCTION, region: str = "") -> str:
        return str(self.deployment(service, namespace, region)["spec"]["template"]["spec"]["containers"][0]["image"])

    def tag(self, service: str, namespace: str = PRODUCTION, region: str = "") -> str:
        return self.image(service, namespace, region).partition("@")[0].rpartition(":")[2]

    def revision(self, service: str, namespace: str = PRODUCTION, region: str = "") -> int:
        return int(self.deployment(service, namespace, region)["metadata"]["annotations"][REVISION])

    def new_pods(self, service: str, version: str, namespace: str = PRODUCTION) -> int:
        """Ready pods of that version."""
        pods = self.world.cluster.pods(namespace)
        return sum(pod.deployment == service and pod.version == version and pod.ready for pod in pods)

    def pod_digests(self, service: str, namespace: str = PRODUCTION) -> set[str]:
        """What really runs: the digests that the pods of a service report."""
        return {
            status["imageID"].rpartition("@")[2]
            for pod in self.world.cluster.store.all(POD, namespace)
            if pod["metadata"]["labels"].get("app") == service and not pod["metadata"].get("deletionTimestamp")
            for status in pod["status"].get("containerStatuses", ())
        }

    def _record(self, name: str) -> dict[str, str]:
        found = self.world.cluster.store.get(CONFIG_MAP, "omnicare-bot", name)
        return dict(found.get("data") or {}) if found else {}

    def environment(self, name: str = "production") -> EnvironmentRecord:
        """The fleet's record, read as `kubectl` would."""
        data = self._record(f"environment-{name}")
        return EnvironmentRecord.model_validate({key: json.loads(value) for key, value in data.items()})

    def releases(self, name: str = "production") -> list[Release]:
        return [
            Release.model_validate(each) for each in json.loads(self._record(f"releases-{name}").get("releases", "[]"))
        ]

    # what is written

    @property
    def engine(self) -> Path:
        """The engine's database."""
        return self.world.folder / "state" / "engine.sqlite"

    @property
    def audit_log(self) -> Path:
        return self.world.folder / "state" / "audit.sqlite"

    def events(self, run: str | None = None) -> list[Entry]:
        """Oldest first."""
        if not self.audit_log.exists():
            return []
        return list(reversed(search_audit_logs([self.audit_log], AuditFilter(run=run, limit=1000))))

    def event_names(self, run: str) -> list[str]:
        return [str(event.name) for event in self.events(run)]

    def chain_holds(self) -> bool:
        return verify(self.audit_log) == []

    # what must hold at the end of a run

    def nothing_was_said_twice(self, run: str) -> None:
        slots = self.said(run)
        assert {slot: len(messages) for slot, messages in slots.items()} == dict.fromkeys(slots, 1), self.describe()
        texts = Counter((message.channel, message.text) for messages in slots.values() for message in messages)
        assert not [text for text, count in texts.items() if count > 1], self.describe()

    def nothing_is_written_twice(self, run: str) -> None:
        ids = Counter(event.id for event in self.events(run))
        assert not [each for each, count in ids.items() if count > 1]
        assert self.chain_holds()


DEPLOYED = [
    EventName.RUN_REQUESTED,
    EventName.RUN_PLANNED,
    EventName.APPROVAL_ASKED,
    EventName.COMMAND_ACCEPTED,
    EventName.APPROVAL_GIVEN,
    EventName.APPROVAL_GRANTED,
    EventName.RUN_STARTED,
    *(EventName.STEP_STARTED, EventName.STEP_FINISHED) * 5,
    EventName.RUN_SUCCEEDED,
]
"""The story of a deploy in the audit log: taking the Deployments, two rollouts, check, record."""


def _elsewhere(place: Place | None) -> dict[str, Any]:
    if place is None:
        return {}
    return {
        "kubeconfig": Path(place.kubeconfig),
        "namespaces": {"production": place.namespace},
        "record_namespace": place.environment.record_namespace,
    }


@asynccontextmanager
async def story(
    folder: Path,
    *,
    times: dict[str, float] | None = None,
    slack: SlackSettings = PATIENT_SLACK,
    cluster: ClusterSettings = FAST_CLUSTER,
    database: Database | None = None,
    elsewhere: Place | None = None,
    parts: Collection[str] = (),
    regions: Sequence[str] = (),
    bake: float = 0.2,
) -> AsyncIterator[Story]:
    """The world without a bot yet; `elsewhere`: its production is there, instead of in the sandbox's cluster; `parts`: of the release
    train (`sandbox.train.PARTS`); `regions`: production's, the home region first. At its end nothing that is private may have left it (`tests.support.leaks`)."""
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(
            opened(
                folder,
                times=QUICK | (times or {}),
                settings=slack,
                cluster=cluster,
                slack=LIVELY,
                database=database,
                parts=parts,
                regions=regions,
                bake=bake,
                process=ForkedBot,
                **_elsewhere(elsewhere),
            )
        )
        made = Story(world, stack)
        yield made
        nothing_leaked(world, made.messages())
