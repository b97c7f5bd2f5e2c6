"""Going back in one wave: `maxSurge` is raised where there is room, and put back whatever happens meanwhile."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.views import DeploymentView
from runbooks.deployments.service_state import RUN, SURGE
from runbooks.diagnosis.quantities import asked
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import ImageChange, Wave
from runbooks.kit.steps import PlainPulse, Stop, Stopped
from runbooks.kit.timeouts import RolloutSettings
from runbooks.release import max_surge, rollout_capacity, rollouts
from runbooks.release.guarded_patch import set_image
from sandbox.cluster import Cluster
from sandbox.cluster.settings import ADMIN, Rule, Settings, User
from tests.support.real import Place, image, place

CAUSE = "omnicare run 7KQ2: roll back to v1.2.0"
ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}}


async def only_backend(here: Place, **spec: Any) -> None:
    here.environment = here.environment.model_copy(update={"services": here.environment.services[:1]})
    await here.deploy("backend", **({"replicas": 3, "strategy": ROLLING} | spec))


async def stamped(here: Place, run: str = "run-1", *, over: bool = False) -> PlainPulse:
    pulse = PlainPulse(run)
    await here.take(run, over=over)
    await rollouts.stamp(pulse, here.cluster, here.fleet, here.environment)
    return pulse


async def back(here: Place, pulse: PlainPulse, *changes: ImageChange) -> list[rollouts.RolloutResult]:
    images = changes or (here.change(),)
    found = await waves(here, *images)
    return await rollouts.roll_out_together(pulse, here.cluster, images, found, cause=CAUSE)


async def waves(here: Place, *changes: ImageChange) -> list[Wave]:
    """Without the haste of a rollback: a busy control plane that answers late is not what these tests are about."""
    return await rollout_capacity.waves(here.cluster, here.environment, changes, patience=60)


async def wave(here: Place, **change: str) -> Wave:
    (found,) = await waves(here, here.change(**change))
    return found


def raised(view: DeploymentView) -> bool:
    return view.max_surge == "100%" and SURGE in view.annotations


async def now(here: Place, name: str = "backend") -> DeploymentView:
    return await here.cluster.deployment(here.namespace, name)


async def limited(here: Place, most: int) -> None:
    services = tuple(each.model_copy(update={"surge_limit": most}) for each in here.environment.services)
    here.environment = here.environment.model_copy(update={"services": services})


async def test_all_new_pods_start_at_once_and_the_strategy_is_as_before(here: Place):
    await only_backend(here)
    pulse = await stamped(here)
    rolling = asyncio.create_task(back(here, pulse))
    seen = await here.until("backend", raised)
    assert seen.annotations[SURGE] == "25%"
    assert seen.containers[0].image == image("backend", "v2.0.0").reference, "one patch changes both"
    await here.until("backend", lambda d: d.updated == 3 and d.total == 6)
    (result,) = await rolling
    assert result.wave is not None
    assert (result.wave.how, result.wave.extra) == ("raised", 3)
    after = await now(here)
    assert (after.max_surge, SURGE in after.annotations, after.revision) == ("25%", False, 2)
    assert (await rollouts.check(pulse, here.cluster, [here.change()])).services[0].ready == 3


@pytest.mark.parametrize("own", [0, 1, "10%"])
async def test_a_number_is_put_back_as_a_number(here: Place, own: int | str):
    await only_backend(
        here, strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": own, "maxUnavailable": 1}}
    )
    (result,) = await back(here, await stamped(here))
    assert result.wave is not None
    assert (result.wave.how, result.wave.own) == ("raised", str(own))
    after = await now(here)
    assert (after.max_surge, SURGE in after.annotations) == (own, False)


async def test_a_step_that_was_killed_and_runs_again_puts_it_back_and_changes_nothing_twice(here: Place):
    await only_backend(here)
    pulse = await stamped(here)
    killed = asyncio.create_task(back(here, pulse))
    await here.until("backend", raised)
    killed.cancel()
    with pytest.raises(asyncio.CancelledError):
        await killed
    assert raised(await now(here)), "a killed bot puts nothing back"
    (result,) = await back(here, pulse)
    assert result.already
    assert result.wave is not None
    assert result.wave.how == "raised"
    after = await now(here)
    assert (after.max_surge, SURGE in after.annotations, after.revision) == ("25%", False, 2)
    (again,) = await back(here, pulse)
    assert again.already
    assert (await now(here)).generation == after.generation


async def test_a_rollout_that_fails_puts_it_back(here: Place):
    await only_backend(here, progressDeadlineSeconds=300)
    pulse = await stamped(here)
    with pytest.raises(PermanentError):
        await back(here, pulse, here.change(after="v2.0.0-bad"))
    after = await now(here)
    assert (after.max_surge, SURGE in after.annotations) == ("25%", False)


async def test_a_request_to_stop_puts_it_back(here: Place):
    await only_backend(here)
    pulse = await stamped(here)
    rolling = asyncio.create_task(back(here, pulse, here.change(after="v2.0.0-unready")))
    await here.until("backend", raised)
    pulse.ask_to_stop(Stop(kind="cancelled", by="requester"))
    with pytest.raises(Stopped):
        await rolling
    after = await now(here)
    assert (after.max_surge, SURGE in after.annotations) == ("25%", False)


async def test_who_takes_the_place_puts_it_back_with_its_stamp(here: Place):
    await only_backend(here)
    rolling = asyncio.create_task(back(here, await stamped(here), here.change(after="v2.0.0-unready")))
    await here.until("backend", raised)
    await stamped(here, "run-2", over=True)
    after = await now(here)
    assert (after.max_surge, SURGE in after.annotations) == ("25%", False)
    with pytest.raises(PermanentError):
        await rolling
    left = await now(here)
    # not the generation: the controller raises it, too, with the revision's annotation
    assert (left.template_hash, left.max_surge, left.annotations[RUN]) == (after.template_hash, "25%", "run-2")


async def after_first(here: Place, pulse: PlainPulse, after: str = "v2.0.0") -> rollouts.RolloutResult:
    return await rollouts.roll_out_after_first(
        pulse,
        here.cluster,
        here.environment,
        here.change(after=after),
        cause=CAUSE,
        settings=RolloutSettings(room_seconds=60),
    )


async def test_a_deploy_starts_the_rest_at_once_when_a_first_pod_is_ready(here: Place):
    await only_backend(here, replicas=6, strategy=ROLLING | {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}})
    rolling = asyncio.create_task(after_first(here, await stamped(here)))
    asked = image("backend", "v2.0.0").reference
    first = await here.until("backend", lambda d: d.containers[0].image == asked)
    assert (first.max_surge, SURGE in first.annotations) == (1, False), "the first pod comes by the own strategy"
    await here.until("backend", raised)
    pods = await here.cluster.pods(here.namespace)
    assert any(pod.ready and pod.containers[0].image == asked for pod in pods), "raised only once it is ready"
    await here.until("backend", lambda d: d.updated == 6)
    result = await rolling
    assert result.wave is not None
    assert (result.wave.how, result.ready) == ("raised", 6)
    after = await now(here)
    assert (after.max_surge, SURGE in after.annotations, after.revision) == (1, False, 2)


async def test_a_first_pod_that_never_gets_ready_is_the_only_one(here: Place):
    await only_backend(here, progressDeadlineSeconds=300)
    pulse = await stamped(here)
    rolling = asyncio.create_task(after_first(here, pulse, "v2.0.0-unready"))
    await here.until("backend", lambda d: d.updated == 1)
    pulse.ask_to_stop(Stop(kind="cancelled", by="requester"))
    with pytest.raises(Stopped):
        await rolling
    after = await now(here)
    assert (after.updated, after.max_surge, SURGE in after.annotations) == (1, "25%", False)


async def test_a_killed_deploy_goes_on_with_the_rest(here: Place):
    await only_backend(here, replicas=4)
    pulse = await stamped(here)
    killed = asyncio.create_task(after_first(here, pulse))
    await here.until("backend", raised)
    killed.cancel()
    with pytest.raises(asyncio.CancelledError):
        await killed
    result = await after_first(here, pulse)
    assert (result.already, result.ready) == (True, 4)
    after = await now(here)
    assert (after.max_surge, SURGE in after.annotations, after.revision) == ("25%", False, 2)


async def test_the_rest_follows_the_strategy_where_there_is_no_room(here: Place):
    await only_backend(here)
    await limited(here, 4)
    result = await after_first(here, await stamped(here))
    assert result.wave is not None
    assert (result.wave.how, result.ready) == ("own", 3)
    assert (await now(here)).max_surge == "25%"


async def left_raised(here: Place) -> None:
    """A bot was killed in the middle, and is not coming back."""
    await only_backend(here)
    pulse = await stamped(here)
    rolling = asyncio.create_task(back(here, pulse))
    await here.until("backend", raised)
    rolling.cancel()
    await asyncio.gather(rolling, return_exceptions=True)


async def cleaned(here: Place) -> list[str]:
    """What the next bot does."""
    left = await max_surge.left(here.cluster, here.fleet, here.environment)
    for each in left:
        assert await max_surge.put_back(here.cluster, here.namespace, each.name, run=each.annotations[RUN], seen=each)
    return [each.name for each in left]


async def test_what_a_killed_bot_left_is_put_back_once_no_run_holds_the_place(here: Place):
    await left_raised(here)
    assert await cleaned(here) == []
    assert raised(await now(here)), "the run may go on"
    await here.fleet.leave(here.environment, "run-1")
    assert await cleaned(here) == ["backend"]
    after = await now(here)
    assert (after.max_surge, SURGE in after.annotations) == ("25%", False)
    assert await cleaned(here) == []


async def test_what_somebody_set_by_hand_meanwhile_stays(here: Place):
    await left_raised(here)
    await here.patch("backend", {"op": "replace", "path": "/spec/strategy/rollingUpdate/maxSurge", "value": 2})
    await here.fleet.leave(here.environment, "run-1")
    assert await cleaned(here) == ["backend"]
    after = await now(here)
    assert (after.max_surge, SURGE in after.annotations) == (2, False)


async def test_a_strategy_that_somebody_changed_between_look_and_change_is_met(here: Place):
    await only_backend(here)
    pulse = await stamped(here)
    change = here.change()
    seen = await now(here)
    await here.patch("backend", {"op": "replace", "path": "/spec/strategy/rollingUpdate/maxSurge", "value": 2})
    set_to = await set_image(pulse, here.cluster, seen, change, CAUSE, "requester", at_once=True)
    assert (set_to.max_surge, set_to.annotations[SURGE]) == ("100%", "2")


async def test_the_service_s_own_limit_keeps_it_from_one_wave(here: Place):
    await only_backend(here)
    await limited(here, 5)
    found = await wave(here)
    assert (found.how, found.why) == ("own", "its limit is 5 pods at once, and this would be 6")
    (said,) = rollout_capacity.told([found])
    assert "uses its Deployment's own strategy (maxSurge 25%)" in said
    rolling = asyncio.create_task(back(here, await stamped(here)))
    most = 0

    def done(view: DeploymentView) -> bool:
        nonlocal most
        most = max(most, view.total)
        return view.updated == 3 and view.rolled_out

    await here.until("backend", done)
    await rolling
    assert most <= 5
    await limited(here, 6)
    assert (await wave(here, before="v2.0.0", after="v1.2.0")).how == "raised"


async def nobody_else(here: Place) -> None:
    """Waits until what earlier tests had on the real plane's one node is gone: its deletion takes as long as it takes."""

    async def taken() -> bool:
        pods = await here.cluster.pods_everywhere()
        return any(asked(pod, "cpu") >= 1 for pod in pods if pod.namespace != here.namespace)

    async with asyncio.timeout(60):
        while await taken():  # noqa: ASYNC110 - it is another test's
            await asyncio.sleep(0.3)


FILLS_THE_NODE = pytest.mark.xdist_group("the room of the real plane's one node")
"""One after the other, where tests run side by side."""


@FILLS_THE_NODE
async def test_nodes_without_room_keep_it_from_one_wave(here: Place):
    """16 cpu: three pods of 3 leave 7, so two more fit."""
    await nobody_else(here)
    await only_backend(here, container={"resources": {"requests": {"cpu": "3"}}})
    found = await wave(here)
    assert found.how == "own"
    assert found.why.endswith("and this needs 3")
    assert found.why.startswith("the nodes have room for ")


@FILLS_THE_NODE
async def test_the_second_service_has_what_the_first_leaves(here: Place):
    await nobody_else(here)
    spec = {"replicas": 2, "strategy": ROLLING, "container": {"resources": {"requests": {"cpu": "2200m"}}}}
    await asyncio.gather(*(here.deploy(name, **dict(spec)) for name in ("backend", "frontend")))
    found = await waves(here, *(here.change(name) for name in ("backend", "frontend")))
    assert [each.how for each in found] == ["raised", "own"], [each.why for each in found]


@pytest.mark.parametrize(
    ("hard", "how"),
    [
        ({"pods": "5"}, "own"),
        ({"pods": "6"}, "raised"),
        ({"requests.cpu": "500m"}, "own"),
        ({"requests.cpu": "600m", "limits.memory": "6Gi"}, "raised"),
        ({"limits.memory": "500Mi"}, "own"),
        ({"configmaps": "9"}, "raised"),
    ],
)
async def test_a_quota_without_room_keeps_it_from_one_wave(here: Place, hard: Mapping[str, str], how: str):
    resources = {"requests": {"cpu": "100m"}, "limits": {"cpu": "100m", "memory": "100Mi"}}
    await only_backend(here, container={"resources": resources})
    await quota(here, hard)
    found = await wave(here)
    assert found.how == how, found.why
    if how == "own":
        assert found.why.startswith("quota team has room for ")
    (result,) = await back(here, await stamped(here))
    assert result.ready == 3


async def quota(here: Place, hard: Mapping[str, str]) -> None:
    """One whose use was counted."""
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "team"}, "spec": {"hard": hard}}
    path = f"/api/v1/namespaces/{here.namespace}/resourcequotas"
    await here.create(path, body)
    query = {"watch": "true", "timeoutSeconds": "60"}
    async with here.connection.stream(path, doing="wait", query=query, silence=60) as lines:
        while line := await lines.readline():
            if (json.loads(line)["object"].get("status") or {}).get("used"):
                return
    raise AssertionError("its use is not counted")


async def test_pods_of_the_old_release_that_are_still_there_need_no_room(here: Place):
    """Hanging at 1 of 3: going back only ends what hangs."""
    await only_backend(here, progressDeadlineSeconds=300)
    pulse = await stamped(here)
    hanging = asyncio.create_task(
        rollouts.roll_out(pulse, here.cluster, here.change(after="v2.0.0-unready"), cause=CAUSE)
    )
    await here.until("backend", lambda d: d.updated == 1 and d.total == 4)
    await limited(here, 4)
    found = await wave(here, before="v2.0.0-unready", after="v1.2.0")
    assert (found.how, found.extra) == ("enough", 0)
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)


async def test_a_deployment_that_recreates_is_left_to_it_and_said(here: Place):
    await only_backend(here, strategy={"type": "Recreate"})
    found = await wave(here)
    assert found.how == "recreated"
    assert "nothing serves meanwhile" in rollout_capacity.told([found])[0]
    (result,) = await back(here, await stamped(here))
    assert result.ready == 3
    assert SURGE not in (await now(here)).annotations


async def test_nodes_that_the_bot_may_not_read_are_named_and_a_limit_is_the_owner_s_word(tmp_path: Path):
    most = ("deployments", "replicasets", "pods", "configmaps", "resourcequotas", "events")
    narrow = User("narrow", "narrow-token", (Rule(("*",), most),))
    cluster = Cluster(Settings(start_seconds=(0.05, 0.1), users=(ADMIN, narrow)))
    async with cluster.serve():
        for name in ("admin", "narrow"):
            (tmp_path / name).write_text(cluster.kubeconfig(name))
        async with place(str(tmp_path / "admin")) as here, ClusterClient(kubeconfig=str(tmp_path / "narrow")) as other:
            await only_backend(here)
            here.cluster = other
            found = await wave(here)
            assert (found.how, found.why) == ("own", "the bot can't read nodes")
            await limited(here, 6)
            found = await wave(here)
            assert (found.how, found.why) == (
                "raised",
                "the bot can't read nodes, so only its limit of 6 pods counts",
            )
            assert found.why in rollout_capacity.told([found])[0]
