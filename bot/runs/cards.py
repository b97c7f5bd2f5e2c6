"""The cards of a request's thread, in every state: head, plan, approval, progress. Results are told by the command itself."""

from datetime import timedelta

from bot.policy.approvals import ApprovalDecision, PendingApproval
from bot.runs import go_cards
from bot.runs.model import HoldAsked, Request
from commands.kit.card import (
    Button,
    Card,
    Code,
    Confirm,
    Element,
    Fact,
    Facts,
    Link,
    Moment,
    Note,
    OpenForm,
    Paragraph,
    RunAct,
    State,
    StepLine,
    StepList,
    StepStatus,
    Strong,
    Table,
    Text,
    Typed,
    person,
    sentence,
    words,
)
from commands.kit.context import Outcome
from commands.kit.policy import ApprovalPolicy
from runbooks.kit.answers import read_time
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Cell, Shown
from runbooks.wording import counted, duration, listed, short_digest, short_id

DIGEST_SHOWN = 8
"""Hexadecimal digits of a plan's digest that people are shown."""


def _versions(plan: Plan | None) -> str:
    return plan.in_short if plan is not None else ""


def head_card(
    request: Request,
    state: State,
    what: str,
    *,
    plan: Plan | None = None,
    detail: Text | None = None,
    progress: str = "",
    buttons: tuple[Button, ...] = (),
    elapsed: float | None = None,
) -> Card:
    """Return the one message in the channel: always the present state. `progress`: how far its run is."""
    line = words(
        person(request.requester.key),
        *(f" · {part}" for part in (_versions(plan),) if part),
        " · run ",
        Code(text=short_id(request.id)),
    )
    body: list[Element] = [Note(text=line)]
    if detail is not None:
        body.insert(0, Paragraph(text=detail))
    if progress:
        body.insert(0, Paragraph(text=words(progress)))
    return Card(
        state=state,
        title=words(Strong(text=request.title), f" · {what}"),
        summary=f"{request.title}: {what} (requested by {request.requester.name}, run {short_id(request.id)})",
        elapsed=elapsed,
        body=tuple(body),
        buttons=buttons,
        data={"run": request.id, "state": state, "title": request.title, "what": what},
    )


def plan_card(request: Request, plan: Plan, digest: str) -> Card:
    """Return the plan's card: what will be changed, and what people should know before they approve."""
    body: list[Element] = []
    if request.recalled:
        body.append(Paragraph(text=words(Strong(text="From this thread: "), request.recalled)))
    body += [
        Paragraph(text=words(Strong(text="Can't be approved: "), sentence(f"{each.what} {each.advice}".strip())))
        for each in plan.refused_by
    ]
    body += _unusual(plan)
    body += [Paragraph(text=words(Strong(text="Warning: "), sentence(warning))) for warning in plan.warnings]
    body += _tables(plan)
    facts = [Fact(label="Order", value=words(plan.order))] if not plan.empty else []
    if plan.usual_seconds:
        facts.append(Fact(label="Usually takes", value=words(_usual(plan.usual_seconds, plan))))
    if request.follows:
        verb = "Retries" if request.follows.split(".")[1] == request.command else "Rolls back from"
        facts.append(Fact(label=verb, value=words("run ", Code(text=short_id(request.follows)))))
    if request.appointment is not None:
        facts += go_cards.facts(request.appointment)
    if request.reason:
        facts.append(Fact(label="Reason", value=words(request.reason)))
    if request.ticket:
        facts.append(Fact(label="Ticket", value=words(request.ticket)))
    if plan.unchanged:
        facts.append(Fact(label="Already done", value=words(", ".join(plan.unchanged))))
    if plan.not_done:
        facts.append(Fact(label="Not part of this run", value=words(", ".join(plan.not_done))))
    if facts:
        body.append(Facts(facts=tuple(facts)))
    body += [Paragraph(text=words(Link(url=url, text=label))) for label, url in plan.links]
    body += [Note(text=sentence(note)) for note in plan.notes]
    return Card(
        title=words(Strong(text="Plan"), " · digest ", Code(text=digest[:DIGEST_SHOWN])),
        summary=f"Plan: {plan.title}. {_versions(plan) or ('Nothing to do' if plan.empty else plan.order)}. Digest {digest[:DIGEST_SHOWN]}.",
        body=tuple(body),
        data={"plan": plan.model_dump(mode="json"), "digest": digest, "run": request.id},
    )


def _usual(seconds: float, plan: Plan) -> str:
    """Return how long it takes, with what each of its longer steps does."""
    known = [(step.word, plan.usual.get(step.key, 0.0)) for step in plan.steps if not step.hidden]
    parts = [f"{word} {duration(took)}" for word, took in known if took >= 1]
    return f"{duration(seconds)} ({', '.join(parts)})" if parts[1:] else duration(seconds)


def _confirmed(plan: Plan) -> str:
    """Return what a person says yes to: what will happen, and that the plan warns of something."""
    said = ": ".join(part for part in (plan.title, _versions(plan)) if part)
    return f"{said}. The plan has {counted(len(plan.warnings), 'warning')}." if plan.warnings else f"{said}."


def _unusual(plan: Plan) -> list[Paragraph]:
    """Return what makes the run riskier than usual, each with the option that asks for it."""
    return [
        Paragraph(
            text=words(Strong(text="Riskier than usual"), " (", Code(text=each.option), "): ", sentence(each.what))
        )
        for each in plan.unusual
    ]


def dry_run_card(request: Request, plan: Plan, digest: str, in_earnest: str) -> Card:
    """Return the plan alone, with a button that asks for it: `in_earnest` is the same as it is typed without `--dry-run`."""
    card = plan_card(request, plan, digest)
    # no head message above it says what and where
    asked = () if plan.empty else (" · digest ", Code(text=digest[:DIGEST_SHOWN]))
    title = words("Dry run: ", Strong(text=plan.title), *asked)
    ask = Button(label="Request this", style="primary", does=Typed(text=in_earnest))
    buttons = refused_buttons(plan) if plan.refused_by else () if plan.empty else (ask,)
    summary = f"Dry run. {card.summary}"
    return card.model_copy(update={"title": title, "summary": summary, "buttons": buttons})


def refused_buttons(plan: Plan) -> tuple[Button, ...]:
    """Return the buttons that help where a plan can't be approved as it is."""
    given = [each.button for each in plan.refused_by if each.button is not None]
    return tuple(Button(label=label, does=Typed(text=text)) for label, text in given)


def _tables(plan: Plan) -> list[Element]:
    """Return what the steps show; those that follow each other with the same columns in one table."""
    found: list[Element] = []
    for shown in filter(None, (step.shown() for step in plan.steps)):
        if shown.summary:
            found.append(Paragraph(text=words(Strong(text=f"{shown.label}: "), shown.summary)))
        before = found[-1] if found else None
        if isinstance(before, Table) and before.columns == shown.columns and not shown.caption:
            found[-1] = before.model_copy(update={"rows": (*before.rows, *_rows(shown))})
        elif shown.rows:
            found.append(Table(columns=shown.columns, rows=_rows(shown), caption=shown.caption))
        if shown.settled is not None:
            found.append(Table(columns=shown.settled.columns, rows=_rows(shown.settled), minor=True))
    return found


def _rows(shown: Shown) -> tuple[tuple[Text, ...], ...]:
    return tuple(tuple(_cell(cell) for cell in row) for row in shown.rows)


def _cell(cell: Cell) -> Text:
    if cell.seconds is not None:
        return words(duration(cell.seconds))
    if cell.at is not None and (at := read_time(cell.at)) is not None:
        return words(Moment(at=at, form="date-time", age=True), *filter(None, (cell.text,)))
    if cell.url is not None or cell.since is not None:
        text = Link(url=cell.url, text=cell.text) if cell.url is not None else cell.text
        since = read_time(cell.since)
        return words(text, *((", ", Moment(at=since, form="date-time", age=True)) if since is not None else ()))
    return words(Strong(text=cell.text) if cell.strong else cell.text)


def approval_card(request: Request, plan: Plan, pending: PendingApproval, names: tuple[str, ...]) -> Card:
    """Return the card that asks for approval: who can give it, until when, and the buttons."""
    short, policy = short_id(request.id), pending.policy
    first = len(names) - len(pending.later) if names else 0
    said = [f"{name} (on shift)" if pending.later and place < first else name for place, name in enumerate(names)]
    who = listed(said, "or") if policy.count == 1 else ", ".join(said)
    given = [f"{decision.name} approved" for decision in pending.given]
    if policy.own:
        ask = words("Confirmation by one person who may roll back: ", who, *(f" · {each}" for each in given))
    else:
        count = f"{policy.count} of: " if policy.count > 1 else ""
        role = f", one of them with the role {policy.one_of_role}" if policy.one_of_role else ""
        ask = words(f"Approval by {count}{who}{role}, not {request.requester.name}", *(f" · {each}" for each in given))
    target = {"run": request.id, "word": pending.word}
    yes = "Confirm" if policy.own else "Approve"
    buttons = (
        Button(
            label=yes,
            style="primary",
            does=RunAct(command="approve", **target),
            confirm=Confirm(title=f"{yes} run {short}?", text=_confirmed(plan), yes=yes),
        ),
        Button(label="Deny…", style="danger", does=RunAct(command="deny", form=True, **target)),
        Button(label="Withdraw", quiet=True, does=RunAct(command="withdraw", **target)),
    )
    needs = "confirmation" if policy.own else "approval"
    return Card(
        state=State.WAITING,
        title=words(Strong(text=f"{request.title} needs {'' if policy.own else 'your '}{needs}")),
        summary=f"{request.title} needs {'' if policy.own else 'your '}{needs} (requested by {request.requester.name})",
        body=(
            Paragraph(text=ask),
            *_unusual(plan),
            *_stands(request, pending),
            Note(
                text=words(
                    "Expires ",
                    Moment(at=pending.expires),
                    " · run ",
                    Code(text=short),
                    " · digest ",
                    Code(text=short_digest(pending.digest, 8)),
                )
            ),
        ),
        buttons=buttons,
        data={"run": request.id, "digest": pending.digest, "approvers": list(names), "missing": pending.missing},
    )


def _stands(request: Request, pending: PendingApproval) -> tuple[Paragraph, ...]:
    """Return what a yes means: asked before its time it is an approval for then, asked again at its time one for now."""
    appointment = request.appointment
    if appointment is None or pending.asked >= appointment.at:
        return ()
    return (Paragraph(text=go_cards.stands(appointment)),)


def decided_card(request: Request, pending: PendingApproval, text: Text, state: State, summary: str) -> Card:
    """Return the approval's card when it is decided: no buttons, but who, when, why."""
    return Card(
        state=state,
        title=text,
        summary=f"{request.title}: {summary}",
        body=(
            Note(
                text=words(
                    "run ", Code(text=short_id(request.id)), " · digest ", Code(text=short_digest(pending.digest, 8))
                )
            ),
        ),
        data={"run": request.id, "decided": summary},
    )


def decision_text(decisions: tuple[ApprovalDecision, ...], verb: str) -> Text:
    """Return such as `Approved by Tomas, 14:05` and the reason."""
    parts: list[object] = [Strong(text=verb), " by "]
    for place, decision in enumerate(decisions):
        parts += [" and " if place else "", person(decision.by), ", ", Moment(at=decision.at)]
        if decision.reason:
            parts.append(f": {decision.reason}")
    return words(*parts)  # type: ignore[arg-type] # strings, people and moments


def carried_card(request: Request, given: tuple[ApprovalDecision, ...], before: str) -> Card:
    """Return the card in place of a new question: whose approval counts once more, and why."""
    names = listed(decision.name for decision in given)
    run = short_id(before)
    return Card(
        state=State.DONE,
        title=words(decision_text(given, "Approved"), f", for run {run}"),
        summary=f"{request.title}: {names}'s approval of run {run} covers this plan, which leads to the same result",
        body=(Note(text=words("It covers this retry: the plan leads to the same result.")),),
        data={"run": request.id, "decided": f"carried over from {before}"},
    )


def invitation_card(request: Request, pending: PendingApproval, plan: Plan) -> Card:
    """Return the direct message to somebody who could approve and is not in the channel."""
    card = approval_card(request, plan, pending, ())
    return card.model_copy(
        update={
            "body": (
                Paragraph(text=words(f"{request.requester.name} requests: {plan.title}. {_versions(plan)}.")),
                *card.body[1:],
            ),
            "buttons": (),
        }
    )


def reminder_card(request: Request, pending: PendingApproval) -> Card:
    """Return the reminder before it expires, which mentions those who could approve."""
    people = [part for key in pending.approvers for part in (person(key, mention=True), " ")]
    return Card(
        state=State.WAITING,
        title=words(Strong(text="Still waiting for approval"), " · expires ", Moment(at=pending.expires)),
        summary=f"{request.title} still needs your approval",
        body=(Paragraph(text=words(*people)),),
    )


def progress_card(
    request: Request,
    lines: tuple[StepLine, ...],
    *,
    elapsed: float,
    word: str,
    hold: HoldAsked | None = None,
    hold_before: str | None = None,
    held: bool = False,
    notice: str = "",
) -> Card:
    """Return the progress message: the steps and their states.

    `hold_before`: the next step before which the run may be held, where there is one. `held`: it waits there now.
    `notice`: what all of it waits for.
    """
    running = next((line for line in lines if line.status is StepStatus.RUNNING), None)
    ended = all(line.status in (StepStatus.DONE, StepStatus.FAILED, StepStatus.SKIPPED) for line in lines) and bool(
        lines
    )
    at = f": {running.title}{f', {running.detail}' if running.detail else ''}" if running else ""
    body: list[Element] = [StepList(title=request.title, steps=lines)]
    if notice:
        body.append(Paragraph(text=sentence(f"{notice[0].upper()}{notice[1:]}")))
    if hold is not None and hold_before is not None:
        body.append(Paragraph(text=_hold_text(hold, hold_before, held=held)))
    return Card(
        state=State.WAITING if held else State.RUNNING,
        title=words(Strong(text=f"{'Held' if held else 'Running'}: {request.title}")),
        summary=f"{request.title}{f': held by {hold.by}' if held and hold else at} ({duration(elapsed)})",
        elapsed=elapsed,
        body=tuple(body),
        buttons=() if ended else _while_running(request, word, hold, hold_before),
        data={
            "run": request.id,
            "steps": [line.model_dump(mode="json") for line in lines],
            "seconds": round(elapsed, 1),
            "held": held,
        },
    )


def _while_running(request: Request, word: str, hold: HoldAsked | None, hold_before: str | None) -> tuple[Button, ...]:
    target = {"run": request.id, "word": word}
    cancel = Button(label="Cancel…", does=RunAct(command="cancel", form=True, **target))
    if hold_before is None:
        return (cancel,)
    if hold is None:
        return (Button(label="Hold", does=RunAct(command="hold", **target)), cancel)
    return (Button(label="Continue", style="primary", does=RunAct(command="continue", **target)), cancel)


def _hold_text(hold: HoldAsked, before: str, *, held: bool) -> Text:
    why = f": {hold.reason}" if hold.reason else ""
    what = "Held" if held else "Will be held"
    return words(Strong(text=f"{what} before {before}"), f" by {hold.by}, ", Moment(at=hold.at, age=held), why)


def held_card(request: Request, hold: HoldAsked, longest: float) -> Card:
    """Return the reminder of a run that has been held for long, to its requester and to whoever holds it."""
    text = f"{request.title} is still held by {hold.by}"
    people = dict.fromkeys((hold.key, request.requester.key))
    mentions = [part for key in people for part in (person(key, mention=True), " ")]
    short = short_id(request.id)
    return Card(
        state=State.WAITING,
        title=words(Strong(text=text), ", since ", Moment(at=hold.at, form="date-time", age=True)),
        summary=text,
        body=(
            Paragraph(text=words(*mentions)),
            Note(text=sentence(f"`continue {short}` resumes it, `cancel {short}` ends it.")),
            Note(
                text=words(
                    "Otherwise it ends where it is, undecided, at ",
                    Moment(at=hold.at + timedelta(seconds=longest), form="date-time"),
                    ". It never continues by itself.",
                )
            ),
        ),
        data={"run": request.id, "hold": hold.model_dump(mode="json")},
    )


def late_card(request: Request, people: tuple[str, ...], after: float, call: str | None) -> Card:
    """Return the message about a rollback that takes longer than it may, which mentions those who can help."""
    text = f"{request.title} still runs after {duration(after)}"
    mentions = [part for key in people for part in (person(key, mention=True), " ")]
    short = short_id(request.id)
    return Card(
        state=State.RUNNING,
        title=words(Strong(text=text)),
        summary=text,
        body=(
            Paragraph(text=words(*mentions)),
            *((Paragraph(text=sentence(f"Call {call}.")),) if call else ()),
            Note(
                text=sentence(
                    f"The steps above say what it waits for. `sheet --env {request.environment}` has the lines for doing it by hand; `runs {short}` follows the run."
                )
            ),
        ),
        buttons=(
            Button(label="Status", does=Typed(text=f"status --env {request.environment}")),
            Button(label="Sheet", does=Typed(text=f"sheet --env {request.environment}")),
        ),
        data={"run": request.id},
    )


def unanswered_card(request: Request, outcome: Outcome, people: tuple[str, ...]) -> Card:
    """Return the card about a failure that nobody has decided, which mentions those who may roll back."""
    text = f"{request.environment} is still undecided: {outcome.title}"
    mentions = [part for key in people for part in (person(key, mention=True), " ")]
    back = Button(
        label="Roll back", style="danger", does=Typed(text=f"rollback --env {request.environment} --after {request.id}")
    )
    retry = Button(label="Retry", does=Typed(text=f"retry {request.id}"))
    leave = Button(label="Leave as is…", does=OpenForm(command="resolve", filled={"run": request.id}))
    return Card(
        state=State.FAILED,
        title=words(Strong(text=text)),
        summary=f"{text}. Nobody has reacted yet.",
        body=(
            Paragraph(text=words(*mentions)),
            *(Paragraph(text=sentence(line)) for line in outcome.lines[:1]),
        ),
        buttons=(back, retry, leave),
        data={"run": request.id},
    )


def answered_card(card: Card, said: str, buttons: tuple[Button, ...]) -> Card:
    """Return a card that asked for a decision, once there is one: what it was, and only the buttons that look."""
    answer = Paragraph(text=words(Strong(text="Resolved: "), said or "decided since."))
    return card.model_copy(update={"body": (*card.body, answer), "buttons": buttons})


def settled_progress(card_of: Card, outcome: Outcome) -> Card:
    """Return the progress message after the run: the same steps, no button, the sign of how it ended."""
    state = State.DONE if outcome.ok else State.ENDED if outcome.stop else State.FAILED
    steps = tuple(
        element.model_copy(
            update={
                "steps": tuple(
                    line.model_copy(update={"status": StepStatus.SKIPPED})
                    if line.status is StepStatus.PENDING
                    else line.model_copy(update={"status": StepStatus.FAILED})
                    if line.status is StepStatus.RUNNING
                    else line
                    for line in element.steps
                )
            }
        )
        if isinstance(element, StepList)
        else element
        for element in card_of.body
    )
    title = words(Strong(text=next((each.title for each in card_of.body if isinstance(each, StepList)), "")))
    return card_of.model_copy(
        update={"state": state, "title": title, "buttons": (), "body": steps, "elapsed": outcome.seconds}
    )


def refusal_outcome(
    code: ReasonCode, title: str, *, request: Request, advice: tuple[str, ...] = (), lines: tuple[str, ...] = ()
) -> Outcome:
    """Return an ending before anything was run."""
    return Outcome(code=code, title=title, lines=lines, advice=advice, run=request.id, environment=request.environment)


def needs(policy: ApprovalPolicy) -> str:
    """Return the head message's words while it asks for approval."""
    return "waiting for confirmation" if policy.own else "waiting for approval"
