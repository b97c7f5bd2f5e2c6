"""The sandbox's cluster and a real control plane answer alike: Jobs, as our client makes them and follows them to their end."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.jobs import JobSpec, ScratchDatabase
from runbooks.jobs.running import run_job
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import PlainPulse
from tests.support.clusters import BOTH, ClusterUnderTest, opened
from tests.support.conformance import deployment

FIRST_WITH_SIDECARS = 29
"""The minor version of Kubernetes; a build that names none is older."""
RUN, OTHER = "production.deploy.0f3a0f3a0f3a0f3a", "staging.deploy.0f3a0f3a0f3a0f3a"


@pytest.fixture(params=BOTH)
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ClusterUnderTest]:
    async with opened(request.param, tmp_path) as under_test:
        yield under_test


def spec(cluster: ClusterUnderTest, *words: str, **more: object) -> JobSpec:
    fields = {"namespace": cluster.namespace, "what": "task", "image": "x/tool:v1", "words": words, "deadline": 120}
    return JobSpec.model_validate({**fields, **more})


async def test_a_job_completes_is_found_again_by_its_run_and_refused_to_another(cluster: ClusterUnderTest) -> None:
    asked = spec(cluster, "work")
    async with ClusterClient(kubeconfig=str(cluster.config_of("admin"))) as client:
        assert (await run_job(PlainPulse(RUN), client, asked)).exit_code == 0
        assert (await run_job(PlainPulse(RUN), client, asked)).exit_code == 0
        (pod,) = (await cluster.get("pods", "-l", f"job-name={asked.name(RUN)}"))["items"]
        assert pod["spec"]["restartPolicy"] == "Never"
        assert (await client.jobs.of_kind(cluster.namespace, "task"))[0].run == RUN
        with pytest.raises(PermanentError, match="created it"):
            await run_job(PlainPulse(OTHER), client, asked)
        with pytest.raises(PermanentError, match="somebody else created it"):
            await run_job(PlainPulse(RUN), client, spec(cluster, "fail"))


async def test_a_job_that_fails_ends_with_its_exit_status_after_one_try(cluster: ClusterUnderTest) -> None:
    async with ClusterClient(kubeconfig=str(cluster.config_of("admin"))) as client:
        end = await run_job(PlainPulse(RUN), client, spec(cluster, "fail"))
    assert end.exit_code == 1
    (job,) = (await cluster.get("jobs"))["items"]
    (condition,) = [each for each in job["status"]["conditions"] if each["type"] == "Failed"]
    assert (condition["reason"], job["status"]["failed"]) == ("BackoffLimitExceeded", 1)


async def test_a_scratch_database_is_a_sidecar_or_the_cluster_is_said_to_be_too_old(cluster: ClusterUnderTest) -> None:
    asked = spec(
        cluster,
        "work",
        stages=({"name": "old-schema", "image": "x/tool:v1", "words": ("work",)},),
        scratch=ScratchDatabase(image="postgres:15", user=999),
        values={"DATABASE_URL": ScratchDatabase.URL},
        approved=False,
    )
    version = json.loads((await cluster.kubectl("version", "-o", "json")).out)["serverVersion"]
    async with ClusterClient(kubeconfig=str(cluster.config_of("admin"))) as client:
        if int(version["minor"].rstrip("+") or 0) < FIRST_WITH_SIDECARS:
            with pytest.raises(PermanentError, match="the request is invalid") as caught:
                await run_job(PlainPulse(RUN), client, asked)
            assert "Kubernetes 1.29 or newer" in caught.value.advice[0]
            return
        assert (await run_job(PlainPulse(RUN), client, asked)).exit_code == 0
        (pod,) = (await cluster.get("pods", "-l", f"job-name={asked.name(RUN)}"))["items"]
    database, stage = pod["status"]["initContainerStatuses"]
    assert (database["name"], stage["state"]["terminated"]["exitCode"]) == ("scratch-database", 0)


async def test_past_its_deadline_a_job_fails_and_its_pod_is_why(cluster: ClusterUnderTest) -> None:
    away = deployment(replicas=0)
    away["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "none-has-it"}
    await cluster.kubectl("create", "-f", "-", stdin=away)
    asked = spec(cluster, "work", like="web", deadline=3)
    async with ClusterClient(kubeconfig=str(cluster.config_of("admin"))) as client:
        with pytest.raises(PermanentError) as caught:
            await run_job(PlainPulse(RUN), client, asked)
        job = await client.jobs.get(cluster.namespace, asked.name(RUN))
    assert caught.value.code in (ReasonCode.UNSCHEDULABLE, ReasonCode.TIMED_OUT)
    assert (job.ended, job.reason, job.active) == ("failed", "DeadlineExceeded", 0)


async def test_a_deleted_job_takes_its_pods_along(cluster: ClusterUnderTest) -> None:
    asked = spec(cluster, "work")
    async with ClusterClient(kubeconfig=str(cluster.config_of("admin"))) as client:
        await run_job(PlainPulse(RUN), client, asked)
        await client.jobs.delete(await client.jobs.get(cluster.namespace, asked.name(RUN)))
    await cluster.until(lambda found: not found["items"], "pods")


async def test_whoever_only_looks_may_make_no_job(cluster: ClusterUnderTest) -> None:
    async with ClusterClient(kubeconfig=str(cluster.config_of("viewer"))) as client:
        with pytest.raises(PermanentError, match="denied the bot permission to create Job") as caught:
            await run_job(PlainPulse(RUN), client, spec(cluster, "work"))
    assert caught.value.code is ReasonCode.CLUSTER_REFUSED
