"""A process with nothing in it but `bot.runs` and a runbook of three steps, to be killed: `python -m tests.support.toy CONFIG`.

It takes orders by lines on its standard input (`ask KEY`, `back KEY`, `approve RUN`, `cancel RUN`) and answers each by a line. Its
steps write what they do into `steps.txt` and wait for a file of their own name before they end, so that a test says how far they go.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple, cast

from bot.app import Contexts
from bot.audit import Book, EventName
from bot.composition import DurableRuns, durable_runs
from bot.config import Settings, load
from bot.inbound import Surface
from bot.metrics import Metrics
from bot.policy.approvals import new_word
from bot.policy.people import People
from bot.policy.permissions import Permissions
from bot.runs.engine import Engine, EngineSettings
from bot.runs.model import Request, request_id
from commands.kit.card import Card, words
from commands.kit.command import Operation
from commands.kit.context import Context, Denied, Outcome
from commands.kit.follows import Follows
from commands.kit.policy import Risk
from commands.kit.registry import Registry
from commands.kit.spec import CHANNEL_DEFAULT, OperationMeta, option
from commands.kit.types import EnvironmentName
from runbooks.clients.health import HealthClient
from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.kit.plan import Image, ImageChange, Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Pulse, StepName, Steps
from runbooks.kit.targets import Frozen
from runbooks.kit.waiting import unless_stopped
from runbooks.redaction.redactor import default_redactor

NAMES = ("one", "two", "three")
STEPS = tuple(StepName(key=name, title=name, targets=("toy",) if name == "two" else ()) for name in NAMES)
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


async def work(pulse: Pulse, name: str) -> Done:
    """Begins, waits until it may go on or has to stop, ends."""
    Folder.write(f"{pulse.run.split('.')[1]} begins {name}")
    await unless_stopped(pulse, Folder.gate(name))
    Folder.write(f"{pulse.run.split('.')[1]} ends {name}")
    return Done(step=name, parts=(1, 2, 3))


class _Three(Operation, base=True):
    """Three steps, one after the other."""

    def title(self, environment: str) -> str:  # noqa: ARG002
        return "Three steps"

    async def plan(self, context: Context) -> Plan:  # noqa: ARG002
        before, after = Image.parse("r:a"), Image.parse("r:b")
        change = ImageChange(
            service="toy", namespace="n", deployment="d", container="c", before=before, after=after, replicas=1
        )
        return Plan(title="Three steps", changes=(change,))

    def outline(self, plan: Plan) -> tuple[StepName, ...]:  # noqa: ARG002
        return STEPS

    async def run(self, context: Context, plan: Plan, steps: Steps) -> Outcome:  # noqa: ARG002
        done = [await steps.run(step, work, step.key) for step in STEPS]
        assert all(each.parts == (1, 2, 3) for each in done), "a replay sees what the first pass saw"
        return Outcome(code=ReasonCode.SUCCEEDED, title="all three", data={"steps": [each.step for each in done]})

    def card(self, outcome: Outcome) -> Card:
        return Card(title=words(outcome.title), summary=outcome.title)


class Toy(_Three):
    """Three steps."""

    meta = OperationMeta(permission="rollout:write", risk=Risk.DISRUPTIVE, examples=[""])

    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)


class Back(_Three):
    """Three steps that come first."""

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
    book = Book.open(settings.bot.book_path, name="toy", redactor=default_redactor())
    async with book, ClusterClient(kubeconfig=str(environment.cluster.kubeconfig)) as client:
        registry = Registry([Toy, Back])
        context = partial(
            Contexts,
            settings,
            {"production": client},
            cast("RegistryClient", None),
            cast("HealthClient", None),
            permissions,
            book,
            Follows(),
        )
        made = durable_runs(
            settings=settings,
            registry=registry,
            permissions=permissions,
            book=book,
            messenger=None,
            engine=Engine(EngineSettings(database_url=settings.database_url())),
            context=context,
            clock=lambda: datetime.now(UTC),
            redact=str,
            metrics=Metrics(),
        )
        await made.engine.launch()
        yield Toys(made, People(settings))


async def ask(made: Toys, command: str, key: str) -> str:
    """Starts a request; the same key is the same request."""
    requester = made.people.actor(Surface.TERMINAL, "uid:1", "maya")
    request = Request(
        id=request_id("production", command, key),
        command=command,
        arguments={"env": "production"},
        environment="production",
        text=command,
        title="Three steps",
        requester=requester,
        channel=None,
        threaded=False,
        at=datetime.now(UTC),
    )
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


async def ended(made: Toys, run: str) -> str:
    """Its reason code and where it stopped, once it has ended."""
    while True:
        state = await made.runs.store.state(run)
        if state is not None and state.outcome is not None:
            return f"{state.outcome.code} {state.outcome.step or '-'}"
        await asyncio.sleep(LOOK)


async def obey(made: Toys, line: str) -> str:
    match line.split():
        case ["ask", key]:
            return await ask(made, "toy", key)
        case ["back", key]:
            return await ask(made, "back", key)
        case ["approve", run]:
            return await decide(made, "approve", "tomas", run)
        case ["cancel", run]:
            return await decide(made, "cancel", "maya", run)
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
