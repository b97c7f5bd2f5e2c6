"""Slack's clocks and limits as settings, so that a test can make three seconds short; and what the app is.

Used by everything in `sandbox.slack`; the world builds them from `app-manifest.yml`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Calls a minute.
TIER_1, TIER_2, TIER_3, TIER_4 = 1, 20, 50, 100
# Posting: about one message a second in each channel, with short bursts.
POSTING, POSTING_BURST = 60, 10


@dataclass(frozen=True, slots=True)
class SlackSettings:
    """Times are in seconds. `rates` puts (burst, calls a minute) in the place of a method's tier."""

    acknowledge_within: float = 3.0
    trigger_lives: float = 3.0
    response_url_lives: float = 1800.0
    response_url_uses: int = 5
    event_retry_after: tuple[float, ...] = (0.0, 60.0, 300.0)
    ping_every: float = 5.0
    approximate_connection_time: int = 18060
    warn_before_refresh: float = 0.1
    connections_at_most: int = 10
    views_deep: int = 3
    rate_limits: bool = True
    rate_scale: float = 1.0
    rates: Mapping[str, tuple[float, float]] = field(default_factory=dict)


DEFAULT_SCOPES = frozenset({
    "app_mentions:read",
    "channels:history",
    "channels:join",
    "channels:read",
    "chat:write",
    "commands",
    "files:read",
    "files:write",
    "groups:history",
    "groups:read",
    "im:history",
    "im:read",
    "im:write",
    "reactions:write",
    "usergroups:read",
    "users:read",
})  # fmt: skip

DEFAULT_EVENTS = frozenset({"app_home_opened", "app_mention", "message.im"})


@dataclass(frozen=True, slots=True)
class SlackApp:
    """The app as it is installed: its commands and shortcuts, what it may do (`scopes`) and hears of (`events`)."""

    id: str = "A0OMNICARE"
    name: str = "OmniCare"
    handle: str = "omnicare"
    user_id: str = "U0OMNICARE"
    bot_id: str = "B0OMNICARE"
    commands: Mapping[str, str] = field(default_factory=lambda: {"/omnicare": "Operations of the medical record"})
    usage_hints: Mapping[str, str] = field(default_factory=dict)
    escaped_commands: frozenset[str] = frozenset()
    shortcuts: Mapping[str, str] = field(default_factory=dict)
    message_shortcuts: Mapping[str, str] = field(default_factory=dict)
    scopes: frozenset[str] = DEFAULT_SCOPES
    events: frozenset[str] = DEFAULT_EVENTS
    bot_token: str = "xoxb-sandbox-bot"  # noqa: S105 - opens nothing but this machine's sandbox
    app_token: str = "xapp-sandbox-app"  # noqa: S105 - the same

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> "SlackApp":
        """The app that Slack would make of this manifest."""
        features = manifest.get("features", {})
        commands = features.get("slash_commands", [])
        shortcuts = features.get("shortcuts", [])
        bot_user = features.get("bot_user", {})
        settings = manifest.get("settings", {})
        name = manifest.get("display_information", {}).get("name", "OmniCare")
        return cls(
            name=bot_user.get("display_name", name),
            handle=bot_user.get("display_name", name).lower().replace(" ", "-"),
            commands={command["command"]: command.get("description", "") for command in commands},
            usage_hints={command["command"]: command.get("usage_hint", "") for command in commands},
            escaped_commands=frozenset(command["command"] for command in commands if command.get("should_escape")),
            shortcuts={one["callback_id"]: one["name"] for one in shortcuts if one["type"] == "global"},
            message_shortcuts={one["callback_id"]: one["name"] for one in shortcuts if one["type"] == "message"},
            scopes=frozenset(manifest.get("oauth_config", {}).get("scopes", {}).get("bot", [])),
            events=frozenset(settings.get("event_subscriptions", {}).get("bot_events", [])),
        )
