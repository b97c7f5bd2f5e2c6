"""Unredacted lines: who may have them and where, and the audit event that is written before the first of them is read.

Used by the dispatcher alone. Everything here fails closed: what is not certain ends in a sentence, and nothing is read.
"""

import secrets

from bot.audit import BookUnavailable, Event, EventName
from bot.inbound import Inbound, Surface, TerminalOnly
from bot.runs.house import House
from commands.kit.card import Card
from commands.kit.command import Command, Query
from commands.kit.context import Actor, Context, Denied
from commands.kit.spec import CommandSpec, Parameter
from runbooks.kit.errors import RunbookError
from runbooks.kit.reasons import ReasonCode


async def check_options(house: House, inbound: Inbound, actor: Actor, request: Command) -> None:
    """Options that have a place or a permission of their own, after the command itself is allowed. Raises `Denied`."""
    for option in request.used():
        if option.terminal and inbound.surface is not Surface.TERMINAL:
            raise _elsewhere(request.spec, option)
        if option.permission is not None:
            _check_person(actor, option.flag)
            await house.permissions.require(actor, option.permission, request.environment, changes=True)


async def disclosed(
    house: House, inbound: Inbound, actor: Actor, request: Query, context: Context
) -> tuple[Card, TerminalOnly]:
    """What would be read; the audit event; the reading. Raises `Denied`, `UsageError`, `RunbookError`."""
    # asked again beside what it guards, whatever a definition forgot to say of its options
    if inbound.surface is not Surface.TERMINAL:
        raise Denied("Unredacted lines are shown in a terminal only.", code=ReasonCode.PLACE_REFUSED)
    _check_person(actor, "This")
    disclosure = await request.disclosure(context)
    number = await _written(house, inbound, actor, request, context, disclosure.streams)
    shown = await disclosure.read()
    return shown.card, TerminalOnly(account=inbound.account, event=number, lines=shown.lines)


async def _written(
    house: House,
    inbound: Inbound,
    actor: Actor,
    request: Query,
    context: Context,
    streams: tuple[str, ...],
) -> int:
    """The event's number in the book. Each reading has an event of its own, the same act sent once more too."""
    event = Event(
        id=f"{EventName.DISCLOSURE_ALLOWED}/{secrets.token_hex(16)}",
        name=EventName.DISCLOSURE_ALLOWED,
        at=house.clock(),
        actor=actor.key,
        surface=actor.surface,
        environment=context.where.name,
        command=request.spec.name,
        reason=request.reason,
        details={"account": inbound.account, "arguments": request.arguments(), "streams": list(streams)},
    )
    try:
        return (await house.book.append(event)).seq
    except BookUnavailable as error:
        raise RunbookError(
            "The audit trail can't be written, so nothing is shown unredacted. `doctor` says why.",
            code=ReasonCode.BOOK_UNAVAILABLE,
        ) from error


def _check_person(actor: Actor, what: str) -> None:
    if actor.shared or not actor.listed:
        raise Denied(
            f"{what} is for a person whom the audit trail can name, and this account is nobody's alone. "
            "Use an account of your own.",
            code=ReasonCode.SHARED_ACCOUNT,
        )


def _elsewhere(spec: CommandSpec, option: Parameter) -> Denied:
    return Denied(
        f"`{spec.name} {option.flag}` works in a terminal only (`omnicare {spec.name} …` where the bot runs). "
        "What leaves for Slack is always redacted.",
        code=ReasonCode.PLACE_REFUSED,
    )
