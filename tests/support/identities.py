"""Who gives a bot its credentials, as outside clusters: tokens that live shortly, from an exec plug-in or in a file, for the sandbox's cluster."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from sandbox.cluster import Cluster

API = "client.authentication.k8s.io/v1"


@dataclass
class Issuer:
    """Keeps a token that is good in a folder, and has its plug-in give it out."""

    cluster: Cluster
    folder: Path
    user: str
    lives: float
    """Seconds."""
    says_when: bool = True
    """Whether the plug-in says when its token expires."""
    issued: int = 0

    @property
    def token_file(self) -> Path:
        return self.folder / "token"

    @property
    def plugin(self) -> Path:
        return self.folder / "get-token"

    @property
    def asked(self) -> int:
        """How often the plug-in was run."""
        calls = self.folder / "calls"
        return len(calls.read_text().splitlines()) if calls.exists() else 0

    def renew(self) -> None:
        """Another token, in place of the one that was there."""
        lives = timedelta(seconds=self.lives)
        token = self.cluster.issue_token(self.user, lives)
        self.issued += 1
        status: dict[str, Any] = {"token": token}
        if self.says_when:
            status["expirationTimestamp"] = (datetime.now(UTC) + lives).isoformat().replace("+00:00", "Z")
        self._write("credential", json.dumps({"apiVersion": API, "kind": "ExecCredential", "status": status}))
        self._write("token", f"{token}\n")
        if not self.plugin.exists():
            self.mend()

    def break_down(self) -> None:
        """The plug-in fails from here on."""
        self._script("echo 'Unable to locate credentials' >&2; exit 255")

    def mend(self) -> None:
        self._script(f"exec cat {self.folder}/credential")

    def _script(self, last: str) -> None:
        self._write("get-token", f"#!/bin/sh\necho called >> {self.folder}/calls\n{last}\n", mode=0o700)

    def _write(self, name: str, text: str, mode: int = 0o600) -> None:
        """At once, as kubelets and tools do."""
        half = self.folder / f"{name}.new"
        half.write_text(text)
        half.chmod(mode)
        half.replace(self.folder / name)

    def kubeconfig(self, plain: Path, how: str) -> Path:
        """A kubeconfig like `plain`, whose user shows an `exec` plug-in's tokens or those of a `file`."""
        document = yaml.safe_load(plain.read_text())
        shown = {
            "exec": {"exec": {"apiVersion": API, "command": str(self.plugin), "interactiveMode": "Never"}},
            "file": {"tokenFile": str(self.token_file)},
        }[how]
        document["users"] = [{"name": each["name"], "user": shown} for each in document["users"]]
        written = self.folder / f"{how}.kubeconfig"
        written.write_text(yaml.safe_dump(document))
        return written


@asynccontextmanager
async def issuing(issuer: Issuer) -> AsyncIterator[Issuer]:
    """Renews it again and again, so that the one that lies there is always good for half of its life."""

    async def go_on() -> None:
        while True:
            await asyncio.sleep(issuer.lives / 2)
            issuer.renew()

    issuer.folder.mkdir(parents=True, exist_ok=True)
    issuer.renew()
    renewing = asyncio.create_task(go_on())
    try:
        yield issuer
    finally:
        renewing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await renewing
