"""Admission that rewrites an image to a mirror: the bot's own write is not taken for somebody else's."""

import pytest

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.mirrors import Mirrors
from runbooks.deployments import service_state
from runbooks.deployments.owners import image_written_by_bot
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Image
from runbooks.kit.steps import PlainPulse
from runbooks.release import guarded_patch, rollouts
from runbooks.release.last_good import runs_all, same_image
from tests.support.real import Place, image

MIRROR = "mirror.hospital.example/omnicare/backend"


async def _written(here: Place, reference: str, *, by: str = "omnicare-bot") -> None:
    """As admission leaves the bot's own write: its annotations, and another image than it sent, written by the same manager."""
    asked = image("backend", "v2.0.0").reference
    facts = {service_state.RUN: "run-1", service_state.DEPLOYED_RUN: "run-1", service_state.DEPLOYED_IMAGE: asked}
    body = [{"op": "add", "path": "/metadata/annotations", "value": facts}]
    body.append({"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": reference})
    await here.cluster.patch_deployment(here.namespace, "backend", body, manager=by)
    await here.until("backend", lambda seen: seen.rolled_out and seen.containers[0].image == reference)


async def test_the_bots_own_write_that_admission_renamed_is_checked_as_its_own(here: Place):
    await here.deploy("backend")
    reference = f"{MIRROR}:v2.0.0@{image('backend', 'v2.0.0').digest}"
    await _written(here, reference)
    seen = await here.cluster.deployment(here.namespace, "backend")
    assert image_written_by_bot(seen, "backend")
    assert guarded_patch.is_ours(seen, here.change(), "run-1")
    checked = await rollouts.check(PlainPulse("run-1"), here.cluster, [here.change()])
    assert checked.services[0].ready == 2
    (state, _) = await service_state.current(here.cluster, here.environment)
    assert not state.drifted
    assert state.state == "complete"
    assert same_image(service_state.pinned(state), image("backend", "v2.0.0"))


async def test_what_admission_unpinned_is_not_taken_for_the_image_and_nobody_else_is_blamed(here: Place):
    await here.deploy("backend")
    await _written(here, f"{MIRROR}:v2.0.0")
    seen = await here.cluster.deployment(here.namespace, "backend")
    assert not guarded_patch.is_ours(seen, here.change(), "run-1")
    with pytest.raises(PermanentError, match="admission rewrote the image"):
        await rollouts.check(PlainPulse("run-1"), here.cluster, [here.change()])


@pytest.mark.parametrize("keeps_the_digest", [True, False])
async def test_another_registry_that_somebody_else_wrote_is_theirs(here: Place, *, keeps_the_digest: bool):
    await here.deploy("backend")
    digest = f"@{image('backend', 'v2.0.0').digest}" if keeps_the_digest else ""
    await _written(here, f"{MIRROR}:v2.0.0{digest}", by="kubectl-edit")
    seen = await here.cluster.deployment(here.namespace, "backend")
    assert not guarded_patch.is_ours(seen, here.change(), "run-1")
    (state, _) = await service_state.current(here.cluster, here.environment)
    assert state.drifted
    assert not same_image(service_state.pinned(state), image("backend", "v2.0.0"))


def test_an_image_of_another_registry_is_another_one_though_the_digest_is_the_same():
    asked = image("backend", "v2.0.0")
    mirrored = f"{MIRROR}:v2.0.0@{asked.digest}"
    assert service_state.same_digest(mirrored, asked.reference)
    assert not same_image(Image.parse(mirrored), asked)
    assert not service_state.same_digest(f"{MIRROR}:v2.0.0", asked.reference)
    assert not service_state.same_digest(f"{MIRROR}:v2.0.0", "")


@pytest.mark.parametrize("by", ["omnicare-bot", "kubectl-edit"])
async def test_a_configured_mirror_is_read_by_the_images_own_name_and_patched_by_what_stands_there(
    here: Place, by: str
):
    mirrors = {"ghcr.io/omnicare": "mirror.hospital.example/omnicare"}
    await here.deploy("backend")
    own = image("backend", "v2.0.0")
    await _written(here, f"{MIRROR}:v2.0.0@{own.digest}", by=by)
    async with ClusterClient(kubeconfig=here.kubeconfig, mirrors=mirrors) as cluster:
        seen = await cluster.deployment(here.namespace, "backend")
        assert seen.images["backend"] == own.reference
        assert seen.written["backend"].startswith(f"{MIRROR}:")
        (state, _) = await service_state.current(cluster, here.environment)
        assert runs_all(state, own)
        assert not state.drifted
        assert not state.foreign
        assert state.mirror == MIRROR
        newest = max(await cluster.replica_sets(here.namespace), key=lambda each: each.revision)
        assert newest.image("backend") == own.reference
        back = image("backend", "v1.2.0")
        change = here.change().model_copy(update={"before": own, "after": back})
        answer = await guarded_patch.set_image(PlainPulse("run-1"), cluster, seen, change, "back", "Ines")
        assert answer.images["backend"] == back.reference


def test_only_a_whole_part_of_a_name_is_a_mirrors():
    mirrors = Mirrors(
        {"ghcr.io/omnicare": "mirror.example/omnicare", "ghcr.io/omnicare/backend": "mirror.example/omnicare/core"}
    )
    assert mirrors.own("mirror.example/omnicare/frontend:v1") == "ghcr.io/omnicare/frontend:v1"
    assert mirrors.own("mirror.example/omnicare/core@sha256:1") == "ghcr.io/omnicare/backend@sha256:1"
    assert mirrors.own("mirror.example/omnicare-evil/backend:v1") == "mirror.example/omnicare-evil/backend:v1"
    assert mirrors.own("ghcr.io/omnicare/backend:v1") == "ghcr.io/omnicare/backend:v1"
