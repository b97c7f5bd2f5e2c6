"""The composition root: the only module that builds concrete things, and the one that takes them apart again, in reverse.

`serve` is the whole life of the process: open the audit log, launch the engine, connect Slack, listen on the terminal's socket, and on
SIGTERM drain: what was taken is handed over, short things end, and what is long goes on when the next process starts.
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

from bot.audit import AuditLog, AuditLogUnavailable, Event, EventName
from bot.boundary import logs
from bot.boundary.accounts import Identity
from bot.boundary.outbound import Messenger
from bot.clients import Clients, open_clients
from bot.composition import DurableRuns, durable_runs, make_dispatcher
from bot.config import Settings
from bot.dispatch.dispatcher import Dispatcher
from bot.policy.people import People
from bot.policy.permissions import Permissions
from bot.process import crash_points
from bot.process.metrics import ProcessMetrics
from bot.process.process_lock import account_name, held, somebody_waits
from bot.process.supervision import Supervisor
from bot.reference.manual import HERE
from bot.runs.decisions import EngineRuns
from bot.runs.engine import Engine, EngineSettings
from bot.runs.heads import KeptHeads
from bot.runs.heads_elsewhere import HeadCopies
from bot.runs.heads_told import COMPARE_SECONDS, Telling, compared
from bot.runs.scheduled_drills import ScheduledDrills
from bot.surfaces.http.server import Web
from bot.surfaces.terminal.server import SocketServer
from commands.kit import registry
from commands.kit.context import Actor, Context
from commands.kit.follows import Follows
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.fleet.fleet import Fleet
from runbooks.gates.signatures import Signers
from runbooks.kit.errors import RunbookError
from runbooks.redaction.redactor import Redactor, default_redactor
from runbooks.wording import short_id

_log = logging.getLogger(__name__)


class Contexts:
    """Makes what a command is given: one client for each server, for the life of the process."""

    def __init__(
        self,
        settings: Settings,
        clients: Clients,
        permissions: Permissions,
        audit_log: AuditLog,
        follows: Follows,
        runs: EngineRuns,
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._patience = settings.patience()
        self._permissions = permissions
        self._audit_log = audit_log
        self._fleets = {name: Fleet(client) for name, client in clients.clusters.items()}
        self._environments = {name: settings.environment(name) for name in settings.environments}
        self._runs = runs
        self._follows = follows

    def __call__(
        self,
        actor: Actor,
        environment: str | None,
        *,
        run_id: str | None = None,
        approved_by: tuple[str, ...] = (),
        reason: str | None = None,
    ) -> Context:
        home = environment or next(iter(self._environments))
        return Context(
            actor=actor,
            environment=self._environments[environment] if environment else None,
            environments=self._environments,
            cluster=self._clients.clusters[home],
            registry=self._clients.images,
            fleet=self._fleets[home],
            health=self._clients.health,
            clients={**self._clients.environments[home], Signers: Signers(self._permissions.signing_roles)},
            others=partial(self, actor),
            regions=self._clients.regions.get(home, {}),
            patience=self._patience,
            runs=self._runs,
            follows=self._follows,
            audit_log=self._audit_log,
            authority=self._permissions,
            policies=self._settings.policies(home),
            menu=tuple(registry.load()),
            now=datetime.now(UTC),
            deadline=self._settings.times.query_deadline,
            run_id=run_id,
            approved_by=approved_by,
            reason=reason,
        )


@dataclass(slots=True, kw_only=True)
class Bot:
    """The running bot, for who started it."""

    durable: DurableRuns
    dispatcher: Dispatcher
    runs: EngineRuns
    audit_log: AuditLog
    metrics: ProcessMetrics
    web: Web
    ready: Callable[[], bool]
    drain: Callable[[], Awaitable[None]]
    """Takes nothing new, and waits for what is being taken or answered: terminal, Slack, probes."""


@asynccontextmanager
async def running(settings: Settings, *, foreground: bool = False) -> AsyncIterator[Bot]:
    """Builds everything and takes it apart again. Raises what can't be opened. `foreground`: in a terminal, without Slack."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(held(settings.bot.state, foreground=foreground))
        redactor = default_redactor()
        redactor.learn(_secrets(settings))
        audit_log = await _audit_log(settings, stack)
        people = People(settings)
        metrics = ProcessMetrics()
        supervisor = Supervisor(metrics.failed)
        slack = None if foreground else _slack(settings, people, redactor, supervisor)
        identity: Identity | None = slack.identity if slack else None
        messenger: Messenger | None = slack.messenger if slack else None
        permissions = Permissions(settings, people, identity)
        clients = await open_clients(settings, stack)
        menu, follows = registry.load(), Follows()
        runs = durable_runs(
            settings=settings,
            registry=menu,
            permissions=permissions,
            audit_log=audit_log,
            messenger=messenger,
            engine=_engine(settings),
            context=partial(Contexts, settings, clients, permissions, audit_log, follows),
            clock=_now,
            redact=redactor,
            metrics=metrics,
        )
        copies = _heads(runs, settings, audit_log, messenger, stack)
        await runs.recovery.look_back()
        await runs.engine.launch()
        stack.callback(runs.engine.destroy)
        await runs.recovery.at_start()
        dispatcher = make_dispatcher(
            runs,
            settings=settings,
            registry=menu,
            people=people,
            permissions=permissions,
            audit_log=audit_log,
            identity=identity,
            metrics=metrics,
            redact=redactor,
            clock=_now,
            of_the_machine=tuple(HERE),
        )
        answered = await compared(settings, runs.context, audit_log, runs.heads, seconds=COMPARE_SECONDS)
        await _note(audit_log, EventName.BOT_STARTED, settings, slack=slack is not None)
        socket = SocketServer(
            settings.bot.socket_path,
            dispatcher,
            runs.decisions,
            redact=redactor,
            name=people.name,
            short=short_id,
            may_choose=settings.bot.sandbox,
        )
        web = Web(metrics, _checks(audit_log, runs.heads, clients.clusters, slack), dead=supervisor.dead)
        edges = await stack.enter_async_context(AsyncExitStack())
        await _listen(web, settings, foreground=foreground)
        edges.push_async_callback(web.stop)
        await socket.start()
        edges.push_async_callback(socket.stop)
        if slack is not None:
            slack.open(dispatcher, suggest=dispatcher.suggestions, typed_for=dispatcher.typed_for)
            metrics.connections(slack.fresh_connections)
            runs.display.on_change(slack.changed)
            await slack.start()
            edges.push_async_callback(slack.close, drain=settings.times.drain)
        edges.callback(follows.stop_all, "because the bot is being restarted")
        edges.push_async_callback(supervisor.close)
        runs.recovery.in_background(supervisor)
        supervisor.start("copying the audit log's heads", partial(copies.each_day, answered))
        drills = ScheduledDrills(settings, menu, runs.submissions, _now)
        supervisor.start("asking for restore drills", drills.keep)
        if not foreground:
            supervisor.start("loading clients' libraries", clients.load)
        supervisor.start("finding ways back", partial(runs.manual_rollbacks.remember, settings.environments))
        yield Bot(
            durable=runs,
            dispatcher=dispatcher,
            runs=runs.decisions,
            audit_log=audit_log,
            metrics=metrics,
            web=web,
            ready=lambda: slack is None or slack.ready(),
            drain=edges.aclose,
        )


def _heads(
    runs: DurableRuns, settings: Settings, audit_log: AuditLog, messenger: Messenger | None, stack: AsyncExitStack
) -> HeadCopies:
    """Who is told of the audit log's heads, and where they are copied to."""
    compare = partial(compared, settings, runs.context, audit_log, runs.heads, seconds=60.0)
    telling, copies = (
        Telling(settings, messenger, _now),
        HeadCopies(settings, audit_log, runs.heads, messenger, compare),
    )
    runs.heads.tell, runs.heads.copy = telling.tell, copies.keep
    stack.callback(telling.stop)
    stack.callback(copies.stop)
    return copies


def _now() -> datetime:
    return datetime.now(UTC)


async def _listen(web: Web, settings: Settings, *, foreground: bool) -> None:
    """In a terminal at night another thing on that port stops nobody: any free one does."""
    try:
        await web.start(settings.bot.web_host, settings.bot.web_port)
    except OSError:
        if not foreground:
            raise
        await web.stop()
        await web.start("127.0.0.1", 0)


def _secrets(settings: Settings) -> list[bytes]:
    """What the bot itself holds: never to leave, whatever prints it."""
    tokens = (settings.slack.bot_token, settings.slack.app_token)
    held = [token.get_secret_value() for token in tokens]
    # the engine's database: its password as it stands in the address, and as the server is told it
    if password := urlsplit(settings.bot.database_url or "").password:
        held += [password, unquote(password)]
    return [value.encode() for value in held if value]


async def _audit_log(settings: Settings, stack: AsyncExitStack) -> AuditLog:
    state = settings.bot.state
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    audit_log = AuditLog.open(settings.bot.audit_log_path, name=settings.bot.executor, redactor=default_redactor())
    return await stack.enter_async_context(audit_log)


def _slack(settings: Settings, people: People, redactor: Redactor, supervisor: Supervisor) -> Any:
    """Slack's edge; None where it is turned off. Imported here: a bot without Slack needs none of it."""
    if not settings.slack.enabled:
        return None
    from bot.surfaces.slack.surface import SlackSurface

    return SlackSurface(
        settings.slack, names=people, redact=redactor, supervisor=supervisor, call_seconds=settings.times.slack_call
    )


def _engine(settings: Settings) -> Engine:
    engine = Engine(EngineSettings(database_url=settings.database_url(), executor_id=settings.bot.executor))
    if settings.bot.database_url is None:
        path = settings.bot.state / "engine.sqlite"
        path.touch(mode=0o600)
        path.chmod(0o600)
    return engine


async def _note(audit_log: AuditLog, name: EventName, settings: Settings, **details: object) -> None:
    now = datetime.now(UTC)
    with contextlib.suppress(AuditLogUnavailable):
        await audit_log.append(
            Event(
                id=f"{name}/{settings.bot.executor}/{os.getpid()}/{now.timestamp():.6f}",
                name=name,
                at=now,
                actor=settings.bot.executor,
                surface="bot",
                details={"user": account_name(os.geteuid()), **details},
            )
        )


def _checks(
    audit_log: AuditLog, heads: KeptHeads, clients: Mapping[str, ClusterClient], slack: Any
) -> dict[str, Callable[[], Any]]:
    """What `/readyz` asks."""

    async def writable() -> str | None:
        try:
            await audit_log.check()
        except AuditLogUnavailable as error:
            return str(error)
        return f"{heads.wrong}." if heads.wrong else None

    async def reachable() -> str | None:
        for name, client in clients.items():
            try:
                await client.version()
            except RunbookError as error:
                return f"{name}: {error.message}"
        return None

    async def connected() -> str | None:
        return None if slack is None or slack.ready() else "no fresh Socket Mode connection"

    return {"book": writable, "cluster": reachable, "slack": connected}


def _somebody_waits() -> None:
    _log.warning("the real bot is back and waits for this one to end: Ctrl-C hands over to it, with what runs")


def serve(settings: Settings, *, foreground: bool = False) -> int:
    """Until SIGTERM or SIGINT; the exit status."""
    logs.set_up(default_redactor().text)
    crash_points.arm(sandbox=settings.bot.sandbox)
    try:
        return asyncio.run(_serve(settings, foreground=foreground))
    except asyncio.CancelledError:  # stopped before it served: it may have waited for another one to end
        return 0


async def _serve(settings: Settings, *, foreground: bool) -> int:
    stopping = asyncio.Event()
    starting = asyncio.current_task()
    assert starting is not None
    serving = False
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, lambda: stopping.set() if serving else starting.cancel())
    async with running(settings, foreground=foreground) as bot:
        serving = True
        waits = asyncio.create_task(somebody_waits(settings.bot.state, _somebody_waits)) if foreground else None
        _log.info("serving", extra={"environments": ",".join(settings.environments), "web": bot.web.port})
        await stopping.wait()
        if waits is not None:
            waits.cancel()
        _log.info("draining")
        await bot.drain()
        await _note(bot.audit_log, EventName.BOT_STOPPED, settings)
        # What still runs is durable and goes on elsewhere. Taking the clients away under it first would only make it write down
        # failures that were none, so the process ends here, as it may end at any moment.
        logging.shutdown()
        os._exit(0)
