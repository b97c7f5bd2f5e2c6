# ruff: noqa: INP001 - a script beside what it makes, not a package
"""Takes the README's pictures: a real deploy in a real sandbox, seen in Chromium. `make pictures` runs it.

Maya asks, Tomas approves; the thread is photographed as Tomas sees it: while it asks, and at the end, light and dark.
"""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal, TypeVar

from playwright.async_api import Browser, async_playwright

from sandbox import train
from sandbox.demo import Transcript
from sandbox.world import SandboxWorld, _page, opened

T = TypeVar("T")

CHANNEL = "C0DEPLOYS"
PATIENCE = 60.0


async def take(folder: Path) -> None:
    """Writes the pictures into `folder`."""
    async with AsyncExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="omnicare-pictures-")))
        world = await stack.enter_async_context(opened(state, parts=train.PARTS))
        await world.start_bot()
        address = await _page(world, stack, 0)
        playwright = await stack.enter_async_context(async_playwright())
        path = shutil.which("chromium")
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        stack.push_async_callback(browser.close)
        story = Transcript(world)
        await world.workspace.type("maya", CHANNEL, "/omnicare deploy v2.0.0")
        message, block, element = await _until(lambda: story.find_button("approve"))
        await _photograph(browser, world, address, "light", folder / "asking.png")
        await world.workspace.click(
            "tomas", message.ts, CHANNEL, element["action_id"], block["block_id"], element.get("value")
        )
        await _until(lambda: any(" runs in production" in each.text for each in world.workspace.history(CHANNEL)))
        await _photograph(browser, world, address, "light", folder / "thread.png")
        await _photograph(browser, world, address, "dark", folder / "thread-dark.png")


async def _until(look: Callable[[], T | None]) -> T:
    async with asyncio.timeout(PATIENCE):
        while not (found := look()):  # noqa: ASYNC110 - what is looked for has no event
            await asyncio.sleep(0.05)
    return found


async def _photograph(
    browser: Browser, world: SandboxWorld, address: str, theme: Literal["light", "dark"], path: Path
) -> None:
    head = world.workspace.history(CHANNEL)[-1].ts
    context = await browser.new_context(
        viewport={"width": 1360, "height": 860},
        color_scheme=theme,
        reduced_motion="reduce",
        timezone_id="Europe/London",
    )
    try:
        page = await context.new_page()
        await page.goto(address)
        await page.goto(f"{address.partition('?')[0]}as/tomas/deploys/{head}")
        await page.locator("#replies .message").nth(2).wait_for()
        await page.evaluate("document.activeElement.blur()")
        await page.screenshot(path=path)
    finally:
        await context.close()


if __name__ == "__main__":
    asyncio.run(take(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
