"""Types of values in `omnicare.toml`. What could not work later is refused here, with what to write instead."""

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator

from runbooks.clients.health import valid

Value = TypeVar("Value")


def _checked(fits: Callable[[Value], object], instead: str) -> AfterValidator:
    def check(value: Value) -> Value:
        if not fits(value):
            raise ValueError(instead)
        return value

    return AfterValidator(check)


def _whole(pattern: str) -> Callable[[str], object]:
    return re.compile(pattern, re.ASCII).fullmatch


def _engine(url: str) -> bool:
    """Return whether the engine's database can have this URL."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    if parts.scheme == "sqlite":
        return url.startswith("sqlite:///") and len(url) > len("sqlite:///")
    return parts.scheme in ("postgresql", "postgresql+psycopg") and bool(parts.hostname or "host=" in parts.query)


def _host(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", text) is not None
    return True


def _path(path: Path) -> bool:
    text = str(path)
    return text != "." and text.isprintable() and not text.startswith("~") and "$" not in text


FilePath = Annotated[
    Path, _checked(_path, "write a path, such as /etc/omnicare/file; `~` and `$NAME` are not replaced")
]
Named = Annotated[str, _checked(str.strip, "it is empty: write a text")]
SlackPerson = Annotated[
    str,
    _checked(_whole("[UW][A-Z0-9]+"), "write the member's id, such as U012AB3CD (in Slack: profile, Copy member ID)"),
]
SlackChannel = Annotated[
    str,
    _checked(
        _whole("[CGD][A-Z0-9]+"), "write the channel's id, such as C012AB3CD (in Slack: at the end of its details)"
    ),
]
SlackTeam = Annotated[str, _checked(_whole("[TE][A-Z0-9]+"), "write the workspace's id, such as T012AB3CD")]
SlashCommand = Annotated[
    str, _checked(_whole("/[a-z0-9_-]{1,31}"), "write a slash and a name in lower case, such as /omnicare")
]
Account = Annotated[str, _checked(_whole(r"[^\s:]+"), "write the name of an account on this machine, such as maya")]
KubernetesName = Annotated[
    str,
    _checked(
        _whole("[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"),
        "write a name as Kubernetes has it: lower case letters, digits, hyphens",
    ),
]
Repository = Annotated[
    str,
    _checked(
        _whole(r"(\$REGISTRY/|\$\{REGISTRY\}/)?([A-Za-z0-9.-]+(:[0-9]{1,5})?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*"),
        "write an image without https://, tag and digest, such as ghcr.io/omnicare/backend",
    ),
]
DatabaseUrl = Annotated[
    str, _checked(_engine, "write postgresql://USER@HOST:PORT/NAME, or sqlite:/// and a path; or leave it out")
]
WebAddress = Annotated[
    str, _checked(valid, "write an address that begins with https:// or http://, without a password")
]
ListenHost = Annotated[
    str, _checked(_host, "write a host without http:// and port, such as 0.0.0.0; the port is `web_port`")
]
ImagePart = Annotated[
    str, _checked(_whole(r"[^\s@]+(?<!/)"), "write a part of an image's name, such as ghcr.io/omnicare")
]
Registry = Annotated[str, _checked(_whole(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?"), "write a registry's host, such as ghcr.io")]
Executor = Annotated[
    str, _checked(_whole("[A-Za-z0-9._-]+"), "write a name of letters, digits, hyphens, such as omnicare-0")
]
