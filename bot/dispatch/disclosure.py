"""Unredacted lines: who may have them and where, and the audit event that is written before the first of them is read.

Used by the dispatcher alone. Everything here fails closed: what is not certain ends in a sentence, and nothing is read.
"""

import secrets

from bot.audit import AuditLogUnavailable, Event, EventName
from bot.boundary.inbound import Surface, TerminalOnly
from bot.dispatch.act import Act
from commands.kit.card import Card
from commands.kit.command import Command, Query
from commands.kit.context import Actor, Context, Denied
from commands.kit.spec import CommandSpec, Parameter
from runbooks.kit.errors import RunbookError
from runbooks.kit.reasons import ReasonCode


async def check_options(act: Act, request: Command) -> None:
    """Check the options that have a place or a permission of their own, once the command itself is allowed. Raises `Denied`."""
    for option in request.used():
        if option.terminal and act.inbound.surface is not Surface.TERMINAL:
            raise _elsewhere(request.spec, option)
        if option.permission is not None:
            _check_person(act.actor, option.flag)
            await act.services.permissions.require(act.actor, option.permission, request.environment, changes=True)


async def disclosed(act: Act, request: Query, context: Context) -> tuple[Card, TerminalOnly]:
    """Write an audit event of what will be read, read it, and return the card and the lines. Raises `Denied`, `UsageError`, `RunbookError`."""
    # asked again beside what it guards, whatever a definition forgot to say of its options
    if act.inbound.surface is not Surface.TERMINAL:
        raise Denied("Unredacted lines are shown in a terminal only.", code=ReasonCode.PLACE_REFUSED)
    _check_person(act.actor, "This")
    disclosure = await request.disclosure(context)
    number = await _written(act, request, context, disclosure.streams)
    shown = await disclosure.read()
    return shown.card, TerminalOnly(account=act.inbound.account, event=number, lines=shown.lines)


async def _written(act: Act, request: Query, context: Context, streams: tuple[str, ...]) -> int:
    """Write the audit event and return its number. Each reading has its own event, also when the same act is sent again."""
    event = Event(
        id=f"{EventName.DISCLOSURE_ALLOWED}/{secrets.token_hex(16)}",
        name=EventName.DISCLOSURE_ALLOWED,
        at=act.services.clock(),
        actor=act.actor.key,
        surface=act.actor.surface,
        environment=context.where.name,
        command=request.spec.name,
        reason=request.reason,
        details={"account": act.inbound.account, "arguments": request.arguments(), "streams": list(streams)},
    )
    try:
        return (await act.services.audit_log.append(event)).seq
    except AuditLogUnavailable as error:
        raise RunbookError(
            "The audit log can't be written, so nothing is shown unredacted. Run `doctor` to find out why.",
            code=ReasonCode.BOOK_UNAVAILABLE,
        ) from error


def _check_person(actor: Actor, what: str) -> None:
    if actor.shared or not actor.listed:
        raise Denied(
            f"{what} is only for people whom the audit log can identify, and this account is not personal. "
            "Use your own account.",
            code=ReasonCode.SHARED_ACCOUNT,
        )


def _elsewhere(spec: CommandSpec, option: Parameter) -> Denied:
    return Denied(
        f"`{spec.name} {option.flag}` works in a terminal only (`omnicare {spec.name} …` where the bot runs). "
        "Everything sent to Slack is redacted.",
        code=ReasonCode.PLACE_REFUSED,
    )
