"""The pieces of the page as HTML, each with the id by which the live stream puts a newer one in its place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from sandbox.slack.model import Message, View
from sandbox.slack.page.desk import NEWEST, Desk, Place, Shown
from sandbox.slack.page.offers import CommandHint, Try
from sandbox.slack.page.rendering import Scope, dom_id, render
from sandbox.slack.page.world import World, by_environment

PREVIEW_LINES = 12


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for everybody who looks at the page."""

    commands: Sequence[CommandHint]
    tries: Sequence[Try]
    world: World
    slash: str


@dataclass(frozen=True, slots=True)
class Look:
    """Where a tab looks: a place, perhaps one of its threads, or the app's Home."""

    place: str
    thread: str = ""
    home: bool = False


def message_id(message: Message, where: str) -> str:
    return f"{where}-{message.channel}-{dom_id(message.ts)}"


def message(desk: Desk, shown: Shown, where: str) -> Markup:
    """One message; `where` is `m` in the channel, `t` in the thread."""
    it = shown.message
    key = message_id(it, where)
    scope = Scope(
        desk.reader,
        key,
        where={"channel": it.channel, "ts": it.ts},
        file=desk.workspace.files.get,
    )
    files = [file for file_id in it.files if (file := desk.workspace.files.get(file_id)) is not None]
    return render(
        "message.html",
        it=it,
        shown=shown,
        key=key,
        where=where,
        scope=scope,
        files=files,
        preview=preview,
        place=desk.place(desk.workspace.channels[it.channel]),
        app=desk.workspace.app,
        people=desk.workspace.people,
        time=desk.reader.time(it.ts),
        now=desk.reader.now(),
    )


def preview(content: bytes | None) -> tuple[str, int]:
    """A text file's first lines, and how many more there are."""
    lines = (content or b"").decode("utf-8", "replace").splitlines()
    return "\n".join(lines[:PREVIEW_LINES]), max(len(lines) - PREVIEW_LINES, 0)


def older(desk: Desk, place: Place, before: str) -> tuple[Markup, bool]:
    """The hundred messages before one, and whether there are more."""
    earlier = [one for one in desk.messages(place.channel) if one.ts < before]
    shown = desk.show(earlier[-NEWEST:])
    return Markup("").join(message(desk, one, "m") for one in shown), len(earlier) > NEWEST


def navigation(desk: Desk, look: Look) -> Markup:
    return render("navigation.html", desk=desk, places=desk.places(), look=look, workspace=desk.workspace)


def welcome(desk: Desk, setting: Setting) -> Markup:
    done = [one.done() for one in setting.tries]
    upcoming = next((at for at, one in enumerate(done) if not one), None)
    return render(
        "welcome.html",
        tries=list(zip(setting.tries, done, strict=True)),
        upcoming=upcoming,
        desk=desk,
        app=desk.workspace.app,
        slash=setting.slash,
    )


def channel(desk: Desk, place: Place, look: Look, setting: Setting) -> Markup:
    """The middle: the channel's head, its newest messages, the composer."""
    everything = desk.messages(place.channel)
    until = desk.marks.until(desk.person.id, place.channel.id)
    shown = desk.show(everything[-NEWEST:], new_after=until)
    return render(
        "channel.html",
        desk=desk,
        place=place,
        look=look,
        setting=setting,
        has_older=len(everything) > NEWEST,
        messages=Markup("").join(message(desk, one, "m") for one in shown),
        latest=everything[-1].ts if everything else "",
        welcome=welcome(desk, setting) if is_first(desk, place) else "",
        member=desk.person.id in place.channel.members,
        home=home(desk) if look.home else "",
        is_app=place.other is not None and place.other.id == desk.workspace.app.user_id,
        people=[one for one in desk.workspace.people.values() if not one.deleted and one.id != "USLACKBOT"],
    )


def is_first(desk: Desk, place: Place) -> bool:
    """The first channel is where a visitor arrives, and where the welcome stands."""
    return place.channel.id == next(iter(desk.workspace.channels), "")


def thread(desk: Desk, place: Place, ts: str, setting: Setting) -> Markup:
    messages = desk.thread(place.channel, ts)
    shown = desk.show(messages)
    return render(
        "thread.html",
        desk=desk,
        place=place,
        ts=ts,
        messages=[message(desk, one, "t") for one in shown],
        count=reply_count(messages),
        app=desk.workspace.app,
        member=desk.person.id in place.channel.members,
        setting=setting,
    )


def reply_count(messages: list[Message]) -> str:
    """The words of the line under a thread's first message; nothing where there is no reply yet."""
    count = sum(one.is_reply and not one.ephemeral_to for one in messages)
    return f"{count} {'reply' if count == 1 else 'replies'}" if count else ""


def modal(desk: Desk) -> Markup:
    """The uppermost form of the person, or nothing."""
    stack = desk.workspace.modals_of(desk.person)
    if not stack:
        return Markup("")
    return render("modal.html", it=stack[-1].view, view=stack[-1], scope=view_scope(desk, stack[-1]), depth=len(stack))


def view_scope(desk: Desk, view: View) -> Scope:
    return Scope(desk.reader, f"v-{dom_id(view.id)}", where={"view": view.id}, file=desk.workspace.files.get)


def home(desk: Desk) -> Markup:
    view = desk.workspace.homes.get(desk.person.id)
    scope = view_scope(desk, view) if view is not None else None
    return render("home.html", view=view, scope=scope, app=desk.workspace.app, connected=desk.workspace.app_connected)


def world(setting: Setting) -> Markup:
    return render("world.html", environments=by_environment(setting.world.pods()), world=setting.world)


def nights(setting: Setting) -> Markup:
    """The scenarios, each with its switch."""
    groups = setting.world.scenario_groups
    on = {one.name for one in setting.world.played}
    return render("nights.html", groups=groups, count=sum(len(scenarios) for _, scenarios in groups), on=on)


def status(desk: Desk) -> Markup:
    return render("status.html", connected=desk.workspace.app_connected, app=desk.workspace.app)


def page(desk: Desk, look: Look, setting: Setting, **more: Any) -> Markup:
    place = desk.find(look.place)
    return render(
        "page.html",
        desk=desk,
        look=look,
        place=place,
        navigation=navigation(desk, look),
        channel=channel(desk, place, look, setting),
        thread=thread(desk, place, look.thread, setting) if look.thread else "",
        modal=modal(desk),
        world=world(setting),
        nights=nights(setting),
        status=status(desk),
        setting=setting,
        workspace=desk.workspace,
        **more,
    )
