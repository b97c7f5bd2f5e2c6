"""A closed set of commands in pods, over the Kubernetes API's WebSocket (`pods/exec`), limited in bytes and seconds.

RBAC can't restrict which command runs in a pod, so this client does: a `Program` is created once from the configuration, and a
caller chooses one of the set. Typed text is never an argument; the input of a program is passed through
standard input, as data.

The channels are read raw (`v5.channel.k8s.io` where the server has it, else `v4`): 1 and 2 are the output, 3 tells how it ended.
"""

import asyncio
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbooks.clients.kubernetes.connection import Connection
from runbooks.clients.kubernetes.errors import unreachable, unreadable
from runbooks.clients.kubernetes.fields import fields, listed, text
from runbooks.kit.answers import read_object
from runbooks.kit.errors import PermanentError, TemporaryError
from runbooks.kit.programs import plain
from runbooks.kit.reasons import ReasonCode
from runbooks.wording import size

if TYPE_CHECKING:
    import aiohttp

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_STDIN, _STDOUT, _STDERR, _ENDED = range(4)
_CLOSE = 255
"""v5 only: closes the channel named after it. v4 can't do that, so a program must not wait for the end of its input."""

_CODE = re.compile(r"[0-9]{1,3}", re.ASCII)
_FRAME = 32 * 1024
Heard = Callable[[bytes, int], None]
"""Takes a piece of output and its channel."""
_BYE = 0.5
"""Seconds for closing the socket cleanly."""


@dataclass(frozen=True, slots=True)
class Program:
    """An argument list of the closed set. Plain characters only: no shell, no whitespace, nothing to expand."""

    arguments: tuple[str, ...]

    def __post_init__(self) -> None:
        plain(self.arguments)

    def __str__(self) -> str:
        return " ".join(self.arguments)


@dataclass(frozen=True, slots=True, repr=False)
class Output:
    """The result of a program. Its `repr` does not show the output, which may be about patients."""

    code: int | None
    """Its exit status; None if it could not be started."""
    out: bytes
    err: bytes
    message: str
    """The cluster's message, if the program did not end by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecLimits:
    """The limits of one call."""

    seconds: float = 15.0
    """From the first byte sent to the end; this also ends a half-open socket."""
    bytes: int = 1 << 20
    """For output and errors, each."""


class ProgramTimedOut(PermanentError):
    """The program did not finish in time."""


class Exec:
    """A runner for the programs of one closed set. Created by `ClusterClient.programs`."""

    def __init__(self, connection: Connection, programs: Iterable[Program]) -> None:
        self._connection = connection
        self._programs = frozenset(programs)

    async def run(
        self,
        namespace: str,
        pod: str,
        container: str,
        program: Program,
        *,
        stdin: bytes = b"",
        limits: ExecLimits,
        heard: Heard | None = None,
    ) -> Output:
        """Run a program; `heard` is told its output as it comes, and whether it is 1 (out) or 2 (errors). Raises `ProgramTimedOut`, PermanentError(OUTPUT_TOO_LARGE), or the connection's errors."""
        if program not in self._programs:
            raise ValueError("this program is not configured")
        query = [("command", word) for word in program.arguments]
        query += [("container", container), ("stdout", "true"), ("stderr", "true")]
        query += [("stdin", "true")] if stdin else []
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/exec"
        doing = f"run `{program}` in {pod}"
        from aiohttp import ClientError, WSServerHandshakeError

        try:
            async with asyncio.timeout(limits.seconds) as deadline:
                socket = await self._connection.websocket(path, query, protocols=PROTOCOLS)
                try:
                    return await _Talk(socket, limits, doing, heard).to_the_end(stdin)
                finally:
                    await _part(socket)
        except WSServerHandshakeError as error:
            raise self._connection.handshake_refused(error.status, doing) from error
        except TimeoutError as error:
            if not deadline.expired():
                raise unreachable(self._connection.server, error) from error
            raise ProgramTimedOut(
                f"`{program}` did not finish within {limits.seconds:g} s in pod {pod}. It may still be running there.",
                code=ReasonCode.SCRIPT_UNANSWERED,
                advice=(f"`logs {pod}` may show what it is waiting for.",),
            ) from error
        except (ClientError, OSError) as error:
            raise unreachable(self._connection.server, error) from error


class _Talk:
    """One running program."""

    def __init__(
        self,
        socket: "aiohttp.ClientWebSocketResponse",
        limits: ExecLimits,
        doing: str,
        heard: Heard | None,
    ) -> None:
        self._tell = heard
        self._socket = socket
        self._limits = limits
        self._doing = doing
        self._heard: dict[int, bytearray] = {_STDOUT: bytearray(), _STDERR: bytearray()}

    async def to_the_end(self, stdin: bytes) -> Output:
        """Send the input and read the output side by side: a program may answer before it has read everything."""
        feeding = asyncio.create_task(self._feed(stdin))
        try:
            return await self._listen()
        finally:
            feeding.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await feeding

    async def _feed(self, stdin: bytes) -> None:
        if not stdin:
            return
        for first in range(0, len(stdin), _FRAME):
            await self._socket.send_bytes(bytes((_STDIN,)) + stdin[first : first + _FRAME])
        if self._socket.protocol == PROTOCOLS[0]:
            await self._socket.send_bytes(bytes((_CLOSE, _STDIN)))

    async def _listen(self) -> Output:
        from aiohttp import WSMsgType

        async for message in self._socket:
            if message.type is WSMsgType.BINARY and message.data:
                ended = self._take(message.data[0], message.data[1:])
                if ended is not None:
                    return ended
        raise unreachable("the cluster", ConnectionError("the connection ended before the command did"))

    def _take(self, channel: int, data: bytes) -> Output | None:
        if channel == _ENDED:
            code, message = _how(data)
            return Output(code, bytes(self._heard[_STDOUT]), bytes(self._heard[_STDERR]), message)
        heard = self._heard.get(channel)
        if heard is not None:
            heard += data
            if self._tell is not None:
                self._tell(data, channel)
            if len(heard) > self._limits.bytes:
                raise PermanentError(
                    f"The output exceeded {size(self._limits.bytes)} and was cut off (trying to {self._doing}).",
                    code=ReasonCode.OUTPUT_TOO_LARGE,
                )
        return None


def _how(data: bytes) -> tuple[int | None, str]:
    """Return exit status and the cluster's message, from the `Status` on channel 3."""
    unknown = "the cluster's report of its exit status can't be read"
    try:
        status = read_object(data, lambda: unreadable("", ""))
    except TemporaryError:
        return None, unknown
    if status.get("status") == "Success":
        return 0, ""
    causes = listed(fields(status, "details"), "causes")
    said = next((text(each, "message") for each in causes if each.get("reason") == "ExitCode"), "")
    return int(said) if _CODE.fullmatch(said) else None, text(status, "message", unknown)


async def _part(socket: "aiohttp.ClientWebSocketResponse") -> None:
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(_BYE):
            await socket.close()
