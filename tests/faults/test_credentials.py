"""A deploy of thirty seconds with a token that lives four, and one through thirty-three seconds in which the API server knows nobody."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox.outside.registry import digest_of
from tests.support.identities import Issuer, issuing
from tests.support.interference import How, cluster_through
from tests.support.worlds import APPROVER, FAST_CLUSTER, SERVICES, story

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

LIVES, ROLLOUT, RESTART = 4.0, 30.0, 33.0
"""Seconds: of a token, of the backend's rollout at least, and of an API server's restart."""
SLOW = replace(FAST_CLUSTER, start_seconds=(10.0, 10.5))
"""Three pods, one after another."""
SOURCES = ["exec", "exec that does not say when", "file"]


def through_file(path: Path) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        for environment in document["environments"].values():
            environment["cluster"]["kubeconfig"] = str(path)

    return change


@pytest.mark.parametrize("source", SOURCES)
async def test_a_token_that_lives_four_seconds_carries_a_rollout_of_thirty(tmp_path: Path, source: str):
    async with story(tmp_path / "world", cluster=SLOW) as here:
        account = here.world.folder / "bot.kubeconfig"
        user = next(user.name for user in here.world.cluster.settings.users if user.token in account.read_text())
        issuer = Issuer(here.world.cluster, tmp_path / "identity", user, LIVES, source == "exec")
        async with issuing(issuer):
            here.configure(through_file(issuer.kubeconfig(account, source.partition(" ")[0])))
            await here.inside()
            run = await here.ask("deploy v2.0.0")
            await here.press(APPROVER, "approve", run)
            await here.says(run, "v2.0.0 runs in production", "result", seconds=300)
            await here.ended_with(run, "v2.0.0 runs in production")
            assert issuer.issued > ROLLOUT / LIVES
            assert issuer.asked <= issuer.issued + 2
            here.nothing_was_said_twice(run)
            await here.leave()
    assert here.releases()[0].version == "v2.0.0"


async def test_a_deploy_outlasts_an_api_server_that_knows_nobody_for_half_a_minute(tmp_path: Path):
    async with (
        story(tmp_path / "world", cluster=FAST_CLUSTER) as here,
        cluster_through(here.world.folder / "bot.kubeconfig", tmp_path) as (cluster, through),
    ):
        here.configure(through_file(through))
        await here.inside()
        run = await here.rolling("v2.0.0")
        cluster.fail(How.UNKNOWN, lambda _: True, times=10**6)
        cluster.drop()
        here.let_ready("backend", "v2.0.0")
        asyncio.get_running_loop().call_later(RESTART, cluster.rules.clear)
        await here.says(run, "v2.0.0 runs in production", "result", seconds=300)
        await here.ended_with(run, "v2.0.0 runs in production")
        assert all(here.pod_digests(service) == {digest_of(service, "v2.0.0")} for service in SERVICES)
        here.nothing_was_said_twice(run)
        here.nothing_is_written_twice(run)
        await here.leave()
