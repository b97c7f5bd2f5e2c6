"""A query: it is answered at once, and noted."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from bot.audit import EventName
from bot.boundary.inbound import Answer
from bot.dispatch.act import Act
from bot.dispatch.disclosure import disclosed
from commands.kit.card import Button, Card, Code, Note, Preformatted, Strong, Typed, words
from commands.kit.command import Observation, Query
from commands.kit.context import Context
from commands.kit.follow_ups import follow_ups, refreshed, with_buttons
from commands.kit.follows import LiveState
from commands.kit.typed_again import typed_again
from runbooks.redaction.shell import pasted


async def answer(act: Act, request: Query) -> Answer:
    """Return the command's answer; the first state of one that goes on; or unredacted lines, which a terminal alone gets."""
    by_hand = isinstance(request, Observation) and request.kubectl
    environment = request.environment
    if environment is None and request.about_run is not None:
        environment = act.environment_of(await act.full_id(request.about_run))  # the run's own cluster
    context = act.context(environment)
    only, live = None, None
    async with act.in_time():
        if isinstance(request, Observation) and by_hand:
            card = lines_card(request, await request.by_hand(context))
        elif request.discloses:
            card, only = await disclosed(act, request, context)
        elif (live := request.stream(context)) is not None:
            card = (await anext(live)).card
        else:
            card = await request.answer(context)
    await act.note(request, environment, EventName.COMMAND_ANSWERED)
    if live is None and not by_hand and not request.discloses:
        card = await _with_next(act, request, environment, card, context)
    private = (request.discloses and not by_hand) or request.meta.private
    if act.recalled:
        card, live = _recalled(card, act.recalled), _all_recalled(live, act.recalled) if live is not None else None
    typed = "" if private else typed_again(_as_asked(request))
    return Answer(card=card, private=private, typed=typed, terminal_only=only, live=live)


async def _with_next(act: Act, request: Query, environment: str | None, card: Card, context: Context) -> Card:
    """Return the card with the buttons that help next: those that who asked may use."""
    find = {spec.name: spec for spec in context.menu}.get
    may = partial(act.services.permissions.may, act.actor)
    offered = [button for spec, button in follow_ups(request, card, find) if await may(spec.permission, environment)]
    last: list[Button] = []
    if request.meta.refreshes:
        card, refresh = refreshed(request, card, context.now)
        last.append(refresh)
    if isinstance(request, Observation) and request.tool:
        lines = Typed(text=typed_again(replace(request, kubectl=True)))
        last.append(Button(label=request.tool, does=lines))
    return with_buttons(card, offered, tuple(last))


def lines_card(request: Observation, lines: tuple[str, ...]) -> Card:
    """Return the lines that tell the same as the query's answer."""
    asked = typed_again(_as_asked(request))
    text = "Commands for your own terminal: "
    lines = pasted(lines)
    return Card(
        title=words(Strong(text=text), Code(text=asked)),
        summary=f"{text}{asked}",
        body=(
            Preformatted(text="\n".join(lines), to_paste=True),
            Note(
                text=words(
                    "They change nothing, read no secret, and need your own access. What you do there is not in the audit log."
                )
            ),
        ),
        data={"lines": list(lines)},
    )


def _as_asked(request: Query) -> Query:
    return replace(request, kubectl=False) if isinstance(request, Observation) else request


def _recalled(card: Card, what: str) -> Card:
    """Return the card, which begins with what was not typed."""
    return card.model_copy(update={"body": (Note(text=words(f"{what}, from this thread")), *card.body)})


async def _all_recalled(live: AsyncGenerator[LiveState], what: str) -> AsyncGenerator[LiveState]:
    async with aclosing(live):
        async for state in live:
            yield state.model_copy(update={"card": _recalled(state.card, what)})
