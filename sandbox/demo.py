"""`omnicare sandbox --demo`: the main job in a terminal, without a browser.

Maya types the command, Tomas clicks *Approve*, and the thread is printed as it happens. Exit status 0 only if the new version
really runs on the cluster at the end, which is asked of the cluster, not of the bot.
"""

import asyncio
import sys
import time
from pathlib import Path

from sandbox import train
from sandbox.slack.model import Json, Message
from sandbox.world import SandboxWorld, opened

CHANNEL = "C0DEPLOYS"
VERSION = "v2.0.0"
DEADLINE = 90.0


class Transcript:
    """Prints what is said in a channel and its threads, each change once."""

    def __init__(self, world: SandboxWorld) -> None:
        self._world = world
        self._began = time.monotonic()
        self._said: dict[str, str] = {}

    def line(self, who: str, text: str) -> None:
        """One line with the seconds since the beginning."""
        sys.stdout.write(f"{time.monotonic() - self._began:6.1f} s  {who:<9} {text}\n")
        sys.stdout.flush()

    def update(self) -> None:
        """What is new."""
        for message in self._messages():
            if self._said.get(message.ts) != message.text:
                self._said[message.ts] = message.text
                who = self._world.workspace.person(message.user).name.split()[0] if message.user else "OmniCare"
                self.line(who, ("  ↳ " if message.thread_ts and message.thread_ts != message.ts else "") + message.text)

    def _messages(self) -> list[Message]:
        heads = self._world.workspace.history(CHANNEL)
        found: list[Message] = []
        for head in heads:
            found.append(head)
            if head.reply_count:
                found += [reply for reply in self._world.workspace.replies(CHANNEL, head.ts) if reply.ts != head.ts]
        return sorted(found, key=lambda message: message.ts)

    def find_button(self, action: str) -> tuple[Message, Json, Json] | None:
        """The newest button of that name: (message, block, element)."""
        for message in reversed(self._messages()):
            for block in message.blocks:
                for element in block.get("elements", ()):
                    if isinstance(element, dict) and element.get("action_id", "").startswith(action):
                        return message, block, element
        return None


async def play(folder: Path) -> int:
    """The whole story; the exit status."""
    async with opened(folder, parts=train.PARTS) as world:
        transcript = Transcript(world)
        await world.start_bot()
        transcript.line("sandbox", "Slack, cluster, registry and bot are up; production runs v1.2.0")
        watcher = asyncio.create_task(_watch(world, transcript))
        try:
            async with asyncio.timeout(DEADLINE):
                await _story(world, transcript)
        except TimeoutError:
            transcript.line(
                "sandbox",
                f"It did not end within {DEADLINE:g} s. The end of the bot's log:\n{world.bot.tail() if world.bot else ''}",
            )
            return 1
        finally:
            watcher.cancel()
        transcript.update()
        return await _verdict(world, transcript)


async def _watch(world: SandboxWorld, transcript: Transcript) -> None:
    async with world.workspace.subscribe("maya") as events:
        async for _ in events:
            transcript.update()


async def _story(world: SandboxWorld, transcript: Transcript) -> None:
    transcript.line("Maya", f"/omnicare deploy {VERSION}")
    await world.workspace.type("maya", CHANNEL, f"/omnicare deploy {VERSION}")
    while (found := transcript.find_button("approve")) is None:
        await asyncio.sleep(0.05)
    message, block, element = found
    transcript.line("Tomas", "clicks Approve")
    await world.workspace.click(
        "tomas",
        message.ts,
        CHANNEL,
        action_id=element["action_id"],
        block_id=block["block_id"],
        value=element.get("value", ""),
    )
    while not any(
        words in text for text in transcript_texts(world) for words in (" runs in production", "stopped", "ended by")
    ):
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.2)


def transcript_texts(world: SandboxWorld) -> list[str]:
    """The head messages' texts."""
    return [message.text for message in world.workspace.history(CHANNEL)]


async def _verdict(world: SandboxWorld, transcript: Transcript) -> int:
    """Asked of the cluster: every pod of both services runs the new version and is ready."""
    pods = [pod for pod in world.pods() if pod.environment == "production" and pod.phase != "Terminating"]
    fine = bool(pods) and all(pod.version == VERSION and pod.ready for pod in pods)
    shown = ", ".join(f"{pod.name} {pod.version} {'ready' if pod.ready else pod.phase}" for pod in pods)
    transcript.line("cluster", shown)
    transcript.line("sandbox", f"{VERSION} runs on all pods" if fine else f"{VERSION} does not run on all pods")
    return 0 if fine else 1
