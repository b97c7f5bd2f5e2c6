"""Writes what comes from the definitions: the Slack app's manifest, the roles in Kubernetes, and `docs/reference`.

`omnicare generate` writes, `omnicare generate --check` (CI) says what would change. Each page is a function from the definitions to
text (`bot.reference`), so a command, a setting or a reason code that is new explains itself.
"""

from collections.abc import Callable
from pathlib import Path

from bot.reference.commands import commands, permissions
from bot.reference.events import audit_events, metrics, reason_codes
from bot.reference.guide import guide_coverage
from bot.reference.messages import messages
from bot.reference.roles import roles
from bot.reference.settings import configuration
from commands.kit import registry
from commands.kit.registry import Registry

MANIFEST = Path("app-manifest.yml")
REFERENCE = Path("docs/reference")
ROLES = Path("deploy/roles.yml")
GUIDE = Path("docs/guide-coverage.md")


class NotAClone(Exception):
    """The directory is not a clone of this project; the message is a sentence."""


def pages(known: Registry) -> dict[Path, str]:
    """Return every generated file and its text."""
    from bot.surfaces.slack.manifest import manifest

    makers: dict[str, Callable[[], str]] = {
        "commands.md": lambda: commands(known),
        "permissions.md": lambda: permissions(known),
        "reason-codes.md": reason_codes,
        "configuration.md": configuration,
        "audit-events.md": audit_events,
        "metrics.md": metrics,
        "messages.md": messages,
    }
    alone = {MANIFEST: manifest(known), ROLES: roles(), GUIDE: guide_coverage()}
    return alone | {REFERENCE / name: make() for name, make in makers.items()}


def generate(root: Path, *, check: bool) -> list[Path]:
    """Write the files and return those that changed, or with `check` those that would change. Raises `NotAClone`."""
    if not (root / "bot" / "reference" / "generate.py").is_file():
        raise NotAClone(f"{root.resolve()} is no clone of this project. Go there, or name it with --root.")
    changed = []
    for path, text in pages(registry.load()).items():
        target = root / path
        if target.is_file() and target.read_text(encoding="utf-8") == text:
            continue
        changed.append(path)
        if not check:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    return changed
