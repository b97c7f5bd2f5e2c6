"""The cluster's API goes away in the middle: the run waits for it, says so, and ends as it should; nothing is taken for success."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.outside.registry import digest_of
from tests.support.interference import How, Interference, cluster_through
from tests.support.worlds import APPROVER, REQUESTER, SERVICES, Story, story


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[tuple[Story, Interference]]:
    """The world, its bot behind a proxy to the cluster, and what is said of silence at once."""
    async with story(
        tmp_path / "world", times={"silence_told": 0.3, "cluster_patience": 30.0, "form_deadline": 0.3}
    ) as made:
        account = made.world.folder / "bot.kubeconfig"
        async with cluster_through(account, tmp_path) as (proxy, through):

            def change(document: dict[str, Any]) -> None:
                for environment in document["environments"].values():
                    environment["cluster"]["kubeconfig"] = str(through)

            made.configure(change)
            await made.inside()
            yield made, proxy
            await made.leave()


async def test_a_cluster_that_is_away_is_named_on_the_progress_line_and_waited_for(
    wire: tuple[Story, Interference],
):
    here, proxy = wire
    run = await here.rolling("v2.0.0")
    proxy.go_down()
    said = await here.says(run, "the cluster has not answered for", "progress")
    assert "trying again" in said
    here.let_ready("backend", "v2.0.0")
    await here.until(lambda: here.new_pods("backend", "v2.0.0") == 3, "the cluster goes on by itself")
    assert here.tag("frontend") == "v1.2.0", "nothing was taken for success"
    assert "🔵" in here.text(run, "progress")
    proxy.come_back()
    await here.ended_with(run, "v2.0.0 runs in production")
    assert "has not answered" not in here.text(run, "progress")
    assert all(here.pod_digests(service) == {digest_of(service, "v2.0.0")} for service in SERVICES)
    here.nothing_was_said_twice(run)


async def test_a_run_that_waits_for_its_cluster_can_be_cancelled(wire: tuple[Story, Interference]):
    here, proxy = wire
    run = await here.ask("deploy v2.1.0-unready")
    await here.press(APPROVER, "approve", run)
    await here.until(lambda: here.tag("backend") == "v2.1.0-unready", "the backend is rolling")
    proxy.go_down()
    await here.says(run, "the cluster has not answered for", "progress")
    await here.press(REQUESTER, "cancel", run)
    view = (await here.until(lambda: here.slack.modals_of(REQUESTER), "the form"))[-1]
    assert "Now: " not in str(view.view), "it opens in time, without what the cluster would say"
    await here.type(REQUESTER, f"/omnicare cancel {run}")
    await here.until(lambda: "stopping" in here.text(run), "it was heard")
    proxy.come_back()
    await here.ended_with(run, "was stopped by Maya")
    assert here.tag("frontend") == "v1.2.0"


async def test_before_anything_runs_the_head_message_says_what_it_waits_for(wire: tuple[Story, Interference]):
    here, proxy = wire
    proxy.go_down()
    run = await here.ask("deploy v2.0.0")
    await here.says(run, "the cluster has not answered for")
    proxy.come_back()
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "v2.0.0 runs in production")


async def test_a_cluster_that_refuses_the_credentials_is_not_said_to_be_silent(wire: tuple[Story, Interference]):
    here, proxy = wire
    run = await here.rolling("v2.0.0")
    proxy.fail(How.UNKNOWN, lambda _: True, times=10**6)
    proxy.drop()
    said = await here.says(run, "the cluster has rejected the bot's credentials for", "progress")
    assert "trying again" in said
    here.let_ready("backend", "v2.0.0")
    proxy.rules.clear()
    await here.ended_with(run, "v2.0.0 runs in production")
    assert "has refused" not in here.text(run, "progress")
