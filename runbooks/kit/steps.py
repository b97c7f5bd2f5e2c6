"""How a runbook says what is durable.

`await steps.run(rollout_step(change), rollouts.roll_out, cluster, change)` is a recorded step in the bot (finished ones are not
repeated after a crash) and a plain call in a test. A killed step runs again, so a step's function is idempotent: it looks at
what is there before it changes something.

A step's function takes a `Pulse` first: what it may say while it runs, and how it learns that somebody wants it to stop.
What it returns is JSON of a declared type (a pydantic model, or plain JSON), made from JSON on the first pass too. It fails by
raising a `RunbookError`; a `TemporaryError` is tried again after its `retry_after`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Concatenate, Literal, ParamSpec, Protocol, TypeVar, get_type_hints

from pydantic import TypeAdapter

from runbooks.kit.targets import Frozen

P = ParamSpec("P")
T = TypeVar("T")


class Stop(Frozen):
    """Somebody asked the run to stop: a person (cancel), or a rollback that takes its place."""

    kind: Literal["cancelled", "overtaken"]
    by: str
    """A person's name, or the run that takes over."""
    reason: str = ""


class Pulse(Protocol):
    """A running step's way to speak and to listen."""

    @property
    def run(self) -> str:
        """The run's id, which is stamped on what the step changes."""
        ...

    def say(self, detail: str) -> None:
        """Progress for people, such as "2/3 new pods ready". May be dropped; never waits."""
        ...

    async def stop(self) -> Stop:
        """Returns when somebody has asked the run to stop; until then it waits."""
        ...


class StepName(Frozen):
    """What a step is known by, how people read it, and what it changes."""

    key: str
    """Stable: `rollout:backend`. What a run did and what is left of it goes by keys and targets, never by titles."""
    title: str
    targets: tuple[str, ...] = ()
    """Names of the services that it changes."""


class Steps(Protocol):
    """Runs steps, durably or plainly."""

    @property
    def run_id(self) -> str:
        """The run's id."""
        ...

    async def run(
        self,
        step: StepName,
        function: Callable[Concatenate[Pulse, P], Awaitable[T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Runs one step; raises `RunbookError` as the step did."""
        ...

    async def hold_point(self, before: StepName) -> None:
        """A place between two steps where people may hold the run; returns at once where nobody does, else when it may go on."""
        ...


class Stopped(Exception):
    """A step saw the request to stop and ended early, leaving what it changed as it is."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(f"{stop.kind} by {stop.by}")
        self.stop = stop


class PlainPulse:
    """A pulse that remembers what was said, for tests and scripts."""

    def __init__(self, run: str) -> None:
        self._run = run
        self.said: list[str] = []
        self._stop: asyncio.Future[Stop] | None = None
        self._asked: Stop | None = None

    @property
    def run(self) -> str:
        return self._run

    def say(self, detail: str) -> None:
        self.said.append(detail)

    def ask_to_stop(self, stop: Stop) -> None:
        """What a person's *Cancel* does in the bot."""
        self._asked = stop
        if self._stop is not None and not self._stop.done():
            self._stop.set_result(stop)

    async def stop(self) -> Stop:
        if self._asked is not None:
            return self._asked
        if self._stop is None:
            self._stop = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._stop)


class PlainSteps:
    """Calls each step once, plainly, but passes its result through JSON as the durable one does."""

    def __init__(self, run_id: str, pulse: PlainPulse | None = None) -> None:
        self._run_id = run_id
        self.pulse = pulse or PlainPulse(run_id)
        self.finished: list[StepName] = []

    @property
    def run_id(self) -> str:
        return self._run_id

    async def run(
        self,
        step: StepName,
        function: Callable[Concatenate[Pulse, P], Awaitable[T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        result = await function(self.pulse, *args, **kwargs)
        self.finished.append(step)
        adapter = result_adapter(function)
        return adapter.validate_json(adapter.dump_json(result))

    async def hold_point(self, before: StepName) -> None:
        """Nobody holds it."""


def result_adapter(function: Callable[..., Awaitable[T]]) -> TypeAdapter[T]:
    """Reads and writes what a step returns, by its declared return type."""
    return TypeAdapter(get_type_hints(function)["return"])
