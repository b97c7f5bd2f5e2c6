"""What may be run in the pods of this cluster: a handful of programs, and an npm with the scripts that the world gives it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sandbox.cluster.resources import Json

Write = Callable[[bytes], Awaitable[None]]
NOT_FOUND = 127


@dataclass(frozen=True)
class Execution:
    """One command in a container: its words, and its three streams. Input ends where the client can say so."""

    pod: Json
    container: str
    words: tuple[str, ...]
    out: Write
    err: Write
    stdin: asyncio.StreamReader = field(default_factory=lambda: asyncio.StreamReader(limit=16 << 20))

    @property
    def spec(self) -> Json:
        """Of its container."""
        kinds = ("containers", "initContainers", "ephemeralContainers")
        listed = [each for kind in kinds for each in self.pod["spec"].get(kind) or []]
        return next(each for each in listed if each["name"] == self.container)

    @property
    def image(self) -> str:
        """Of its container."""
        return str(self.spec["image"])

    @property
    def environment(self) -> dict[str, str]:
        """The variables with a value of their own."""
        return {each["name"]: str(each["value"]) for each in self.spec.get("env") or [] if "value" in each}

    @property
    def namespace(self) -> str:
        return str(self.pod["metadata"]["namespace"])


Program = Callable[[Execution], Awaitable[int]]
"""Its exit status."""
Scripts = Mapping[str, Program]
"""What `npm run` knows, by name."""


def knows(words: Sequence[str]) -> bool:
    """Whether containers here have the program."""
    name = words[0].rpartition("/")[2] if words else ""
    return name == "npm" or name in _PROGRAMS


async def run(execution: Execution, scripts: Scripts) -> int:
    """Runs the command; 127 for what no container here has."""
    name = execution.words[0].rpartition("/")[2]
    if name == "npm":
        return await _npm(execution, scripts)
    if name not in _PROGRAMS:
        await execution.err(f"{' '.join(execution.words)}: not found\n".encode())
        return NOT_FOUND
    return await _PROGRAMS[name](execution)


async def _npm(execution: Execution, scripts: Scripts) -> int:
    """`npm run [--silent] SCRIPT [-- ARGUMENT…]`, as loud and as silent as the real one."""
    words = list(execution.words[1:])
    silent = "--silent" in words
    named = [word for word in words[: words.index("--") if "--" in words else None] if not word.startswith("-")]
    if named[:1] not in (["run"], ["run-script"]) or len(named) < 2:  # noqa: PLR2004
        await execution.err(b"npm <command>\n\nUsage:\n  npm run <foo>\n")
        return 1
    script = scripts.get(named[1])
    if script is None:
        if not silent:
            await execution.err(f'npm error Missing script: "{named[1]}"\n'.encode())
        return 1
    if not silent:
        await execution.out(
            f"\n> backend@1.0.0 {named[1]}\n> node scripts/{named[1].replace(':', '-')}.js\n\n".encode()
        )
    return await script(execution)


async def _cat(execution: Execution) -> int:
    while data := await execution.stdin.read(1 << 15):
        await execution.out(data)
    return 0


async def _echo(execution: Execution) -> int:
    await execution.out(" ".join(execution.words[1:]).encode() + b"\n")
    return 0


async def _true(_: Execution) -> int:
    return 0


async def _false(_: Execution) -> int:
    return 1


_PROGRAMS: Mapping[str, Program] = {"cat": _cat, "echo": _echo, "true": _true, "false": _false}


async def _database_test(execution: Execution) -> int:
    await execution.out(b"database connection ok (3 ms)\n")
    return 0


async def _pool(execution: Execution) -> int:
    await execution.out(b'{"size": 20, "idle": 14, "waiting": 0, "max": 50}\n')
    return 0


async def _failing(execution: Execution) -> int:
    await execution.err(b"Error: this script always fails\n")
    return 1


async def _sessions(execution: Execution) -> int:
    await execution.out(b"ward-3: 14 signed in\nward-5: 9 signed in\nemergency: 21 signed in\n")
    return 0


async def _warm(execution: Execution) -> int:
    what = execution.words[-1]
    for done in (40, 80, 120):
        await execution.out(f"{what}: {done} of 120 entries\n".encode())
    await execution.out(f"{what}: the cache is warm\n".encode())
    return 0


async def _reindex(execution: Execution) -> int:
    await execution.out(b"reading 4,100,000 notes\nindex built, 2 segments merged\n")
    return 0


ALWAYS: Scripts = {
    "db:test": _database_test,
    "db:pool:status": _pool,
    "test:failing": _failing,
    "report:sessions": _sessions,
    "cache:warm": _warm,
    "search:reindex": _reindex,
}
"""In every image."""
