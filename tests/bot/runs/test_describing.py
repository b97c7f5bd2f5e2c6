"""`describe`: a service and a pod, healthy and broken, as people see them."""

import asyncio

from sandbox.scenarios import BY_NAME
from tests.support.worlds import AUDITOR, ON_CALL, OUTSIDER, PRODUCTION, Story


def pods(here: Story, service: str = "backend") -> list[str]:
    return [pod.name for pod in here.world.cluster.pods(PRODUCTION) if pod.deployment == service]


async def test_a_service_is_described_by_what_matters(here: Story):
    said = await here.answer(AUDITOR, "describe backend", "backend in production runs v1.2.0, 3/3 ready")
    assert "🟢" in said
    for each in ("ghcr.io/omnicare/backend:v1.2.0", "readiness", "rolling, ", "There are no warnings", *pods(here)):
        assert each in said


async def test_a_pod_is_found_by_the_end_of_its_name(here: Story):
    pod = pods(here)[0]
    said = await here.answer(ON_CALL, f"describe {pod.rpartition('-')[2]}", f"{pod} in production is ready")
    for each in ("*Node*", "running, ready", "describe backend --env production"):
        assert each in said


async def test_what_does_not_start_is_described_with_its_cause(here: Story):
    await here.deployed("v2.1.0-crash", ends="stopped")
    said = await here.answer(
        ON_CALL, "describe backend", "backend in production is rolling out v2.1.0-crash, 0/3 new, 3 old"
    )
    assert "🔴" in said
    assert "keeps starting and exiting" in said
    (crashing,) = [pod.name for pod in here.world.cluster.pods(PRODUCTION) if pod.version == "v2.1.0-crash"]
    said = ""
    async with asyncio.timeout(60):
        while "CrashLoopBackOff" not in said:  # between two crashes it runs
            said = await here.answer(ON_CALL, f"describe {crashing}", f"{crashing} in production is not ready")
            await asyncio.sleep(0.1)
    for each in ("Cause: ", "exit code 1"):
        assert each in said


async def test_what_is_not_there_and_who_may_not_look(here: Story):
    await here.type(ON_CALL, "/omnicare describe backend-7c9f-zzzzz")
    await here.whispered(ON_CALL, "There is no service or pod")
    await here.type(ON_CALL, "/omnicare describe backed")
    await here.whispered(ON_CALL, "Did you mean")
    await here.type(OUTSIDER, "/omnicare describe backend")
    await here.whispered(OUTSIDER, "not listed")
    assert "permission:denied" in [event.name for event in here.events()]


async def test_what_there_is_what_it_uses_and_how_to_reach_it(here: Story):
    said = await here.answer(AUDITOR, "top pods backend", "3 pods in production, none near a limit")
    for each in ("🟢", "0.1 cpu, 128 MiB memory", "512 MiB memory", *pods(here)):
        assert each in said
    await here.answer(ON_CALL, "top nodes", "1 node in production, none near a limit")
    said = await here.answer(ON_CALL, "forward frontend", "frontend in production through port 3000 of your machine")
    for each in ("kubectl port-forward svc/frontend 3000:80 -n omnicare-prod", "not in the audit log"):
        assert each in said
    assert '"text": "kubectl"' not in said, "the line stands there: no button shows it again"
    said = await here.answer(AUDITOR, "resources", "12 resources in production, all as they should be")
    for each in ("🟢", "3/3 ready", "ClusterIP 3001, 3 ready behind it", *pods(here)):
        assert each in said


async def test_nodes_without_room_and_pods_that_are_not_ready_are_not_called_well(here: Story):
    await here.world.play(BY_NAME["pending"])
    said = await here.answer(
        ON_CALL, "top nodes", "🟡 1 node in production, none near a limit; 1 without room for more pods"
    )
    assert "Nearly all CPU of node-1 is requested." in said
    await here.answer(
        ON_CALL, "top pods frontend", "🟡 5 pods in production, none near a limit (2 not measured); 2 are not ready"
    )
