"""The world with a bot behind two proxies, and the table of what was tried, which is printed at the end."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase
from typing import Any

import pytest

from tests.faults.wires import Wires
from tests.support.interference import How, cluster_through, interfering
from tests.support.worlds import PATIENT_SLACK, story

SHORT = {"silence_told": 0.3, "cluster_watch": 1.0, "cluster_retry": 0.1, "place_recheck": 0.3}
"""Seconds; in production 30, 25, 2 and 30."""
SHORT_CALLS = SHORT | {"cluster_call": 1.0, "slack_call": 1.0}
"""Where a call is never answered, it takes all of its time: seconds; in production 10 and 15."""


def is_silent(request: pytest.FixtureRequest) -> bool:
    """Whether the test's fault is silence, or it has several. All others are answered, so calls may have the time that a busy machine needs."""
    spec = getattr(request.node, "callspec", None)
    return spec is None or spec.params.get("how", How.SILENT) is How.SILENT


def times(request: pytest.FixtureRequest) -> dict[str, float]:
    return SHORT_CALLS if is_silent(request) else SHORT


@pytest.fixture
async def wires(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Wires]:
    """A parameter is of times, but for `settings` (the sandbox's Slack's) and `slack` (that section of the configuration)."""
    asked = dict(getattr(request, "param", {}))
    settings, more = asked.pop("settings", PATIENT_SLACK), asked.pop("slack", {})
    async with (
        story(tmp_path / "world", times=times(request) | asked, slack=settings) as made,
        cluster_through(made.world.folder / "bot.kubeconfig", tmp_path) as (cluster, through),
        interfering(made.world.slack.url) as slack,
    ):

        def change(document: dict[str, Any]) -> None:
            for environment in document["environments"].values():
                environment["cluster"]["kubeconfig"] = str(through)
            document["slack"] |= {"api_url": f"{slack.url}/api/", "account_seconds": 1.5, **more}

        made.slack.response_base = f"{slack.url}/response/"
        made.configure(change)
        await made.inside()
        yield Wires(made, cluster, slack, lambda *cell: request.node.user_properties.append(("cell", cell)))
        await made.leave()


@pytest.hookimpl(hookwrapper=True)
def pytest_terminal_summary(terminalreporter: Any) -> Iterator[None]:
    """Which faults were tried at which steps, with those of all processes."""
    yield
    table: dict[tuple[str, str], set[str]] = defaultdict(set)
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "cell":
                kind, step, how = value
                table[kind, step].add(how)
    if not table:
        return
    hows = sorted({how for each in table.values() for how in each})
    letters = dict(zip(hows, ascii_uppercase + ascii_lowercase, strict=False))
    terminalreporter.section("faults that were met, and came to the right end")
    for how, letter in letters.items():
        terminalreporter.write_line(f"  {letter}  {how}")
    for (kind, step), each in sorted(table.items()):
        marks = "".join(letters[how] if how in each else "·" for how in hows)
        terminalreporter.write_line(f"{kind:9} {step:34} {marks}")
    terminalreporter.write_line(f"{sum(map(len, table.values()))} cells")
