"""`status`, as people see it: healthy, broken, waiting, and with parts that do not answer."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from runbooks.wording import short_id
from sandbox.cluster.programs import Execution
from sandbox.scenarios import BY_NAME
from tests.support.clusters import KUBECTL
from tests.support.interference import cluster_through
from tests.support.worlds import AUDITOR, ON_CALL, PRODUCTION, REQUESTER, Story, story


async def status(here: Story, words: str, who: str = ON_CALL) -> str:
    """Asks until the card says so: what it shows is the cluster's, which takes its time."""
    async with asyncio.timeout(60):
        while words not in (said := await here.answer(who, "status", "Read at")):  # noqa: ASYNC110 - a person who asks again
            await asyncio.sleep(0.2)
    return said


def looks(here: Story) -> list[str]:
    """The buttons of the newest card: where it says to look next."""
    blocks = here.messages()[-1].blocks
    return [each["text"]["text"] for block in blocks if block["type"] == "actions" for each in block["elements"]]


async def test_one_screen_says_that_all_is_well(here: Story):
    said = await status(here, "🟢")
    for each in ("production runs v1.2.0", "backend 3/3", "frontend 3/3", "200 in", "7 failed", "none is recorded"):
        assert each in said
    assert "Waiting" not in said
    assert looks(here) == ["Diagnose", "Pods", "Runs", "Refresh", "kubectl"]
    assert "Looked at: pods, health URLs, sync" in said
    assert "`diagnose` looks at the rest." in said
    assert "database" not in said.partition("Looked at: ")[2].partition("looks at the rest")[0], "none is configured"
    await here.deployed("v2.0.0")
    said = await status(here, "production runs v2.0.0")
    assert "v2.0.0 by Maya" in said


async def test_what_waits_for_a_yes_is_named_with_the_way_to_say_it(here: Story):
    run = await here.ask("deploy v2.0.0")
    await here.shown("approve", run)
    said = await status(here, "*Waiting*")
    assert "Deploy v2.0.0 to production, by Maya" in said
    assert "approve " in said.partition("*Waiting*")[2]
    assert "*Waiting*" not in await here.answer(ON_CALL, "status --env staging", "staging runs")


async def test_a_rollout_counts_new_pods_and_not_old_ones(tmp_path: Path):
    async with story(tmp_path / "world") as here:
        await here.inside()
        run = await here.rolling()
        said = await status(here, "🔵")
        assert "production is rolling out" in said
        assert "0/3 new, 3 old" in said
        assert "*Running*" in said
        waits = await here.ask("deploy v1.1.0")
        await here.says(waits, "waiting for ")
        said = await status(here, "*Waiting*")
        assert "waiting for Maya: Deploy v2.1.0-slow to production" in said
        assert "approve " not in said, "nobody can approve it yet"
        await here.stop_run(REQUESTER, run)
        await here.says(run, "stopped", "result")
        said = await status(here, "🟡")
        assert "production is rolling out, undecided" in said
        assert f"retry {short_id(run)}" in said
        await here.leave()


async def test_pods_that_lack_room_are_looked_at_and_not_rolled_back(here: Story):
    await here.world.play(BY_NAME["pending"])
    said = await status(here, "no node has room for the new pod")
    assert "production: frontend is unhealthy" in said
    assert looks(here)[0] == "Diagnose"
    assert "Roll back" not in said, "the version has not changed"


@pytest.mark.parametrize(
    ("version", "cause"),
    [("v2.1.0-bad", "the image can't be pulled"), ("v2.1.0-crash", "keeps starting and exiting")],
)
async def test_what_does_not_start_is_red_with_its_cause(here: Story, version: str, cause: str):
    await here.deployed(version, ends="stopped")
    said = await status(here, cause)
    assert "🔴" in said
    assert "production: backend is unhealthy, undecided" in said
    assert "1 new pod: " in said
    assert "Roll back" in looks(here)
    assert "0/3 new, 3 old" in said


async def test_what_was_broken_past_the_bot_is_red_too(here: Story):
    words = ("set", "image", "deployment/backend", "backend=ghcr.io/omnicare/backend:v2.1.0-bad", "-n", PRODUCTION)
    kubeconfig = f"--kubeconfig={here.world.kubeconfig_path}"
    kubectl = await asyncio.create_subprocess_exec(KUBECTL, kubeconfig, *words, stdout=asyncio.subprocess.DEVNULL)
    assert await kubectl.wait() == 0
    said = await status(here, "the image can't be pulled")
    assert "🔴" in said
    assert "by hand, with kubectl-set" in said


async def test_a_stuck_queue_is_named_and_a_silent_one_costs_its_deadline_only(here: Story):
    here.world.sync[PRODUCTION].break_it("stuck")
    assert "🟡" in await status(here, "sync is stuck")
    assert looks(here) == ["Sync", "Diagnose", "Pods", "Refresh", "kubectl"]
    here.world.sync[PRODUCTION].break_it("silent")
    said = await status(here, "sync does not answer")
    assert "answer within 1.5 s" in said
    assert "production runs v1.2.0" in said
    assert "waits longer" in said


async def test_a_queue_of_which_nobody_knows_how_long_it_is_is_not_called_well(here: Story):
    printed = [b""]

    async def script(execution: Execution) -> int:
        await execution.out(printed[-1])
        return 0

    here.world.cluster.add_scripts({"sync:status": script})
    for out in (b"{ pending: 4000, failed: 17 }\n", b'{"failed": 0}\n', b'{"pending": null, "failed": 0}\n'):
        printed.append(out)
        assert "🟡" in await status(here, "sync is unknown")


async def test_a_queue_whose_scripts_are_missing_is_no_queue_that_is_slow(here: Story):
    here.world.sync[PRODUCTION].break_it("missing")
    said = await status(here, "sync is unavailable")
    assert "no script for this: `npm run --silent sync:status` exits with 1" in said
    assert "waits longer" not in said
    assert looks(here) == ["Sync", "Diagnose", "Pods", "Refresh", "kubectl"]


async def test_a_database_that_is_away_is_named(world: Story, tmp_path: Path):
    url = tmp_path / "database-url"
    url.write_text("postgresql://reader:hunter2-hunter2@127.0.0.1:1/emr", encoding="utf-8")
    url.chmod(0o600)
    access = {"file": str(url), "tls": "disable"}
    world.configure(lambda document: document["environments"]["production"].update(database=access))
    await world.inside()
    said = await status(world, "primary refuses the connection")
    assert "🟡" in said
    assert "the database does not answer" in said
    assert "hunter2" not in said
    assert "`db connect --env production` shows more" in said
    assert looks(world) == ["Database", "Diagnose", "Pods", "Refresh", "kubectl"]
    assert "*Database*" not in await status(world, "production runs v1.2.0", AUDITOR)


async def test_who_may_not_read_the_queue_is_not_told_of_it(here: Story):
    assert "*Sync*" in await status(here, "production runs")
    assert "*Sync*" not in await status(here, "production runs", AUDITOR)


@pytest.mark.filterwarnings("error::RuntimeWarning", "error::pytest.PytestUnraisableExceptionWarning")
async def test_a_cluster_that_is_silent_is_the_answer(tmp_path: Path):
    async with (
        story(tmp_path / "world") as here,
        cluster_through(here.world.folder / "bot.kubeconfig", tmp_path) as (proxy, through),
    ):

        def change(document: dict[str, Any]) -> None:
            for environment in document["environments"].values():
                environment["cluster"]["kubeconfig"] = str(through)

        here.configure(change)
        await here.inside()
        run = await here.ask("deploy v2.0.0")
        await here.shown("approve", run)
        proxy.go_down()
        said = await here.answer(ON_CALL, "status", "production: the cluster does not answer")
        assert "Deploy v2.0.0 to production, by Maya" in said, "the bot's own memory is there"
        next_one = await here.ask("deploy v1.1.0", who=ON_CALL)
        said = await status(here, ", making the plan")
        assert f"approve {short_id(run)}" in said
        assert f"approve {short_id(next_one)}" not in said, "nobody can approve it yet"
        proxy.come_back()
        await status(here, "production runs v1.2.0")
        await here.leave()
