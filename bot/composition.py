"""Builds the durable runs and the dispatcher, object by object, each given what it needs by its constructor.

The part of `bot.app` that tests build too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from bot.audit import AuditLog
from bot.boundary.accounts import Identity
from bot.boundary.outbound import Messenger
from bot.config import Settings
from bot.dispatch.act import Services
from bot.dispatch.dispatcher import Dispatcher
from bot.policy.people import People
from bot.policy.permissions import Permissions
from bot.process.metrics import ProcessMetrics
from bot.runs.decisions import EngineRuns
from bot.runs.display import Display
from bot.runs.engine import Engine
from bot.runs.escalation import Escalations
from bot.runs.execution.closing import Closings, EndWriter
from bot.runs.execution.workflow import Execution
from bot.runs.failures import Failures
from bot.runs.follow_up import FollowUps
from bot.runs.heads import KeptHeads
from bot.runs.lease import Leases
from bot.runs.leftovers import Leftovers
from bot.runs.manual_rollback import ManualRollbacks
from bot.runs.notes import AuditNotes
from bot.runs.pending import PendingRequests
from bot.runs.recovery import Recovery
from bot.runs.request.approval import Approval
from bot.runs.request.leasing import Leasing
from bot.runs.request.planning import Planning
from bot.runs.request.report import Report
from bot.runs.request.running import Running
from bot.runs.request.schedule import Schedule
from bot.runs.request.workflow import Requests
from bot.runs.services import MakesContext
from bot.runs.store import RunStore
from bot.runs.submission import Submissions
from bot.runs.thread.workflow import Threads
from commands.kit.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class DurableRuns:
    """What the edges and the process work with. None of the parts is given the whole."""

    engine: Engine
    store: RunStore
    pending: PendingRequests
    notes: AuditNotes
    heads: KeptHeads
    display: Display
    decisions: EngineRuns
    submissions: Submissions
    manual_rollbacks: ManualRollbacks
    recovery: Recovery
    context: MakesContext


def durable_runs(
    *,
    settings: Settings,
    registry: Registry,
    permissions: Permissions,
    audit_log: AuditLog,
    messenger: Messenger | None,
    engine: Engine,
    context: Callable[[EngineRuns], MakesContext],
    clock: Callable[[], datetime],
    redact: Callable[[str], str],
    metrics: ProcessMetrics,
) -> DurableRuns:
    """Everything, with its workflows known to the engine, which is not launched yet. `context`: what commands are given, made with the runs."""
    times = settings.times
    channels = {name: environment.channel for name, environment in settings.environments.items()}
    store, pending, display = RunStore(engine), PendingRequests(), Display(messenger)
    heads = KeptHeads(audit_log)
    notes = AuditNotes(audit_log, heads, registry, clock)
    follow_ups = FollowUps(registry, notes, clock)
    decisions = EngineRuns(
        store=store,
        settings=settings,
        registry=registry,
        permissions=permissions,
        notes=notes,
        display=display,
        follow_ups=follow_ups,
        clock=clock,
    )
    made = context(decisions)
    failures, ends, manual_rollbacks = Failures(redact), EndWriter(made, heads), ManualRollbacks(made, clock)
    leftovers = Leftovers(settings, made, audit_log, heads, clock)
    leases = Leases(
        context=made,
        store=store,
        registry=registry,
        ends=ends,
        notes=notes,
        put_back=leftovers.put_back,
        display=display,
        failures=failures,
        times=times,
        clock=clock,
    )
    requests = Requests(
        engine=engine,
        store=store,
        registry=registry,
        display=display,
        pending=pending,
        planning=Planning(made, store, notes, failures, times),
        leasing=Leasing(engine, leases, permissions, settings),
        approval=Approval(
            settings=settings, permissions=permissions, store=store, notes=notes, context=made, clock=clock
        ),
        schedule=Schedule(permissions, notes, clock),
        running=Running(
            store=store,
            display=display,
            pending=pending,
            follow_ups=follow_ups,
            permissions=permissions,
            settings=settings,
            clock=clock,
        ),
        report=Report(
            store=store,
            leases=leases,
            notes=notes,
            display=display,
            pending=pending,
            manual_rollbacks=manual_rollbacks,
            registry=registry,
            metrics=metrics,
            times=times,
            clock=clock,
        ),
    )
    runs = Execution(
        settings=settings,
        registry=registry,
        context=made,
        store=store,
        notes=notes,
        display=display,
        ends=ends,
        manual_rollbacks=manual_rollbacks,
        redact=redact,
        clock=clock,
    )
    threads = Threads(engine=engine, messenger=messenger, display=display, channels=channels)
    escalations = Escalations(store=store, context=made, registry=registry, permissions=permissions, notes=notes)
    engine.register(  # the names are stored
        {
            "request": requests.workflow,
            "run": runs.workflow,
            "thread": threads.workflow,
            "closing": Closings(store, ends, notes).workflow,
            "vigil": escalations.workflow,
        }
    )
    return DurableRuns(
        engine=engine,
        store=store,
        pending=pending,
        notes=notes,
        heads=heads,
        display=display,
        decisions=decisions,
        submissions=Submissions(store, pending, notes),
        manual_rollbacks=manual_rollbacks,
        recovery=Recovery(
            store=store, pending=pending, leftovers=leftovers, audit_log=audit_log, times=times, clock=clock
        ),
        context=made,
    )


def make_dispatcher(
    runs: DurableRuns,
    *,
    settings: Settings,
    registry: Registry,
    people: People,
    permissions: Permissions,
    audit_log: AuditLog,
    identity: Identity | None,
    metrics: ProcessMetrics,
    redact: Callable[[str], str],
    clock: Callable[[], datetime],
    of_the_machine: tuple[str, ...] = (),
) -> Dispatcher:
    """The one way in."""
    services = Services(
        settings=settings,
        permissions=permissions,
        audit_log=audit_log,
        store=runs.store,
        submissions=runs.submissions,
        context=runs.context,
        clock=clock,
    )
    return Dispatcher(
        settings=settings,
        registry=registry,
        people=people,
        services=services,
        notes=runs.notes,
        runs=runs.decisions,
        manual_rollbacks=runs.manual_rollbacks,
        metrics=metrics,
        redact=redact,
        identity=identity,
        of_the_machine=of_the_machine,
    )
