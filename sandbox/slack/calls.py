"""One call of the Web API: its arguments, whatever way they came, and the table of the methods that there are.

`methods/` fill the table, `api.py` looks things up in it and checks token, scopes and rate before a method runs.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sandbox.slack.model import Channel, Json, Refused
from sandbox.slack.settings import TIER_3
from sandbox.slack.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Call:
    """The arguments of one call, and where it came to (`base`, the server's address without a path)."""

    method: str
    arguments: Mapping[str, Any]
    workspace: Workspace
    base: str

    def text(self, name: str, default: str = "") -> str:
        value = self.arguments.get(name)
        return default if value is None else str(value)

    def needed(self, name: str, error: str = "invalid_arguments") -> str:
        if not (value := self.text(name)):
            raise Refused(error, f"[ERROR] missing required field: {name} [json-pointer:/{name}]")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self.arguments.get(name, default)
        return value.lower() in {"true", "1"} if isinstance(value, str) else bool(value)

    def number(self, name: str, default: int) -> int:
        try:
            return int(self.arguments.get(name) or default)
        except (TypeError, ValueError):
            raise Refused("invalid_arguments", f"[ERROR] must be an integer [json-pointer:/{name}]") from None

    def value(self, name: str, error: str = "invalid_arguments") -> Any:
        """An object or list; a form sends it as JSON in a string."""
        value = self.arguments.get(name)
        if not isinstance(value, str):
            return value
        if not value:
            return None
        try:
            return json.loads(value)
        except ValueError:
            raise Refused(error) from None

    # What several methods ask in the same way

    def channel(self, name: str = "channel") -> Channel:
        """The channel that was named, if the app may know that it exists."""
        channel = self.workspace.channel(self.needed(name, "channel_not_found"))
        if channel.is_private and self.workspace.app.user_id not in channel.members:
            raise Refused("channel_not_found")
        return channel

    def page(self, items: list[Json], key: str, *, limit: int = 100) -> Json:
        """A page of a long list, and the cursor of the next."""
        limit = min(self.number("limit", limit), 1000)
        try:
            start = int(self.text("cursor", "0").rpartition("-")[2] or 0)
        except ValueError:
            raise Refused("invalid_cursor") from None
        cursor = f"next-{start + limit}" if start + limit < len(items) else ""
        return {key: items[start : start + limit], "response_metadata": {"next_cursor": cursor}}


Handler = Callable[[Call], Awaitable[Json]]


@dataclass(frozen=True, slots=True)
class Method:
    """How a method is guarded: any one of `scopes`, the kind of token, and how often in a minute it may be called.

    `per_channel` counts each channel by itself, `burst` is what may come at once.
    """

    handler: Handler
    scopes: tuple[str, ...] = ()
    per_minute: float = TIER_3
    token: Literal["bot", "app", "none"] = "bot"  # noqa: S105 - a kind of token
    burst: float | None = None
    per_channel: bool = False


METHODS: dict[str, Method] = {}


def method(name: str, *scopes: str, **guards: Any) -> Callable[[Handler], Handler]:
    """Register what answers to a method."""

    def register(handler: Handler) -> Handler:
        METHODS[name] = Method(handler, scopes, **guards)
        return handler

    return register
