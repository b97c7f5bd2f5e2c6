"""The Slack app's manifest, generated from the registry: what the app may do, and why.

`omnicare generate` writes it to `app-manifest.yml`; it is pasted into Slack when the app is made. Each scope has its reason here, and
`doctor` and the reference tell the same.
"""

import json
from collections.abc import Iterator, Mapping, Sequence

from bot.surfaces.slack.inbound.payloads import DIAGNOSE, Shortcut
from commands.kit.registry import Registry
from commands.kit.spec import CommandSpec, Kind

COMMAND = "/omnicare"
APP_SCOPE = "connections:write"
APP_REASON = "The app-level token opens the Socket Mode connections."

SCOPES: dict[str, str] = {
    "app_mentions:read": "Read mentions, which are the commands in threads: slash commands do not work there.",
    "channels:history": "After a crash, check whether a run's message was already posted; in a thread, read what was answered before.",
    "channels:read": "Check whether the bot is in the channel where a command was typed, and who sees a thread there.",
    "chat:write": "Post cards, progress and answers.",
    "commands": "Offer the slash command and the shortcuts.",
    "files:read": "Check whether a file is already shared before sharing it again.",
    "files:write": "Share long output as a file in the thread.",
    "groups:history": "As channels:history, in private channels that the bot was invited to.",
    "groups:read": "As channels:read, in private channels that the bot was invited to.",
    "im:history": "Read commands in direct messages, and the bot's own messages there after a crash.",
    "im:write": "Notify approvers who are not in the channel, and send answers that fit nowhere else.",
    "usergroups:read": "Let user groups add roles to listed people (who is on call today).",
    "users:read": "Check whether an account is deactivated, a guest, a bot or external: such accounts may not act.",
}
"""Bot scopes: the least that work."""

EVENTS: dict[str, str] = {
    "app_home_opened": "Show Home when somebody opens it.",
    "app_mention": "A command in a thread.",
    "message.im": "A command typed to the bot directly.",
    "subteam_members_changed": "A user group's members changed: discard what was cached.",
}

_NAME = "OmniCare"
_ABOUT = "Deploys, rollbacks and a view of production, with approval and an audit log"
_LONG = (
    "OmniCare runs production operations for the medical record. A command becomes a plan, somebody else approves the plan in its "
    "thread, the run reports its progress, and everything is written to an audit log. Nothing that could identify a "
    "patient, and no secret, is ever shown here."
)
_HINT_AT_MOST = 1000


def document(registry: Registry, *, command: str = COMMAND) -> dict[str, object]:
    """Return the manifest as data."""
    diagnose: list[dict[str, object]] = [
        {
            "name": "Diagnose from here",
            "type": "message",
            "callback_id": Shortcut.DIAGNOSE.value,
            "description": "Find out what is wrong; the answer goes to the message's thread",
        }
    ]
    return {
        "_metadata": {"major_version": 1, "minor_version": 1},
        "display_information": {
            "name": _NAME,
            "description": _ABOUT,
            "long_description": _LONG,
            "background_color": "#1f3a5f",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": _NAME, "always_online": True},
            "shortcuts": [
                {
                    "name": "Run a command",
                    "type": "global",
                    "callback_id": Shortcut.MENU.value,
                    "description": "Choose a command and a channel, then fill in the form",
                },
                *(diagnose if registry.find(DIAGNOSE) is not None else ()),
                {
                    "name": "Run a command here",
                    "type": "message",
                    "callback_id": Shortcut.THREAD.value,
                    "description": "Choose a command; the answer goes to the message's thread",
                },
                {
                    "name": "Show this run",
                    "type": "message",
                    "callback_id": Shortcut.RUN.value,
                    "description": "Steps and timeline of the run that a message belongs to",
                },
            ],
            "slash_commands": [
                {
                    "command": command,
                    "description": "Operations of the medical record",
                    "usage_hint": usage_hint(tuple(registry)),
                    "should_escape": False,
                }
            ],
        },
        "oauth_config": {"scopes": {"bot": sorted(SCOPES)}},
        "settings": {
            "event_subscriptions": {"bot_events": sorted(EVENTS)},
            "interactivity": {"is_enabled": True},
            "org_deploy_enabled": False,
            "socket_mode_enabled": True,
            "token_rotation_enabled": False,
        },
    }


def usage_hint(specs: Sequence[CommandSpec]) -> str:
    """Return the commands by name, those that change something first; as many as fit."""
    order = (Kind.OPERATION, Kind.QUERY, Kind.DECISION)
    names = [spec.name for spec in sorted(specs, key=lambda spec: (order.index(spec.kind), spec.name))]
    hint = " | ".join(names) or "help"
    return hint if len(hint) <= _HINT_AT_MOST else f"{hint[: _HINT_AT_MOST - 2].rpartition(' |')[0]} …"


def manifest(registry: Registry, *, command: str = COMMAND) -> str:
    """Return the manifest as YAML, with each scope's and event's reason beside it."""
    head = [
        "# The Slack app. Generated from the commands by `omnicare generate`; do not edit.",
        f"# In addition to the bot's scopes, it needs an app-level token with {APP_SCOPE}:",
        f"# {APP_REASON}",
    ]
    return "\n".join([*head, *_lines(document(registry, command=command), 0)]) + "\n"


_REASONS = SCOPES | EVENTS


def _lines(value: Mapping[str, object], indent: int) -> Iterator[str]:
    """Yield the lines of a mapping in block style. Texts are written as JSON strings, which YAML accepts."""
    blank = "  " * indent
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield f"{blank}{key}:"
            yield from _lines(item, indent + 1)
        elif isinstance(item, Sequence) and not isinstance(item, str):
            yield f"{blank}{key}:"
            for each in item:
                yield from _item(each, indent + 1)
        else:
            yield f"{blank}{key}: {json.dumps(item, ensure_ascii=False)}"


def _item(item: object, indent: int) -> Iterator[str]:
    blank = "  " * indent
    if isinstance(item, Mapping):
        first, *rest = _lines(item, indent + 1)
        yield f"{blank}- {first.strip()}"
        yield from rest
    else:
        reason = _REASONS.get(str(item))
        yield f"{blank}- {json.dumps(item)}" + (f"  # {reason}" if reason else "")
