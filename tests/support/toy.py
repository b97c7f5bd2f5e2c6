"""A process with nothing in it but `bot.runs` and a plan of five steps of its own kinds, to be killed: `python -m tests.support.toy CONFIG`.

It takes orders by lines on its standard input (`ask KEY`, `approve RUN`, `retry RUN`, …) and answers each by a line. Its
steps write what they do into `steps.txt` and wait for a file of their own name before they end, so that a test says how far they go.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, cast

from pydantic import JsonValue

from bot.app import Contexts
from bot.audit import AuditLog, EventName
from bot.boundary.inbound import Surface
from bot.clients import clients_of
from bot.composition import DurableRuns, durable_runs
from bot.config import Settings, load
from bot.policy.approvals import new_word
from bot.policy.people import People
from bot.policy.permissions import Permissions
from bot.process.metrics import ProcessMetrics
from bot.runs.engine import Engine, EngineSettings
from bot.runs.model import Request, request_id
from commands.kit.card import Card
from commands.kit.command import Operation
from commands.kit.context import Context, Denied, Outcome
from commands.kit.endings import ending_card
from commands.kit.follows import Follows
from commands.kit.policy import Risk
from commands.kit.registry import Registry
from commands.kit.spec import CHANNEL_DEFAULT, OperationMeta, option
from commands.kit.types import EnvironmentName
from runbooks.clients.health import HealthClient
from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.kit.errors import PermanentError, TemporaryError
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Cell, Results, Shown, Step, StepContext, Stopped, Undo
from runbooks.kit.targets import Frozen
from runbooks.kit.waiting import unless_stopped
from runbooks.redaction.redactor import default_redactor

NAMES = ("one", "two", "three", "four", "five")
"""The last two go side by side."""
LOOK = 0.01


class Done(Frozen):
    """What a step gives back; a tuple, which JSON does not know."""

    step: str
    parts: tuple[int, ...]


class Folder:
    """Where the steps leave their traces."""

    path = Path()

    @classmethod
    def write(cls, line: str) -> None:
        with (cls.path / "steps.txt").open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    @classmethod
    async def gate(cls, name: str) -> None:
        while not (cls.path / name).exists():  # noqa: ASYNC110 - the test makes the file, in another process
            await asyncio.sleep(LOOK)


def undo(step: str, context: StepContext) -> None:
    """Leaves its trace; a bug where the test wants one."""
    if (Folder.path / f"bug-undo-{step}").exists():
        raise ZeroDivisionError
    Folder.write(f"{context.run.split('.')[1]} undoes {step}")


class ToyStep(Step):
    """Begins, waits until it may go on or has to stop, ends."""

    name: str
    remembered: ClassVar[bool] = True

    @property
    def target(self) -> str:
        return self.name

    @property
    def title(self) -> str:
        return f"Toy {self.name}"

    def changes(self) -> dict[str, JsonValue]:
        return {"toy": self.name}

    def shown(self) -> Shown:
        return Shown(columns=("Toy", "Next"), rows=((Cell(text=self.name), Cell(text="played", strong=True)),))

    def by_hand(self) -> tuple[str, ...]:
        return (f"toy play {self.name}",)

    def undo_by_hand(self) -> Undo:
        return Undo(leads_to="before", lines=(f"toy unplay {self.name}",))

    def goes_on(self) -> tuple[str, ...]:
        return (f"Toy {self.name} rolls on by itself.",)

    async def apply(self, context: StepContext) -> Done:
        who = context.run.split(".")[1]
        Folder.write(f"{who} begins {self.name}")
        if (Folder.path / f"fail-{self.name}").exists():
            raise PermanentError(f"Toy {self.name} is broken.", code=ReasonCode.SCRIPT_FAILED)
        if (Folder.path / f"bug-{self.name}").exists():
            raise ZeroDivisionError
        try:
            await unless_stopped(context.pulse, Folder.gate(self.name))
        except Stopped:
            if (Folder.path / "lingers").exists():
                Folder.write(f"{who} lingers in {self.name}")
                await Folder.gate("let-go")
            raise
        Folder.write(f"{who} ends {self.name}")
        return Done(step=self.name, parts=(1, 2, 3))


class Slow(ToyStep):
    """Takes long, and speaks."""

    kind: Literal["toy-slow"] = "toy-slow"

    async def apply(self, context: StepContext) -> Done:
        context.pulse.say("half of it")
        return await super().apply(context)


class Flaky(ToyStep):
    """Fails once where the test wants it, and is tried again by itself."""

    kind: Literal["toy-flaky"] = "toy-flaky"

    async def apply(self, context: StepContext) -> Done:
        stumble = Folder.path / "stumble"
        if stumble.exists():
            stumble.unlink()
            Folder.write("stumbled")
            raise TemporaryError("Toy two stumbled.", code=ReasonCode.SCRIPT_FAILED, retry_after=LOOK)
        return await super().apply(context)


class Undoable(ToyStep):
    """Can be undone; it replaces the pods of a service."""

    kind: Literal["toy-undoable"] = "toy-undoable"

    def replaces(self) -> dict[str, str | None]:
        return {"backend": "v1.2.0"}

    async def revert(self, context: StepContext) -> None:
        undo(self.name, context)


class Side(ToyStep):
    """Goes beside another."""

    kind: Literal["toy-side"] = "toy-side"

    async def revert(self, context: StepContext) -> None:
        undo(self.name, context)


STEPS = (
    Slow(name="one"),
    Flaky(name="two"),
    Undoable(name="three"),
    Side(name="four"),
    Side(name="five", beside=True),
)


class _Play(Operation, base=True):
    """Five steps of kinds that nobody but this module knows."""

    def title(self, environment: str) -> str:
        return f"Play in {environment}"

    async def plan(self, context: Context) -> Plan:  # noqa: ARG002
        return Plan(title="Play", steps=STEPS)

    def outcome(self, context: Context, plan: Plan, results: Results) -> Outcome:  # noqa: ARG002
        done = results.each(ToyStep, Done)
        assert all(each.parts == (1, 2, 3) for _, each in done), "a replay sees what the first pass saw"
        return Outcome(code=ReasonCode.SUCCEEDED, title="all", data={"steps": [each.step for _, each in done]})

    def card(self, outcome: Outcome) -> Card:
        return ending_card(outcome)


class Toy(_Play):
    """Five steps."""

    meta = OperationMeta(permission="rollout:write", risk=Risk.DISRUPTIVE, examples=[""])

    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)


class Careful(_Play):
    """Three steps that can be undone, and are where one fails."""

    meta = OperationMeta(permission="rollout:write", risk=Risk.DISRUPTIVE, examples=[""])

    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def plan(self, context: Context) -> Plan:  # noqa: ARG002
        return Plan(title="Play", steps=STEPS[2:], on_failure="revert")


class Back(_Play):
    """Five steps that come first."""

    meta = OperationMeta(permission="rollout:back", risk=Risk.DISRUPTIVE, examples=[""])

    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    @property
    def goes_back(self) -> bool:
        return True


class Toys(NamedTuple):
    """What the orders are given to."""

    runs: DurableRuns
    people: People


@asynccontextmanager
async def durable(settings: Settings) -> AsyncIterator[Toys]:
    """What `bot.app` builds, less every edge."""
    people = People(settings)
    permissions = Permissions(settings, people, None)
    environment = settings.environments["production"]
    settings.bot.state.mkdir(parents=True, exist_ok=True)
    audit_log = AuditLog.open(settings.bot.audit_log_path, name="toy", redactor=default_redactor())
    async with (
        audit_log,
        HealthClient() as health,
        ClusterClient(kubeconfig=str(environment.cluster.kubeconfig)) as client,
    ):
        registry = Registry([Toy, Careful, Back])
        context = partial(
            Contexts,
            settings,
            clients_of(settings, {"production": client}, cast("RegistryClient", None), health),
            permissions,
            audit_log,
            Follows(),
        )
        made = durable_runs(
            settings=settings,
            registry=registry,
            permissions=permissions,
            audit_log=audit_log,
            messenger=None,
            engine=Engine(EngineSettings(database_url=settings.database_url())),
            context=context,
            clock=lambda: datetime.now(UTC),
            redact=str,
            metrics=ProcessMetrics(),
        )
        await made.engine.launch()
        yield Toys(made, People(settings))


def request_of(made: Toys, command: str, key: str) -> Request:
    requester = made.people.actor(Surface.TERMINAL, "uid:1", "maya")
    return Request(
        id=request_id("production", command, key),
        command=command,
        arguments={"env": "production"},
        environment="production",
        text=command,
        title="Play in production",
        requester=requester,
        channel=None,
        threaded=False,
        at=datetime.now(UTC),
    )


async def ask(made: Toys, command: str, key: str) -> str:
    """Starts a request; the same key is the same request."""
    request = request_of(made, command, key)
    await made.runs.notes.write(request, EventName.RUN_REQUESTED)
    await made.runs.store.start(request)
    return request.id


async def decide(made: Toys, act: str, who: str, run: str) -> str:
    """As the dispatcher would; again while it is not yet asked."""
    actor = made.people.actor(Surface.TERMINAL, "uid:2", who)
    while True:
        try:
            await made.runs.decisions.decide(run, act, actor, reason=None, word=None)
        except Denied as denied:
            if denied.code not in (ReasonCode.NOT_WAITING, ReasonCode.NOT_RUNNING):
                return str(denied.code)
            await asyncio.sleep(LOOK)
        else:
            return "decided"


async def retry(made: Toys, run: str) -> str:
    """The run that tries it again."""
    actor = made.people.actor(Surface.TERMINAL, "uid:1", "maya")
    return str((await made.runs.decisions.retry(run, actor, reason=None)).data["run"])


async def following(made: Toys, run: str) -> str:
    """Where a run stands, as JSON: its state, and its steps as people see them."""
    while (state := await made.runs.store.state(run)) is None:  # noqa: ASYNC110 - the engine wakes nobody
        await asyncio.sleep(LOOK)
    record = await made.runs.decisions.find(run)
    return json.dumps({"state": state.model_dump(mode="json"), "steps": [each.model_dump() for each in record.steps]})


async def ended(made: Toys, run: str) -> str:
    """Its reason code and where it stopped, once it has ended."""
    while True:
        state = await made.runs.store.state(run)
        if state is not None and state.outcome is not None:
            return f"{state.outcome.code} {state.outcome.step or '-'}"
        await asyncio.sleep(LOOK)


async def obey(made: Toys, line: str) -> str:
    match line.split():
        case ["ask" | "careful" | "back" as command, key]:
            return await ask(made, "toy" if command == "ask" else command, key)
        case ["submit", key]:
            request = request_of(made, "toy", key)
            return await made.runs.submissions.submit(request, bounded=True) or request.id
        case ["start"]:
            await made.runs.recovery.at_start()
            return "started"
        case ["approve", run]:
            return await decide(made, "approve", "tomas", run)
        case ["cancel", run]:
            return await decide(made, "cancel", "maya", run)
        case ["hold" | "continue" as act, run]:
            return await decide(made, act, "maya", run)
        case ["retry", run]:
            return await retry(made, run)
        case ["follow", run]:
            return await following(made, run)
        case ["ended", run]:
            return await ended(made, run)
        case _:
            return f"what is {line!r}? {new_word()}"


async def main(config: Path) -> None:
    Folder.path = config.parent
    settings = load(config)
    async with durable(settings) as made:
        print("ready", flush=True)  # noqa: T201 - it is how the test hears of it
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := (await reader.readline()).decode():
            print(await obey(made, line), flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
