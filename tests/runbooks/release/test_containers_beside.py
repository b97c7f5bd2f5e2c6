"""Containers and init containers that run the service's own image are released with it, on both clusters."""

import json
from typing import Any

from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.deployments.service_state import kubectl_lines
from runbooks.kit.plan import Beside, Plan
from runbooks.observe import service_health
from runbooks.release import rollouts
from runbooks.release.last_good import change_of, runs_all
from runbooks.release.plans import plan_deploy, plan_rollback
from runbooks.release.region_by_region import deployed
from runbooks.release.steps import images_of
from sandbox.outside.registry import Registry, digest_of
from tests.runbooks.release.test_rollouts import CAUSE, only_backend, stamped
from tests.support.real import Place, image
from tests.support.snapshots import change as planned

OLD, NEW = image("backend", "v1.2.0"), image("backend", "v2.0.0")


def alike(old: str = OLD.reference) -> dict[str, Any]:
    """A pod with the service's image three times, and a sidecar of another one."""
    names = {"backend": OLD.reference, "worker": old, "proxy": "ghcr.io/omnicare/proxy:v1"}
    containers = [{"name": name, "image": reference} for name, reference in names.items()]
    return {"containers": containers, "initContainers": [{"name": "migrate", "image": old}]}


async def images(here: Place) -> dict[str, str]:
    return (await here.cluster.deployment(here.namespace, "backend")).images


async def test_every_container_of_the_repository_goes_with_its_service(here: Place):
    await only_backend(here, pod=alike())
    (state,) = await rollouts.current(here.cluster, here.environment)
    pulse = await stamped(here)
    change = change_of(state, NEW)
    result = await rollouts.roll_out(pulse, here.cluster, change, cause=CAUSE)
    (after,) = await rollouts.current(here.cluster, here.environment)
    assert [each.named for each in state.beside] == ["migrate (init)", "worker"]
    assert result.ready == 2
    assert await images(here) == {
        "migrate": NEW.reference, "backend": NEW.reference, "worker": NEW.reference, "proxy": "ghcr.io/omnicare/proxy:v1"
    }  # fmt: skip
    assert (runs_all(state, OLD), runs_all(after, NEW)) == (True, True)
    again = await rollouts.roll_out(pulse, here.cluster, change, cause=CAUSE)
    assert again.already
    assert kubectl_lines([change])[0] == (
        f"kubectl set image deployment/backend backend={NEW.reference} migrate={NEW.reference} worker={NEW.reference} -n {here.namespace}"
    )


async def test_what_stayed_behind_is_not_said_to_run_the_release(here: Place):
    await only_backend(here, pod=alike(image("backend", "v1.1.0").reference))
    (state,) = await rollouts.current(here.cluster, here.environment)
    (stands,) = await service_health.look(here.cluster, here.environment)
    assert [each.named for each in state.mixed] == ["migrate (init)", "worker"]
    assert not runs_all(state, OLD)
    assert not stands.well
    assert stands.trouble.startswith("its containers have different images: migrate (init) v1.1.0 ")
    result = await rollouts.roll_out(await stamped(here), here.cluster, change_of(state, OLD), cause=CAUSE)
    (after,) = await rollouts.current(here.cluster, here.environment)
    assert result.ready == 2
    assert runs_all(after, OLD)


async def test_what_the_configuration_keeps_stays_and_is_named_in_the_plan(here: Place):
    await only_backend(here, pod=alike())
    (service,) = here.environment.services
    keeps = service.model_copy(update={"keeps": ("worker",)})
    here.environment = here.environment.model_copy(update={"services": (keeps,)})
    async with Registry().serve() as url, RegistryClient({"ghcr.io": url}, plain_http=True) as registry:
        plan = await plan_deploy(here.cluster, registry, here.fleet, here.environment, "v2.0.0")
        back = await plan_rollback(here.cluster, registry, here.fleet, here.environment, to="v1.2.0")
    assert "backend: migrate (init) goes with it, because of the same repository." in plan.notes
    assert "backend: worker is not changed (`keeps`), although the repository is the same." in plan.notes
    assert back.empty
    await rollouts.roll_out(await stamped(here), here.cluster, images_of(plan)[0], cause=CAUSE)
    found = await images(here)
    assert found["worker"] == OLD.reference
    assert found["migrate"] == found["backend"] == f"ghcr.io/omnicare/backend:v2.0.0@{digest_of('backend', 'v2.0.0')}"


def test_an_approval_covers_the_containers_that_it_saw_and_no_others():
    alone = Plan(title="Deploy", steps=deployed([planned()], "deploy"))
    with_worker = planned().model_copy(update={"beside": (Beside(container="worker", image=OLD),)})
    together = Plan(title="Deploy", steps=deployed([with_worker], "deploy"))
    assert alone.digest({}) != together.digest({})
    assert alone.completes(together)
    assert not together.completes(alone)
    assert "beside/worker" in json.dumps(together.substances())
    assert "beside" not in json.dumps(alone.substances())
