"""What a workflow takes and says, as values: requests, their states, messages between workflows. All JSON."""

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, TypeAdapter, ValidationError, model_validator

from bot.policy.approvals import ApprovalDecision, PendingApproval
from commands.kit.card import Card, StepLine
from commands.kit.context import Actor, Outcome
from runbooks.fleet.fleet import Freeze, Lease, Undecided
from runbooks.kit.plan import Plan
from runbooks.kit.steps import Stop, StoredStep
from runbooks.kit.targets import Frozen

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: no letters that read like others
"""Characters of an id that people are shown."""


def request_id(environment: str, command: str, key: str) -> str:
    """Return `production.deploy.<13 characters>`: 64 bits of the act's key, so that the same act is the same request."""
    number = int.from_bytes(hashlib.sha256(f"{environment}\0{command}\0{key}".encode()).digest()[:8])
    signs = ""
    for _ in range(13):
        number, place = divmod(number, 32)
        signs = _ALPHABET[place] + signs
    # the first sign stands for 4 bits only; what people read begins with the signs that vary most
    return f"{environment}.{command.replace(' ', '-')}.{signs[::-1]}"


def run_id(request: str) -> str:
    """Return the id of the workflow that does what the request asked for."""
    return f"{request}.run"


def thread_id(request: str) -> str:
    """Return the id of the workflow that keeps the request's thread."""
    return f"{request}.thread"


def closing_id(request: str) -> str:
    """Return the id of the workflow that writes the run's end into the fleet's record where the run could not."""
    return f"{request}.closing"


def escalation_id(request: str) -> str:
    """Return the id of the workflow that waits for a decision about what the request's run left."""
    return f"{request}.vigil"  # the stored name


class Appointment(Frozen):
    """When something starts that does not start at once: at its time, at somebody's go, or never."""

    asks: datetime
    """From here on go or no go is asked."""
    at: datetime
    """In the zone of who asked."""
    until: datetime
    """Nobody said go until here: it expires."""

    @classmethod
    def of(cls, at: datetime, *, before: float, grace: float) -> "Appointment":
        """Return the appointment: a go is asked `before` seconds earlier, and given up `grace` seconds later."""
        return cls(asks=at - timedelta(seconds=before), at=at, until=at + timedelta(seconds=grace))


class Request(Frozen):
    """What somebody asked for: the input of the request's workflow."""

    id: str
    command: str
    arguments: dict[str, Any]
    environment: str
    text: str
    """As it would be typed again."""
    title: str
    """"Deploy v2.0.0 to production"."""
    requester: Actor
    channel: str | None
    """Where its thread is; None: the environment's own channel."""
    threaded: bool = True
    """Whether it has a thread in Slack; False where the bot is configured without Slack."""
    at: datetime
    reason: str | None = None
    ticket: str | None = None
    follows: str | None = None
    """The request that this one tries again, or goes back from: what was approved there may count here."""
    appointment: Appointment | None = None
    """Where it does not start at once."""
    recalled: str = ""
    """What was not typed but comes from the thread that it was asked for in, in words."""


def digest_of(request: Request, plan: Plan) -> str:
    """Return the digest of the plan and of the request's parts that an approval is bound to."""
    substance: dict[str, object] = {
        "command": request.command,
        "arguments": request.arguments,
        "environment": request.environment,
    }
    return plan.digest(substance)


class HoldAsked(Frozen):
    """Somebody asked the run to wait before its next change."""

    by: str
    """A person's name."""
    key: str
    """That person's key."""
    at: datetime
    reason: str = ""


class GoGiven(Frozen):
    """Somebody wants it to start at its time."""

    by: str
    """A person's name."""
    key: str
    """That person's key."""
    at: datetime


Phase = Literal["planning", "waiting", "asking", "scheduled", "starting", "running", "ended"]


class RequestState(Frozen):
    """Where a request stands: the workflow's one event, read by lists, by the dispatcher and by the terminal."""

    phase: Phase
    plan: Plan | None = None
    digest: str | None = None
    pending: PendingApproval | None = None
    """While it asks."""
    holder: str | None = None
    """While it waits: who has the place, in words."""
    word: str
    """The random word that the buttons of the present cards carry."""
    approved_by: tuple[ApprovalDecision, ...] = ()
    steps: tuple[StepLine, ...] = ()
    outcome: Outcome | None = None
    started: datetime | None = None
    ended: datetime | None = None
    head: Card | None = None
    hold: HoldAsked | None = None
    """While it runs: who wants it to wait before its next change."""
    scheduled: bool = False
    """It was approved for a time."""
    go: GoGiven | None = None
    """Who said go, where it starts at a time."""
    holds: int = 0
    """How often it was held or let go on."""
    stopping: bool = False
    """Its run was told to stop."""

    @classmethod
    def read(cls, raw: Any) -> "RequestState | None":
        """Return what a workflow published; without its plan where an older version wrote that in a form that is not read any more."""
        if raw is None:
            return None
        try:
            return cls.model_validate(raw)
        except ValidationError:
            return cls.model_validate({**raw, "plan": None})

    @property
    def left_undecided(self) -> bool:
        """Whether its run ended so that somebody has to decide what becomes of the environment."""
        outcome, rolled = self.outcome, self.plan is None or self.plan.decides
        if outcome is None or self.started is None or not rolled:
            return False
        return not outcome.ok and not outcome.undone


class DecisionMessage(Frozen):
    """A person decided: from the dispatcher to the request's workflow."""

    kind: Literal["decision"] = "decision"
    act: Literal["approve", "deny", "withdraw", "cancel", "hold", "continue", "go", "no-go"]
    actor: Actor
    reason: str | None = None
    then: Literal["stay", "rollback"] | None = None
    """What follows a cancel by itself."""
    role: str = ""
    """The role that one approver must have, where the person has it."""
    word: str
    """The word of the state that was decided on: a later state ignores it."""
    at: datetime


class OvertakeMessage(Frozen):
    """A rollback takes the run's place."""

    kind: Literal["overtake"] = "overtake"
    stop: Stop


class FreeMessage(Frozen):
    """The place may be free: look again."""

    kind: Literal["free"] = "free"


class InterruptedMessage(Frozen):
    """The bot stopped in the middle of the run, and went on: told once, without drama."""

    kind: Literal["interrupted"] = "interrupted"
    at: datetime
    """The last sign of life before."""
    on: datetime


class EndedMessage(Frozen):
    """From the run to its request."""

    kind: Literal["ended"] = "ended"
    outcome: Outcome


RequestMessage = Annotated[
    DecisionMessage | OvertakeMessage | FreeMessage | InterruptedMessage | EndedMessage, Field(discriminator="kind")
]
"""Everything that a request's workflow hears."""

read_request_message: Callable[[object], RequestMessage] = TypeAdapter(RequestMessage).validate_python


class RunInput(Frozen):
    """What a run is started with: exactly what was approved."""

    request: Request
    plan: Plan
    approved_by: tuple[ApprovalDecision, ...]
    word: str


class Ending(Frozen):
    """What is true once a run has ended, for the fleet's record."""

    request: Request
    undecided: Undecided | None = None
    """Somebody has to decide what becomes of it."""
    decided: bool = False
    """What was undecided before is not so any more."""
    decided_of: str = ""
    """What a run of this command left undecided is not so any more."""
    put_back: tuple[StoredStep, ...] = ()
    """Steps that changed something only for a while."""
    late: tuple[StoredStep, ...] = ()
    """Steps that failed when all else was done: tried until they are done."""
    steps: tuple[StoredStep, ...] = ()
    results: dict[str, JsonValue] = {}
    """What those of `steps` that have finished returned, by their keys; for `late`."""
    approved_by: tuple[str, ...] = ()
    """Names."""
    lease: Lease | None = None
    """Of a run that went on without the record: taken to write this, unless the record has moved on."""
    freeze: Freeze | None = None
    """The lock that it leaves, once the record can be written."""

    @property
    def left_open(self) -> str:
        """What is to be decided, and the lock, in sentences; for a run that went on without the record."""
        where, open_title = self.request.environment, self.undecided.title if self.undecided is not None else ""
        said = f"{where} is undecided: {open_title}." if open_title else ""
        locked = f"{where} is locked: {self.freeze.reason}." if self.freeze is not None else ""
        return " ".join(filter(None, (said, locked)))

    @property
    def done_late(self) -> str:
        """What is so once the steps in `late` are done; without a full stop."""
        return ", ".join(step.done_late() for step in self.late)

    @model_validator(mode="before")
    @classmethod
    def _of_the_version_before(cls, data: object) -> object:
        """Read the form of the version before, which named the Deployments and the release instead of steps."""
        if not isinstance(data, dict) or "release" not in data:
            return data
        kept = {name: value for name, value in data.items() if name not in ("release", "left", "put_back")}
        images, release = data.get("put_back"), data["release"]
        back = [{"kind": "rollback", "images": images, "cause": ""}] if images else []
        late = [{"kind": "record", "release": release, "left": data.get("left")}] if release else []
        return {**kept, "put_back": back, "late": late}


class Escalation(Frozen):
    """What an escalation is started with: its gaps are those of that moment, whatever the configuration says after a restart."""

    request: Request
    outcome: Outcome
    card: Card
    """The run's last card, which asks for a decision."""
    ended: datetime
    """What was asked for since then may be an answer."""
    after: float
    """Seconds until it is told for the first time; each further gap is twice the one before."""
    times: int
    """So often it is told; not at all where a person stopped the run, who knows of it."""


class Answered(Frozen):
    """To an escalation: something was decided, in words; it looks whether that was its own failure."""

    kind: Literal["answered"] = "answered"
    text: str


class Show(Frozen):
    """To the thread's workflow: let this slot say that."""

    kind: Literal["show"] = "show"
    slot: str
    """head, plan, approval, progress, result, reminder …: one message each; the same slot again is an edit."""
    card: Card
    direct: str | None = None
    """A person's key: a direct message instead."""
    broadcast: bool = False
    """Said in the thread, and shown in the channel too."""
    absent_only: bool = False
    """A direct message only to somebody who is not in the channel."""


class Close(Frozen):
    """To the thread's workflow: nothing more will come."""

    kind: Literal["close"] = "close"
