"""The lines for one's own terminal, as people ask for them; the real kubectl runs each."""

import asyncio
import json
import os
import shlex
import sys
from pathlib import Path

from runbooks.redaction.redactor import default_redactor
from tests.support.shown import shown_text
from tests.support.worlds import AUDITOR, DEPLOYS, ON_CALL, Story


async def run_in_a_shell(here: Story, line: str) -> str:
    """The output of the line's first program, which must end well."""
    line, _, _ = line.partition(" | ")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    made = await asyncio.create_subprocess_exec(
        "bash", "-c", line,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={"PATH": path, "HOME": "/nonexistent", "KUBECONFIG": str(here.world.kubeconfig_path)},
    )  # fmt: skip
    out, err = await made.communicate()
    assert made.returncode == 0, (line, err.decode())
    return out.decode()


async def lines_for(here: Story, typed: str) -> list[str]:
    await here.type(ON_CALL, f"/omnicare {typed} --kubectl")
    title = f"Commands for your own terminal: {typed}"

    def look() -> list[str]:
        for message in reversed(here.messages()):
            if message.text.startswith(title):
                return [
                    line
                    for block in message.blocks
                    for part in block.get("elements", ())
                    if part.get("type") == "rich_text_preformatted"
                    for line in part["elements"][0]["text"].splitlines()
                ]
        return []

    return await here.until(look, title)


async def test_the_real_kubectl_takes_each_line(here: Story):
    pod = here.world.cluster.pods("omnicare-prod")[0].name
    wanted = {
        "pods backend": "backend-",
        f"describe {pod.rpartition('-')[2]}": pod,
        "describe backend": "backend",
        "events": "",
        "logs backend --since 15m --tail 5": "",
        "top pods backend": "backend-",
        "top nodes": "node",
        "resources": "deployment.apps/backend",
        "status": "backend",
    }
    for typed, expected in wanted.items():
        lines = await lines_for(here, typed)
        assert lines
        said = [await run_in_a_shell(here, line) for line in lines if line.startswith("kubectl")]
        assert expected in "".join(said), typed
        for line in lines:
            assert "secret" not in line
            assert default_redactor().text(line) == line
    noted = [each for each in here.events() if each.name == "command:answered"]
    assert all(each.details["arguments"]["kubectl"] is True for each in noted)


async def test_the_button_and_a_word_in_the_thread_ask_for_the_lines(here: Story):
    assert "🟢" in await here.answer(ON_CALL, "pods backend", "3 of 3 pods ready in production")
    head, block, element = here.button_named("kubectl")
    await here.slack.click(AUDITOR, head.ts, DEPLOYS, element["action_id"], block["block_id"], element["value"])
    await here.answered("Commands for your own terminal: pods backend")
    await here.type(ON_CALL, f"<@{here.slack.app.user_id}> kubectl", thread=head.ts)

    def twice() -> bool:
        title = "Commands for your own terminal: pods backend"
        return sum(title in shown_text(each) for each in here.messages()) > 1

    await here.until(twice, "both have the lines")


async def test_what_was_typed_is_quoted_for_the_shell(here: Story):
    pattern = "it's; rm -rf /"
    await here.type(ON_CALL, f'/omnicare logs backend --grep "{pattern}" kubectl')
    said = json.loads(
        f'"{(await here.answered("Commands for your own terminal: logs backend")).partition("grep -E ")[2]}"'.split(
            "|"
        )[0]
        + '"'
    )
    assert shlex.split(said) == ["-e", pattern]
