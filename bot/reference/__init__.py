"""The pages of `docs/reference`, each made from the definitions that it describes. Written by `bot.generate`."""

from bot.reference.commands import commands, permissions
from bot.reference.events import audit_events, metrics, reason_codes
from bot.reference.messages import messages
from bot.reference.roles import roles
from bot.reference.settings import configuration

__all__ = ["audit_events", "commands", "configuration", "messages", "metrics", "permissions", "reason_codes", "roles"]
