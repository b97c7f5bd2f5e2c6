"""The server side of the terminal: the kernel identifies the caller, and commands go through the dispatcher.

A client that disconnects stops nothing: accepted commands continue. Everything that is sent is redacted here, except what the
dispatcher releases for one account at a terminal (`logs --raw`), which is sent only to a process of this account.
"""

import asyncio
import contextlib
import json
import logging
import os
import socket
import stat
import struct
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any, Protocol, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aiohttp import web
from pydantic import ValidationError

from bot.boundary.inbound import Answer, Exit, Inbound, ParsedInbound, Surface, TakesInbound, TerminalOnly
from bot.boundary.leaving import Redact, card_out, leaf_by_leaf
from bot.surfaces.connection_bounds import ARRIVE_SECONDS, BoundedConnections
from bot.surfaces.terminal.wire_format import ALIVE_SECONDS, LONGEST_CALL, Call, exit_of, people_in
from commands.kit.card import Card
from commands.kit.follows import LiveState
from commands.kit.spec import Kind
from runbooks.kit.waiting import end, failed_inside

T = TypeVar("T")

SOCKET_MODE = 0o660
DIRECTORY_MODE = 0o750
LONGEST_PATH = 107
"""Bytes of a Unix socket's address on Linux."""

_CONNECTIONS = 256
_CALLS_AT_ONCE = 32
_EACH = 2 * _CALLS_AT_ONCE
"""Connections of one account, with room for refusing further calls."""
_REMEMBERED = 500
_AT_ONCE = 500
"""Unredacted lines that one line of the answer has."""
_FOLLOW_SECONDS = 6 * 3600.0

_log = logging.getLogger(__name__)


class RunFollower(Protocol):
    """Watches a run (`bot.runs.decisions`)."""

    def follow(self, run: str) -> AsyncIterator[tuple[str, Card]]:
        """Yield (slot, card) for each new state of the run, until it has ended."""
        ...


class SocketError(Exception):
    """The socket can't be opened; the message is a sentence."""


class SocketServer:
    """Listens at `path`; `bot.app` starts and stops it."""

    def __init__(
        self,
        path: Path,
        dispatcher: TakesInbound,
        follower: RunFollower,
        *,
        redact: Redact,
        name: Callable[[str], str],
        short: Callable[[str], str],
        may_choose: bool = False,
        alive_seconds: float = ALIVE_SECONDS,
        arrive_seconds: float = ARRIVE_SECONDS,
    ) -> None:
        """`name`: a person's key → their name. `short`: a run's id as people type it. `may_choose`: `--as` works (sandbox)."""
        self._path = path
        self._dispatcher = dispatcher
        self._follower = follower
        self._redact = redact
        self._name = name
        self._short = short
        self._may_choose = may_choose
        self._alive = alive_seconds
        self._connections = BoundedConnections(most=_CONNECTIONS, each=_EACH, peer=_user, seconds=arrive_seconds)
        self._runner: web.AppRunner | None = None
        self._listening: asyncio.Server | None = None
        self._taken: dict[str, asyncio.Task[Answer]] = {}
        self._callers: Counter[str] = Counter()
        self._streams: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Raises `SocketError`."""
        listening = _bound(self._path)
        application = web.Application(client_max_size=LONGEST_CALL, middlewares=[self._connections.whole])
        application.router.add_post("/deliver", self._deliver)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        accepted = self._connections.serve(self._runner.server)
        self._listening = await asyncio.get_running_loop().create_unix_server(accepted, sock=listening)

    async def stop(self, *, drain: float = 5.0) -> None:
        """Accept nothing new, let accepted commands finish for `drain` seconds, and stop."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        if self._listening is not None:
            self._listening.close()
        self._path.unlink(missing_ok=True)
        pending = [task for task in self._taken.values() if not task.done()]
        if pending:
            await asyncio.wait(pending, timeout=drain)
        for stream in list(self._streams):
            stream.cancel()
        await runner.cleanup()

    async def _deliver(self, request: web.Request) -> web.StreamResponse:
        account = _account(request)
        if account is None:
            return web.json_response({"message": "The kernel did not identify the caller."}, status=400)
        try:
            call = Call.model_validate_json(await request.read())
        except (ValidationError, web.HTTPRequestEntityTooLarge):
            return web.json_response({"message": "The request can't be understood, or is too long."}, status=400)
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        response.force_close()  # before it starts, so that the client is told
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        self._callers[account] += 1
        try:
            await response.prepare(request)
            # the client disconnected: there is nobody to tell, and accepted commands continue
            with contextlib.suppress(ConnectionError):
                await self._answer(response, account, call)
        finally:
            self._streams.discard(task)
            self._callers[account] -= 1
            self._callers += Counter()  # forgets those who are at zero
        return response

    async def _answer(self, response: web.StreamResponse, account: str, call: Call) -> None:
        if call.named is not None and not self._may_choose:
            _log.warning("somebody wanted to be another person", extra={"account": account, "named": call.named})
            await _send(
                response, _refused(Exit.DENIED, "--as works in the sandbox only: here the kernel identifies you.")
            )
            return
        if self._callers[account] > _CALLS_AT_ONCE:
            await _send(
                response, _refused(Exit.FAILED, f"You have {_CALLS_AT_ONCE} open calls. End some of them first.")
            )
            return
        inbound = Inbound(
            key=f"{call.key}:terminal:{account}:{call.named or ''}",
            surface=Surface.TERMINAL,
            account=account,
            tokens=call.tokens,
            named=call.named,
            zone=_zone(call),
        )
        parsed = self._dispatcher.parse(inbound)
        answer = await self._while_alive(response, asyncio.shield(self._take(parsed)))
        if answer.terminal_only is not None:
            if answer.terminal_only.account != account:
                _log.error("unredacted lines were on their way to another account than they are for")
                await _send(response, _refused(Exit.FAILED, "Withheld: these lines are for another account."))
                return
            await self._unredacted(response, answer.terminal_only)
        follows = call.follow and answer.run is not None and parsed.kind is Kind.OPERATION
        await _send(response, self._answer_line(answer, followed=follows))
        ended = answer.exit
        if answer.live is not None:
            await self._go_on(response, answer.live)
        if follows and answer.run is not None:
            ended = await self._follow(response, answer.run)
        await _send(response, {"kind": "end", "exit": int(ended)})

    async def _unredacted(self, response: web.StreamResponse, given: TerminalOnly) -> None:
        """Send unredacted lines, only to the account that the audit event names."""
        said = (
            "The following is unredacted: it may contain secrets and patients' names. "
            f"The audit log records that you read it (event {given.event})."
        )
        await _send(response, {"kind": "notice", "said": said})
        lines = given.lines.lines
        for at in range(0, len(lines), _AT_ONCE):
            some = lines[at : at + _AT_ONCE]
            await _send(
                response,
                {"kind": "raw", "lines": [each.text for each in some], "records": [each.record for each in some]},
            )

    async def _go_on(self, response: web.StreamResponse, live: AsyncGenerator[LiveState]) -> None:
        """Send new items as they come, until the client disconnects (Ctrl-C)."""
        async with aclosing(live):
            while (state := await self._while_alive(response, anext(live, None))) is not None:
                line = {
                    "kind": "more",
                    "lines": [self._redact(text) for text in state.fresh],
                    "records": leaf_by_leaf(state.records, self._redact),
                    "said": self._redact(state.said),
                }
                if line["lines"] or line["said"]:
                    await _send(response, line)

    def _take(self, parsed: ParsedInbound) -> asyncio.Task[Answer]:
        """Return the dispatcher's task for this act, the same one if the client repeats the call."""
        key = parsed.inbound.key
        found = self._taken.get(key)
        if found is None:
            found = self._taken[key] = asyncio.create_task(self._taking(parsed))
            for old in [old for old, task in self._taken.items() if task.done()][:-_REMEMBERED]:
                del self._taken[old]
        return found

    async def _taking(self, parsed: ParsedInbound) -> Answer:
        try:
            answer = await self._dispatcher.take(parsed)
        except BaseException as error:  # whatever it is: the person is answered, the log has it
            if not failed_inside(error):
                raise
            _log.exception("the dispatcher failed on a terminal's delivery", extra={"act": parsed.inbound.key})
            return Answer(card=None, exit=Exit.FAILED)
        if answer.terminal_only is not None:
            self._taken.pop(parsed.inbound.key, None)  # kept for nobody: who asks again is asked for a reason again
        return answer

    async def _follow(self, response: web.StreamResponse, run: str) -> Exit:
        telling: Card | None = None
        cards = aiter(self._follower.follow(run))
        try:
            async with asyncio.timeout(_FOLLOW_SECONDS):
                while (news := await self._while_alive(response, _next(cards))) is not None:
                    slot, card = news
                    # the result has the reason code; what the head message says after it has only a sign
                    if telling is None or "reason_code" in card.data or "reason_code" not in telling.data:
                        telling = card
                    await _send(response, {"kind": "card", "slot": slot, **self._shown(card)})
        except TimeoutError:
            await _send(response, _refused(Exit.FAILED, f"The run is still going. {self._look(run)}"))
        except ConnectionError:
            raise
        except Exception:  # noqa: BLE001 - the run goes on; only this watching of it ends
            _log.exception("a run could not be followed", extra={"run": run})
            await _send(response, _refused(Exit.FAILED, f"The run can't be followed right now. {self._look(run)}"))
        finally:
            if (close := getattr(cards, "aclose", None)) is not None:
                await close()
        return exit_of(telling)

    def _look(self, run: str) -> str:
        return f"See `omnicare runs {self._short(run)}`."

    async def _while_alive(self, response: web.StreamResponse, awaited: Awaitable[T]) -> T:
        """Return the awaited result, and tell the client meanwhile that the bot is alive."""
        task = asyncio.ensure_future(awaited)
        try:
            while True:
                done, _ = await asyncio.wait({task}, timeout=self._alive)
                if done:
                    return task.result()
                await _send(response, {"kind": "alive"})
        finally:
            await end(task)

    def _answer_line(self, answer: Answer, *, followed: bool) -> dict[str, Any]:
        line: dict[str, Any] = {"kind": "answer", "exit": int(answer.exit), "run": answer.run, "followed": followed}
        if answer.run is not None:
            line["short"] = self._short(answer.run)
        if answer.form is not None:
            line["form"] = answer.form.model_dump(mode="json")
        if answer.card is not None:
            line |= self._shown(answer.card)
        return line

    def _shown(self, card: Card) -> dict[str, Any]:
        """Return the redacted card, without its buttons' nonces, and with runs' ids as people type them."""
        out = card_out(card, self._redact)
        for button in out.get("buttons") or ():
            if button["does"]["kind"] == "run":
                button["does"] |= {"word": "", "run": self._short(button["does"]["run"])}
        return {"card": out, "names": {key: self._name(key) for key in set(people_in(out))}}


async def _next(cards: AsyncIterator[tuple[str, Card]]) -> tuple[str, Card] | None:
    return await anext(cards, None)


async def _send(response: web.StreamResponse, line: dict[str, Any]) -> None:
    # half a character, which no encoder takes, is one sign less and not an answer less
    await response.write(json.dumps(line, ensure_ascii=False).encode(errors="replace") + b"\n")


def _refused(exit_status: Exit, message: str) -> dict[str, Any]:
    return {"kind": "refused", "exit": int(exit_status), "message": message}


def _zone(call: Call) -> tzinfo | None:
    """By its name where this machine knows it too, else by its offset now."""
    with contextlib.suppress(ZoneInfoNotFoundError, ValueError, OSError):
        if call.zone:
            return ZoneInfo(call.zone)
    return timezone(timedelta(seconds=call.offset)) if call.offset is not None else None


def _account(request: web.Request) -> str | None:
    """Return `uid:1000`: the user of the client process, from the kernel."""
    uid = _user(request.transport) if request.transport is not None else None
    return None if uid is None else f"uid:{uid}"


def _user(transport: asyncio.BaseTransport) -> int | None:
    peer = transport.get_extra_info("socket")
    if peer is None or peer.family != socket.AF_UNIX:
        return None
    _pid, uid, _gid = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(uid)


def _bound(path: Path) -> socket.socket:
    """Return a listening socket that the bot's group can use. Raises `SocketError`."""
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise SocketError(
            f"{path} is too long for a socket (maximum {LONGEST_PATH} bytes). Set `bot.socket` to a shorter path."
        )
    try:
        _prepare(path.parent)
        _remove_stale(path)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o777 & ~SOCKET_MODE)
        try:
            listening.bind(os.fspath(path))
        finally:
            os.umask(before)
        path.chmod(SOCKET_MODE)
        listening.listen(64)
        listening.setblocking(False)  # noqa: FBT003 - the standard library's own
    except OSError as error:
        raise SocketError(f"The terminal's socket {path} can't be opened: {error.strerror or error}.") from error
    return listening


def _prepare(directory: Path) -> None:
    """Check the socket's directory: only the bot may write there, so that nobody can replace the socket."""
    directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    found = directory.stat()
    if found.st_uid == os.geteuid():
        directory.chmod(DIRECTORY_MODE | (found.st_mode & stat.S_ISGID))
    elif found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SocketError(
            f"Others can write to {directory} and could pose as the bot. Put the socket into a separate directory."
        )


def _remove_stale(path: Path) -> None:
    """Remove a killed bot's socket. Refuse if a bot is still listening."""
    if not path.exists() and not path.is_symlink():
        return
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise SocketError(f"{path} exists and is not a socket. Remove it, or set `bot.socket` to another path.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise SocketError(f"Another bot is already listening on {path}.")
