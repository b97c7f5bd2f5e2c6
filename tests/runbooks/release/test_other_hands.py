"""Somebody else changes the Deployment while it rolls out, or owns it: it is noticed and told, and nobody fights. On both clusters."""

import asyncio
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from runbooks.clients.kubernetes import reading
from runbooks.deployments.owners import owner
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import PlainPulse
from runbooks.release import rollouts
from runbooks.release.restarting import plan_restart
from runbooks.release.rollouts import RolloutResult
from tests.support.real import Place

KUBECTL = str(Path(sys.executable).parent / "kubectl")


async def by_hand(here: Place, line: str) -> None:
    process = await asyncio.create_subprocess_exec(
        KUBECTL, "--kubeconfig", here.kubeconfig, "-n", here.namespace, *shlex.split(line),
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await process.wait() == 0


async def rolling(here: Place, version: str = "v2.0.0-unready") -> "asyncio.Task[RolloutResult]":
    """A rollout of the backend that has begun, of an image that does not get ready, or takes its time."""
    here.environment = here.environment.model_copy(update={"services": here.environment.services[:1]})
    await here.deploy("backend", replicas=2)
    pulse = PlainPulse("run-1")
    await here.take("run-1")
    await rollouts.stamp(pulse, here.cluster, here.fleet, here.environment)
    change = here.change(after=version)
    task = asyncio.create_task(rollouts.roll_out(pulse, here.cluster, change, cause="c"))
    await here.until("backend", lambda seen: seen.containers[0].image == change.after.reference)
    while not pulse.said:  # noqa: ASYNC110 - the watches have begun when it first says something
        await asyncio.sleep(0.02)
    return task


async def test_an_image_that_somebody_sets_meanwhile_is_told_with_who_did_it(here: Place):
    task = await rolling(here)
    await by_hand(here, "set image deployment/backend backend=ghcr.io/omnicare/backend:v1.1.0")
    with pytest.raises(PermanentError) as caught:
        await task
    assert caught.value.code is ReasonCode.CHANGED_MEANWHILE
    assert "(kubectl" in caught.value.message
    now = await here.cluster.deployment(here.namespace, "backend")
    assert now.containers[0].image == "ghcr.io/omnicare/backend:v1.1.0", "nobody fights over it"


async def test_a_setting_that_somebody_changes_meanwhile_is_named_without_its_value(here: Place):
    task = await rolling(here)
    await by_hand(here, "set env deployment/backend DATABASE_PASSWORD=hunter2hunter2")
    with pytest.raises(PermanentError) as caught:
        await task
    error = caught.value
    assert error.code is ReasonCode.CHANGED_MEANWHILE
    assert "changed the pod template during the rollout (kubectl" in error.message
    assert "spec.containers.backend.env.DATABASE_PASSWORD.value" in error.evidence[0]
    assert "hunter2" not in repr(error.evidence)


async def test_a_pause_is_told_as_such(here: Place):
    task = await rolling(here)
    await by_hand(here, "rollout pause deployment/backend")
    with pytest.raises(PermanentError) as caught:
        await task
    assert caught.value.code is ReasonCode.PAUSED
    assert "kubectl rollout resume" in caught.value.advice[0]


@pytest.mark.parametrize("slow_seconds", [4.0])
async def test_scaling_meanwhile_is_no_conflict(here: Place):
    task = await rolling(here, "v2.0.0-slow")
    await by_hand(here, "scale deployment/backend --replicas=3")
    result = await task
    assert (result.ready, result.desired) == (3, 3)


def deployment(labels: dict[str, str], annotations: dict[str, str], managers: tuple[str, ...]) -> Any:
    fields = [
        {"manager": each, "time": "2026-05-04T12:00:00Z", "fieldsV1": {"f:spec": {"f:template": {"f:spec": {}}}}}
        for each in managers
    ]
    meta = {"name": "backend", "labels": labels, "annotations": annotations, "managedFields": fields}
    return reading.deployment({"metadata": meta, "spec": {"template": {}}})


@pytest.mark.parametrize(
    ("labels", "annotations", "managers", "name", "puts_back"),
    [
        ({}, {"argocd.argoproj.io/tracking-id": "emr:apps/Deployment:omnicare-prod/backend"}, (), "Argo CD", True),
        ({"argocd.argoproj.io/instance": "emr"}, {}, (), "Argo CD", True),
        ({}, {}, ("argocd-controller",), "Argo CD", True),
        ({"kustomize.toolkit.fluxcd.io/name": "emr"}, {}, (), "Flux", True),
        ({"helm.toolkit.fluxcd.io/name": "emr"}, {"meta.helm.sh/release-name": "emr"}, (), "Flux", True),
        ({}, {}, ("kustomize-controller", "kubectl-set"), "Flux", True),
        ({"app.kubernetes.io/managed-by": "Helm"}, {"meta.helm.sh/release-name": "emr"}, (), "Helm", False),
        ({}, {}, ("helm",), "Helm", False),
    ],
)
def test_a_controller_that_owns_the_deployment_is_known_by_its_marks(
    labels: dict[str, str], annotations: dict[str, str], managers: tuple[str, ...], name: str, puts_back: bool
):
    found = owner(deployment(labels, annotations, managers))
    assert found is not None
    assert (found.name, found.puts_back) == (name, puts_back)
    assert name in found.sentence


def test_a_deployment_of_the_bot_s_and_of_people_has_no_owner():
    labels = {"app": "backend", "app.kubernetes.io/instance": "emr"}
    assert owner(deployment(labels, {"omnicare.dev/run": "x"}, ("kubectl-set", "omnicare-bot", "kubectl"))) is None


async def test_a_plan_says_first_that_somebody_would_put_it_back(here: Place):
    here.environment = here.environment.model_copy(update={"services": here.environment.services[:1]})
    await here.deploy("backend")
    annotations = json.dumps({"argocd.argoproj.io/tracking-id": "emr"})
    await here.patch("backend", {"op": "add", "path": "/metadata/annotations", "value": json.loads(annotations)})
    plan = await plan_restart(here.cluster, here.fleet, here.environment, "backend")
    assert any("Argo CD owns the Deployment" in warning for warning in plan.warnings)
