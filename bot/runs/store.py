"""What is durable of requests and runs: read from the engine's database, which every replica shares, and kept nowhere else.

There is no table of runs: a request is a workflow, found by the beginning of its id, and it publishes where it stands as one event.
"""

import asyncio
from typing import Literal

from bot.runs.engine import Engine, WorkflowView
from bot.runs.model import (
    Close,
    Ending,
    Escalation,
    FreeMessage,
    Request,
    RequestState,
    RunInput,
    closing_id,
    escalation_id,
    run_id,
    thread_id,
)
from commands.kit.card import Card, StepLine, StepStatus
from runbooks.kit.steps import UNDO


def request_of(view: WorkflowView) -> Request:
    """Return the input of a request's workflow."""
    return Request.model_validate(view.input)


class RunStore:
    """One per process."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def state(self, request: str) -> RequestState | None:
        """Return the request's state; None where there is no such request, or it is only just beginning."""
        return RequestState.read(await self.engine.event(request, "state"))

    async def open_requests(self, environment: str) -> list[Request]:
        """Return the environment's requests that have not ended."""
        views = await self.engine.list(name="request", prefix=f"{environment}.", active=True)
        return [request_of(view) for view in views]

    async def open_request(self, request: str) -> Request | None:
        """Return the request, unless it has ended."""
        view = await self.engine.view(request)
        return request_of(view) if view is not None and view.active else None

    async def ended_request(self, request: str) -> Request | None:
        """Return the request, where it and its run have ended; None also where it is not known here."""
        view, run = await asyncio.gather(self.engine.view(request), self.engine.view(run_id(request)))
        over = view is not None and not view.active and (run is None or not run.active)
        return request_of(view) if view is not None and over else None

    async def standing(self, request: str) -> Literal["open", "ended"] | None:
        """Return whether the request is open; None where the engine has none of that id, or not yet."""
        view = await self.engine.view(request)
        return None if view is None else "open" if view.active else "ended"

    async def has_run(self, request: str) -> bool:
        """Return whether its run has begun."""
        return await self.engine.view(run_id(request)) is not None

    async def done(self, request: str) -> set[str]:
        """Return the keys of the steps that the request's run has finished, and has not undone."""
        lines = [StepLine.model_validate(line) for line in await self.engine.event(run_id(request), "steps") or ()]
        undone = {line.key.removeprefix(UNDO) for line in lines if line.key and line.key.startswith(UNDO)}
        return {line.key for line in lines if line.status is StepStatus.DONE and line.key} - undone

    async def unwritten_end(self, request: str) -> Ending | None:
        """Return what the workflow `closing` writes for its run; None where the run wrote it by itself."""
        view = await self.engine.view(closing_id(request))
        return Ending.model_validate(view.input) if view is not None else None

    async def ended_without_record(self, environment: str) -> Request | None:
        """Return the rollback whose end is still to be written into a record that could not be read while it ran."""
        views = await self.engine.list(name="closing", prefix=f"{environment}.", active=True)
        endings = [Ending.model_validate(view.input) for view in views]
        return next((ending.request for ending in endings if ending.lease is not None), None)

    # what is handed to the engine

    async def start(self, request: Request) -> None:
        """Start the request and return once it is in the database; one that exists goes on."""
        await self.engine.start("request", request.id, request.model_dump(mode="json"))

    async def start_run(self, run: RunInput) -> None:
        """Start the run and return once it is in the database; one that exists goes on."""
        await self.engine.start("run", run_id(run.request.id), run.model_dump(mode="json"))

    async def close_later(self, ending: Ending) -> None:
        """Start the workflow `closing`, which writes the end; nobody waits for it."""
        await self.engine.start("closing", closing_id(ending.request.id), ending.model_dump(mode="json"))

    async def lease_is_free(self, request: str) -> None:
        """Let the request look for the lease again, if it waits for it."""
        await self.engine.send(request, FreeMessage().model_dump(mode="json"))

    async def escalate(self, escalation: Escalation) -> None:
        """Start the escalation: the failure is told again until somebody decides, and its thread stays open meanwhile."""
        await self.engine.start("vigil", escalation_id(escalation.request.id), escalation.model_dump(mode="json"))

    async def start_thread(self, request: Request, head: Card) -> None:
        """Start the request's thread with its first message; one that exists goes on."""
        first = {"request": request.model_dump(mode="json"), "head": head.model_dump(mode="json")}
        await self.engine.start("thread", thread_id(request.id), first)

    async def close_thread(self, request: str, *, key: str | None = None) -> None:
        """Close the request's thread; the same `key` does so once."""
        await self.engine.send(thread_id(request), Close().model_dump(mode="json"), key=key)
