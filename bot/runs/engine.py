"""The workflow engine, as the rest of `bot.runs` sees it: named workflows over JSON, steps, messages, events.

DBOS keeps them in SQLite (or PostgreSQL). A workflow that was interrupted goes on when a process with the same executor id
starts; finished steps are not repeated. What DBOS does of itself and we do not want is turned off here, with the reason.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, PortableWorkflowError, SetWorkflowID
from dbos import _serialization as dbos_serialization
from dbos import _sys_db as dbos_database
from dbos import error as dbos_error
from sqlalchemy import event
from sqlalchemy.pool import Pool

from bot.runs.versions import APPLICATION_VERSION, TakenOver, take_over
from runbooks.kit import bugs
from runbooks.kit.targets import Frozen
from runbooks.kit.waiting import failed_inside

Json = Any
Workflow = Callable[[Json], Awaitable[Json]]

_log = logging.getLogger(__name__)


class DurableResult(Frozen):
    """What a durable step returns: made inside of it, where time, servers and configuration are looked at, and read outside, where
    nothing is but what was recorded. It is kept as JSON, so it holds no secret and no raw log.
    """


R = TypeVar("R", bound=DurableResult)


class PickleRefused(RuntimeError):
    """A row of the engine's database claims to be a pickle: unpickling runs code, so it is never done."""


class Broke(RuntimeError):
    """A step or a workflow ended by an exception that nobody foresaw, or did so before a restart.

    The engine keeps what is raised, and writes it into its database and the log: so nothing else of ours is raised through it, and
    nothing of what was read is in this one's words.
    """


def _refuse_pickle(_self: object, serialized_data: str) -> Any:  # noqa: ARG001 - the signature is DBOS's
    raise PickleRefused("a row of the engine's database is marked as a pickle; only JSON is read")


# Whatever serializer is configured, DBOS unpickles a row that is marked `py_pickle`: whoever can write one row could run code.
dbos_serialization.DefaultSerializer.deserialize = _refuse_pickle  # type: ignore[method-assign,assignment]


_NO_ROOM = ("database or disk is full", "disk I/O error")


def _worth_waiting(error: Exception) -> bool:
    """Return whether to wait, as DBOS does for a lock or a missing database, and also for a full disk: what is to be recorded is recorded once there is
    room, and until then nothing further happens. (Else the workflow would end by it, in the middle.)
    """
    known: bool = _worth_waiting_before(error)
    return known or any(words in str(getattr(error, "orig", error)) for words in _NO_ROOM)


_worth_waiting_before = dbos_database.retriable_sqlite_exception  # type: ignore[attr-defined]
dbos_database.retriable_sqlite_exception = _worth_waiting  # type: ignore[attr-defined,assignment]


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Where the engine keeps its state, and how fast it looks for news."""

    database_url: str
    """`sqlite:////path` or `postgresql://…`."""
    executor_id: str = "omnicare-0"
    """Of this replica: a StatefulSet's pod name. What it left unfinished goes on when it is back."""
    polling_seconds: float = 0.05
    """How long a message or an event may take to wake who waits for it (SQLite only; 1 s would be DBOS's default)."""


@dataclass(frozen=True, slots=True)
class WorkflowView:
    """A workflow, as a list shows it."""

    id: str
    input: Json
    active: bool
    failed: bool
    at: datetime
    updated: datetime
    version: str | None


class Engine:
    """One per process: DBOS is a singleton."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._launched_ms = 0
        self._workflows: dict[str, Workflow] = {}
        config: DBOSConfig = {
            "name": "omnicare",
            "system_database_url": settings.database_url,
            "executor_id": settings.executor_id,
            "application_version": APPLICATION_VERSION,
            "serializer": DBOSPortableJSONSerializer(),
            "notification_listener_polling_interval_sec": settings.polling_seconds,
            "log_level": "WARNING",
        }
        if settings.database_url.startswith("sqlite"):
            # SQLite has one writer: more connections only wait for its lock, each the longer the more there are.
            config["db_engine_kwargs"] = {"pool_size": 2, "max_overflow": 0}
            event.listen(Pool, "connect", _write_ahead)
        DBOS(config=config)

    def register(self, workflows: Mapping[str, Workflow]) -> None:
        """Register the workflows by the names under which they are stored; before the launch."""
        self._workflows = {name: DBOS.workflow(name=name)(_of_json(function)) for name, function in workflows.items()}

    async def launch(self) -> None:
        """Open the database and resume what was interrupted, in the loop that calls this."""
        self._launched_ms = int(time.time() * 1000)
        DBOS.launch()
        await asyncio.sleep(0)

    async def take_over(self) -> list[TakenOver]:
        """Resume what an older version of the bot left unfinished (`bot.runs.versions`), and return it; once, after the launch."""
        return await asyncio.to_thread(take_over, self._settings.executor_id)

    def destroy(self) -> None:
        """Close the database; for tests. A process just ends: what runs is durable."""
        DBOS.destroy(workflow_completion_timeout_sec=0, destroy_registry=True)
        # DBOS made its own threads the loop's, and has ended them: what is closed after it needs some too.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(thread_name_prefix="omnicare"))

    # from outside

    async def start(self, name: str, id: str, input: Json) -> None:  # noqa: A002 - a workflow has an id and an input
        """Start a workflow and return once it is in the database; an id that exists is the workflow that exists."""
        with SetWorkflowID(id):
            await DBOS.start_workflow_async(self._workflows[name], input)  # type: ignore[arg-type] # an async workflow

    async def send(self, id: str, message: Json, *, topic: str = "inbox", key: str | None = None) -> None:  # noqa: A002
        """Send a message to a workflow. The same `key` arrives once; inside a workflow this is a recorded step."""
        await DBOS.send_async(id, message, topic, idempotency_key=key)

    async def send_if_known(self, id: str, message: Json) -> None:  # noqa: A002
        """Send a message to a workflow that may have belonged to another engine, such as one whose disk was lost; then nobody gets it."""
        try:
            await self.send(id, message)
        except dbos_error.DBOSNonExistentWorkflowError:
            _log.warning("run %s is not known here, so it was not told", id)

    async def event(self, id: str, key: str, *, timeout: float = 0.0) -> Json:  # noqa: A002, ASYNC109 - DBOS waits, durably
        """Return what a workflow last said under `key`, or None within `timeout` seconds."""
        try:
            return await DBOS.get_event_async(id, key, timeout)
        except PickleRefused:
            _log.error("what %s says of itself is no JSON: somebody wrote into the engine's database", id)
            await asyncio.sleep(1.0)  # who asks again and again does not spin
            return None

    async def view(self, id: str) -> WorkflowView | None:  # noqa: A002
        """Return the workflow of that id."""
        found = await DBOS.list_workflows_async(workflow_ids=[id], load_output=False)
        return next(_views(found), None)

    async def list(
        self, *, name: str, prefix: str | list[str] | None = None, limit: int | None = None, active: bool = False
    ) -> list[WorkflowView]:
        """Return the workflows of one name, the newest first."""
        status = ["PENDING", "ENQUEUED", "DELAYED"] if active else None
        found = await DBOS.list_workflows_async(
            name=name, workflow_id_prefix=prefix, limit=limit, sort_desc=True, load_output=False, status=status
        )
        return list(_views(found))

    # inside a workflow

    async def step(self, name: str, function: Callable[[], Awaitable[Json]]) -> Json:
        """Run a recorded step and return its result, which is JSON; after a crash a finished step is not repeated."""

        # DBOS looks at the function to see whether it is to be awaited; a lambda would deceive it.
        async def once() -> Json:
            return await _or_broke(function())

        try:
            return await DBOS.run_step_async({"name": name}, once)
        except PortableWorkflowError as error:
            # as an earlier pass recorded it; by its module it would be taken for one of the engine's own
            said = error.message if error.name == Broke.__name__ else error.name
        raise Broke(said)

    async def recorded_step(self, name: str, result: type[R], function: Callable[[], Awaitable[R]]) -> R:
        """Run a recorded step and return its result of a declared type."""

        async def once() -> Json:
            return (await function()).model_dump(mode="json")

        return result.model_validate(await self.step(name, once))

    async def receive(self, *, topic: str = "inbox", timeout: float) -> Json:  # noqa: ASYNC109 - durable
        """Return the next message, or None after `timeout` seconds."""
        return await DBOS.recv_async(topic, timeout)

    async def publish(self, key: str, value: Json) -> None:
        """Publish a value that others may read with `event`."""
        await DBOS.set_event_async(key, value)

    @property
    def workflow_id(self) -> str:
        """The id of the running workflow."""
        found = DBOS.workflow_id
        assert found is not None, "not inside a workflow"
        return found

    async def recovered(self, id: str) -> bool:  # noqa: A002
        """Return whether the workflow began before this process did, so that a step may have been interrupted.

        To be asked inside a step or from outside: in a workflow's own body the answer would be recorded, and replayed.
        """
        view = await self.view(id)
        return view is None or view.at.timestamp() * 1000 < self._launched_ms


def _write_ahead(connection: Any, _record: object) -> None:
    """Turn on the write-ahead log: a commit is one append and one sync, and readers do not wait for it; `synchronous` stays FULL."""
    connection.execute("PRAGMA journal_mode=WAL")


async def _or_broke(act: Awaitable[Json]) -> Json:
    """Return the act's result; an exception that is not the engine's own is raised as `Broke`, with nothing chained to it."""
    try:
        return await act
    except BaseException as error:
        if isinstance(error, Broke) or type(error).__module__.startswith("dbos") or not failed_inside(error):
            raise
        _log.error("something ended by a bug", exc_info=error)
        said = bugs.told(error)
    raise Broke(said)


def _of_json(function: Workflow) -> Workflow:
    async def workflow(input: Json) -> Json:  # noqa: A002
        return await _or_broke(function(input))

    workflow.__qualname__ = workflow.__name__ = function.__name__
    return workflow


def _views(found: Iterable[Any]) -> Iterator[WorkflowView]:
    """Yield the workflows that can be read; one row that somebody else wrote does not hide the others."""
    for status in found:
        if isinstance(status.input, dict):
            yield _view(status)
        else:
            _log.error("the input of %s is no JSON: somebody wrote into the engine's database", status.workflow_id)


def _view(status: Any) -> WorkflowView:
    positional = status.input.get("args") or (None,)
    created = datetime.fromtimestamp((status.created_at or 0) / 1000, UTC)
    return WorkflowView(
        id=status.workflow_id,
        input=positional[0],
        active=status.status in ("PENDING", "ENQUEUED", "DELAYED"),
        failed=status.status in ("ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED", "CANCELLED"),
        at=created,
        updated=datetime.fromtimestamp((status.updated_at or 0) / 1000, UTC),
        version=status.app_version,
    )
