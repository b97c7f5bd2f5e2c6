"""The bot is down, and somebody is the bot in their terminal: behind the same locks, and killed in its turn; nothing is lost."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.process.process_lock import holder
from sandbox.outside.registry import digest_of
from tests.support.terminals import ended, omnicare, read_until, run_of, started
from tests.support.worlds import APPROVER, SERVICES, Story, story

pytestmark = [pytest.mark.kill, pytest.mark.timeout(360)]


@asynccontextmanager
async def foreground(here: Story, crash_point: str = "") -> AsyncIterator[asyncio.subprocess.Process]:
    """`omnicare serve --without-slack`, once it listens."""
    extra = {"OMNICARE_CRASH_POINT": crash_point} if crash_point else None
    process = await started(here.config, "serve", "--without-slack", extra=extra)
    try:
        await read_until(process, "serving")
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await ended(process)


def state(here: Story) -> Path:
    return here.world.folder / "state"


async def test_killed_in_the_middle_of_a_rollback_that_it_runs_and_the_ordinary_bot_ends_it(tmp_path: Path):
    async with story(tmp_path / "world") as here:
        await here.start()
        await here.deployed("v2.0.0")
        await here.kill()
        async with foreground(here, "rollback-done") as bot:
            asking = await started(here.config, "--as", "ines", "rollback")
            run = run_of(await read_until(asking, "omnicare approve "))
            # the bot ends itself right after the rollout: the click may be cut off with it
            clicking = await started(here.config, "--as", "ines", "approve", run)
            async with asyncio.timeout(60):
                assert await bot.wait() == -signal.SIGKILL
            assert holder(state(here)) is None, "what is killed holds nothing"
            await here.start()
            await asyncio.gather(ended(clicking), ended(asking))

        def ended_well() -> str | None:
            found = (event.run for event in here.events() if event.name == "run:succeeded")
            return next((run for run in found if run and "rollback" in run), None)

        full = await here.until(ended_well, "the rollback has ended")
        await here.ended_with(full, "Back on v1.2.0 in production")
        for service in SERVICES:
            assert here.pod_digests(service) == {digest_of(service, "v1.2.0")}
            assert here.revision(service) == 4, "each Deployment was changed once"
        assert [(each.version, each.verdict) for each in here.releases()] == [("v1.2.0", "unproven"), ("v2.0.0", "bad")]
        assert here.environment().run is None
        here.nothing_was_said_twice(full)
        here.nothing_is_written_twice(full)
        assert here.chain_holds()


async def test_what_waited_goes_on_there_and_the_real_bot_takes_over_when_it_ends(tmp_path: Path):
    async with story(tmp_path / "world") as here:
        await here.start()
        run = await here.ask("deploy v2.0.0")
        await here.shown("approve", run)
        await here.kill()
        async with foreground(here) as bot:
            held = holder(state(here))
            assert held is not None
            assert (held.pid, held.foreground) == (bot.pid, True)
            status, listed = await omnicare(here.config, "--as", "ines", "runs")
            assert status == 0
            assert run.split(".")[2][:4].upper() in listed
            status, told = await omnicare(here.config, "--as", APPROVER, "approve", run)
            assert status == 0, told
            await here.until(here.releases, "it ends without Slack")
            # the real one is back, and waits; whoever sits here is told, and hands over
            assert here.world.bot is not None
            await here.world.bot.start()
            await read_until(bot, "waits for this one to end")
            assert here.world.bot.pid is not None
            bot.send_signal(signal.SIGINT)
            status, _ = await ended(bot)
            assert status == 0
            await here.world.bot_ready()
            await here.ended_with(run, "v2.0.0 runs in production")
        here.nothing_was_said_twice(run)
        here.nothing_is_written_twice(run)


async def test_a_second_process_on_the_same_files_is_refused_and_told_who_has_them(tmp_path: Path):
    async with story(tmp_path / "world") as here:
        await here.start()
        assert here.world.bot is not None
        for how in (("serve",), ("serve", "--without-slack")):
            status, said = await omnicare(here.config, *how)
            assert status == 1
            assert f"process {here.world.bot.pid}" in said
            assert "Traceback" not in said
        run = await here.ask("deploy v2.0.0")
        await here.shown("approve", run)


async def test_one_that_waits_can_be_ended(tmp_path: Path):
    async with story(tmp_path / "world") as here:
        await here.start()
        await here.kill()
        async with foreground(here) as bot:
            waiting = await started(here.config, "serve")
            await read_until(waiting, "waiting until the bot's files are free")
            waiting.send_signal(signal.SIGTERM)
            assert (await ended(waiting))[0] == 0
            assert bot.returncode is None


async def test_where_no_bot_runs_a_script_is_told_what_to_run(tmp_path: Path):
    async with story(tmp_path / "world") as here:
        await here.start()
        await here.kill()
        status, said = await omnicare(here.config, "--as", "ines", "status")
        assert status == 1
        assert "No bot is running here" in said
        assert f"omnicare --config {here.config} serve --without-slack" in said


async def test_a_person_is_asked_and_becomes_the_bot_and_their_command_is_done(tmp_path: Path):
    async with story(tmp_path / "world") as here:
        await here.start()
        await here.deployed("v2.0.0")
        await here.kill()
        async with at_a_terminal(here, "--as", "ines", "rollback") as person:
            await person.reads("Run the bot? [y/N]")
            person.types("y\n")
            run = run_of(await person.reads("omnicare approve ", "\n"))
            status, told = await omnicare(here.config, "--as", "ines", "approve", run)
            assert status == 0, told
            await person.reads("Back on v1.2.0 in production")
            await person.reads("This terminal still runs the bot")
            assert (await omnicare(here.config, "--as", "maya", "status"))[0] == 0
            person.types("\x03")
            await person.reads("has ended")
            assert await person.status() == 0
        assert holder(state(here)) is None
        assert [(each.version, each.verdict) for each in here.releases()] == [("v1.2.0", "unproven"), ("v2.0.0", "bad")]


class Terminal:
    """A process on a terminal of its own, as a person reads and types."""

    def __init__(self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, descriptor: int) -> None:
        self._process = process
        self._reader = reader
        self._descriptor = descriptor
        self.seen = ""
        self._read = 0

    async def reads(self, words: str, then: str = "") -> str:
        """Waits until the words come (and after them `then`); all that was shown since the last time."""
        async with asyncio.timeout(60):
            while (at := self.seen.find(words, self._read)) < 0 or (then and then not in self.seen[at + len(words) :]):
                chunk = await self._reader.read(4096)
                assert chunk, f"it ended without {words!r}:\n{self.seen}"
                self.seen += chunk.decode(errors="replace")
        found, self._read = self.seen[self._read :], at + len(words)
        return found

    def types(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    async def status(self) -> int:
        async with asyncio.timeout(60):
            return await self._process.wait()


@asynccontextmanager
async def at_a_terminal(here: Story, *words: str) -> AsyncIterator[Terminal]:
    import sys

    from tests.support.terminals import surroundings

    ours, theirs = os.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import os, sys, fcntl, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])",
        sys.executable, "-m", "bot", "--config", str(here.config), *words,
        stdin=theirs, stdout=theirs, stderr=theirs, env=surroundings({"TERM": "xterm", "COLUMNS": "120"}),
    )  # fmt: skip
    os.close(theirs)
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(os.dup(ours), "rb", 0)
    )
    try:
        yield Terminal(process, reader, ours)
    finally:
        transport.close()
        os.close(ours)
        if process.returncode is None:
            process.kill()
            await process.wait()
