"""A write that only the run with the environment's lease makes, where no mark on the object itself can be a condition of it."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from runbooks.fleet.fleet import Fleet
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import StepContext
from runbooks.kit.targets import Environment
from runbooks.kit.waiting import unless_stopped

T = TypeVar("T")


async def require_lease(fleet: Fleet, environment: Environment, run: str) -> None:
    """Raise PermanentError(OVERTAKEN) where the run no longer has the environment's lease."""
    holds = (await fleet.read(environment)).run
    if holds is None or holds.run != run:
        holder = f"{holds.title} (run {holds.run})" if holds is not None else "nobody"
        raise PermanentError(f"This run no longer holds {environment.name}; {holder} does.", code=ReasonCode.OVERTAKEN)


async def while_held(context: StepContext, write: Callable[[], Awaitable[T]]) -> T:
    """Return what the write returns, which begins only while the run has the lease and nobody has asked it to stop."""

    async def held() -> T:
        await require_lease(context.use(Fleet), context.environment, context.run)
        return await write()

    return await unless_stopped(context.pulse, held())
