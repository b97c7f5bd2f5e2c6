"""What a program printed that ran as a pod's own process: its log, as long as the pod is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime

from sandbox.cluster.clock import Clock
from sandbox.cluster.logs import Line


class Printed:
    """Lines with their times, and whether more can come."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lines: list[Line] = []
        self._rest = b""
        self._ended = False
        self._more = asyncio.Event()

    async def write(self, data: bytes) -> None:
        """Adds what the program printed; a line is there once it has its end."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        self._add(whole)

    def end(self) -> None:
        """The program has ended."""
        self._add([self._rest] if self._rest else [])
        self._rest, self._ended = b"", True
        self._wake()

    def _add(self, lines: list[bytes]) -> None:
        now = self._clock.now()
        self._lines += [Line(now, line.decode(errors="replace")) for line in lines]
        self._wake()

    def _wake(self) -> None:
        woken, self._more = self._more, asyncio.Event()
        woken.set()

    async def read(self, *, last: int | None, since: datetime | None, follow: bool) -> AsyncGenerator[list[Line]]:
        """Yield what is there, and what comes until the program ends."""
        at = max(0, len(self._lines) - last) if last is not None else 0
        while True:
            more, found = self._more, self._lines[at:]
            at += len(found)
            yield [line for line in found if since is None or line.at >= since]
            if self._ended or not follow:
                return
            await more.wait()
