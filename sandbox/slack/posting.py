"""What the app (and whoever else speaks) does to the workspace: post, change, delete, ephemeral, files, views, Home.

The Web API calls these after it has checked token, scopes, limits and blocks; the rules of who may post where are here,
because response URLs and seeds go the same way.
"""

import secrets
import time
from dataclasses import replace
from typing import Any

from sandbox.slack.forms import with_current_conversation
from sandbox.slack.model import Channel, File, Json, Message, Person, Refused, View
from sandbox.slack.state import State


def with_ids(blocks: list[Json] | tuple[Json, ...]) -> tuple[Json, ...]:
    """Blocks and their interactive elements as Slack keeps them: those that came without an id are given one."""
    return tuple(_with_ids(block) for block in blocks)


INTERACTIVE = ("button", "overflow", "checkboxes", "radio_buttons", "feedback_buttons", "icon_button")


def is_interactive(element: Json) -> bool:
    kind = str(element.get("type", ""))
    return kind in INTERACTIVE or kind.endswith(("_select", "picker", "_input"))


def _with_ids(block: Json) -> Json:
    block = {**block}
    block.setdefault("block_id", secrets.token_urlsafe(4))
    for key in ("elements", "actions"):
        if block.get("type") in {"actions", "context_actions", "card"} and isinstance(block.get(key), list):
            block[key] = [_with_action_id(element) for element in block[key]]
    for key in ("accessory", "element"):
        if isinstance(block.get(key), dict):
            block[key] = _with_action_id(block[key])
    for key in ("child_blocks", "tasks"):
        if isinstance(block.get(key), list):
            block[key] = [_with_ids(child) if "type" in child else child for child in block[key]]
    return block


def _with_action_id(element: Json) -> Json:
    if is_interactive(element) and "action_id" not in element:
        return {**element, "action_id": secrets.token_urlsafe(4)}
    return element


class Posting(State):
    """Messages, files and views as values; every change is announced."""

    def post(
        self,
        channel: str | Channel,
        who: str | Person,
        text: str = "",
        *,
        blocks: list[Json] | tuple[Json, ...] = (),
        thread_ts: str = "",
        ts: str = "",
        **more: Any,
    ) -> Message:
        """A new message. `thread_ts` may name a reply: it goes to that reply's thread, as in Slack."""
        where = self.channel(channel)
        person = self.person(who)
        if where.is_archived:
            raise Refused("is_archived")
        message = Message(
            ts or self.new_ts(),
            where.id,
            person.id,
            text,
            bot_id=person.bot_id,
            blocks=with_ids(blocks),
            thread_ts=self.thread_of(where.id, thread_ts),
            **more,
        )
        return self._keep(message)

    def thread_of(self, channel: str, ts: str) -> str:
        if not ts:
            return ""
        try:
            head = self.message(channel, ts)
        except Refused:
            raise Refused("thread_not_found") from None
        return head.thread_ts or head.ts

    def update(
        self,
        channel: str,
        ts: str,
        *,
        text: str | None = None,
        blocks: list[Json] | tuple[Json, ...] | None = None,
        editor: str = "",
        **more: Any,
    ) -> Message:
        """Put new words in the old place; what is None stays. `editor` marks it as edited (a person's edit)."""
        old = self.message(channel, ts)
        if editor:
            more |= {"edited": self.new_ts(), "edited_by": editor}
        if text is not None:
            more["text"] = text
        if blocks is not None:
            more["blocks"] = with_ids(blocks)
        return self.put(replace(old, **more))

    def delete(self, channel: str, ts: str, person: str = "") -> None:
        self._remove(self.message(channel, ts, person))

    def post_ephemeral(
        self,
        channel: str | Channel,
        to: str | Person,
        text: str = "",
        *,
        who: str | Person = "",
        blocks: list[Json] | tuple[Json, ...] = (),
        thread_ts: str = "",
        **more: Any,
    ) -> Message:
        """Seen by one person until they reload; `who` speaks (the app if nobody is named)."""
        speaker = self.person(who or self.app.user_id)
        message = Message(
            self.new_ts(),
            self.channel(channel).id,
            speaker.id,
            text,
            bot_id=speaker.bot_id,
            blocks=with_ids(blocks),
            thread_ts=thread_ts,
            ephemeral_to=self.person(to).id,
            **more,
        )
        return self._keep_ephemeral(message)

    def replace_ephemeral(self, old: Message, text: str, blocks: list[Json] | tuple[Json, ...]) -> Message:
        return self.put(replace(old, text=text, blocks=with_ids(blocks)))

    # Files

    def new_file(self, name: str, content: bytes | None, *, size: int, user: str, mimetype: str) -> File:
        file = File(self.new_id("F"), name, name, size, mimetype, user, content, int(time.time()))
        return self.add_file(file)

    def share_files(
        self, files: list[File], channel: str | Channel, who: str | Person, *, text: str = "", thread_ts: str = ""
    ) -> Message:
        return self.post(channel, who, text, thread_ts=thread_ts, files=tuple(file.id for file in files))

    # Views

    def open_view(self, trigger_id: str, view: Json) -> View:
        """A modal on an empty screen, or on the others of the person (`views.push` goes the same way)."""
        trigger = self.use_trigger(trigger_id)
        return self._show(trigger.person, with_current_conversation(view, trigger.channel), trigger_id)

    def push_view(self, trigger_id: str, view: Json) -> View:
        trigger = self.use_trigger(trigger_id)
        if not self.modals.get(trigger.person):
            raise Refused("not_found")
        return self._show(trigger.person, view, trigger_id)

    def _show(self, person: str, view: Json, trigger_id: str = "") -> View:
        stack = self.modals.setdefault(person, [])
        if len(stack) >= self.settings.views_deep:
            raise Refused("push_limit_reached")
        view_id = self.new_id("V")
        root, previous = (self.views[stack[-1]].root_id, stack[-1]) if stack else (view_id, "")
        shown = View(view_id, "modal", self._kept(view), person, _new_hash(), root, previous, trigger_id)
        self.views[view_id] = shown
        stack.append(view_id)
        self.announce("view_opened", person=person, view_id=view_id)
        return shown

    def update_view(self, view: Json, *, view_id: str = "", external_id: str = "", view_hash: str = "") -> View:
        old = self.find_view(view_id, external_id)
        if view_hash and view_hash != old.hash:
            raise Refused("hash_conflict")
        self.views[old.id] = replace(old, view=self._kept(view), hash=_new_hash())
        self.announce("view_updated", person=old.owner, view_id=old.id)
        return self.views[old.id]

    def find_view(self, view_id: str = "", external_id: str = "") -> View:
        if view_id in self.views:
            return self.views[view_id]
        for view in self.views.values():
            if external_id and view.view.get("external_id") == external_id:
                return view
        raise Refused("not_found")

    def publish_home(self, who: str | Person, view: Json, view_hash: str = "") -> View:
        person = self.person(who).id
        old = self.homes.get(person)
        if old is not None and view_hash and view_hash != old.hash:
            raise Refused("hash_conflict")
        view_id = old.id if old is not None else self.new_id("V")
        home = View(view_id, "home", self._kept(view), person, _new_hash(), view_id)
        self.homes[person] = self.views[view_id] = home
        self.announce("home_published", person=person, view_id=view_id)
        return home

    def modals_of(self, who: str | Person) -> list[View]:
        """The person's open modals, the visible one last."""
        return [self.views[view_id] for view_id in self.modals.get(self.person(who).id, ())]

    def _drop_view(self, view: View, *, all_of_them: bool = False) -> None:
        stack = self.modals.get(view.owner, [])
        gone = stack[:] if all_of_them else [view.id]
        for view_id in gone:
            if view_id in stack:
                stack.remove(view_id)
                self.views.pop(view_id, None)
                self.announce("view_closed", person=view.owner, view_id=view_id)

    @staticmethod
    def _kept(view: Json) -> Json:
        return {**view, "blocks": list(with_ids(view.get("blocks", [])))}


def _new_hash() -> str:
    return f"{int(time.time())}.{secrets.token_hex(4)}"
