"""A program that runs once as a Job: its end, its log, what keeps it from starting, and what stopping it does."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.jobs import JobSpec, SecretVariable
from runbooks.jobs.running import JobEnd, run_job
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import PlainPulse, Stop, Stopped
from sandbox.cluster import Cluster
from sandbox.cluster.programs import Execution
from sandbox.cluster.resources import JOB, NAMESPACE, POD
from tests.support.clusters import QUICK

RUN = "production.deploy.0f3a0f3a0f3a0f3a"
NAMESPACE_NAME = "omnicare-prod"
IMAGE = "ghcr.io/omnicare/backend:v2.0.0@sha256:" + "a" * 64
SPEC = JobSpec(
    namespace=NAMESPACE_NAME, what="smoke", image=IMAGE, words=("npm", "run", "--silent", "task"), deadline=120
)


@asynccontextmanager
async def _cluster(
    folder: Path, task: Callable[[Execution], Awaitable[int]]
) -> AsyncIterator[tuple[Cluster, ClusterClient]]:
    cluster = Cluster(QUICK)
    cluster.create({"apiVersion": "v1", "kind": NAMESPACE.name, "metadata": {"name": NAMESPACE_NAME}})
    cluster.add_scripts({"task": task})
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(cluster.serve())
        path = folder / "bot.kubeconfig"
        path.write_text(cluster.kubeconfig("omnicare-bot"))
        yield cluster, await stack.enter_async_context(ClusterClient(kubeconfig=str(path)))


def _prints(text: bytes, code: int = 0) -> Callable[[Execution], Awaitable[int]]:
    async def task(execution: Execution) -> int:
        await execution.out(text)
        return code

    return task


async def _forever(execution: Execution) -> int:
    await execution.out(b"begun\n")
    await asyncio.Event().wait()
    return 0


class _Heard(PlainPulse):
    """A pulse that can be waited for."""

    def __init__(self, word: str) -> None:
        super().__init__(RUN)
        self._word, self.heard = word, asyncio.Event()

    def say(self, detail: str) -> None:
        super().say(detail)
        if self._word in detail:
            self.heard.set()


async def test_a_program_ends_well_and_its_log_is_said_and_kept_redacted(tmp_path: Path) -> None:
    pulse = PlainPulse(RUN)
    text = b"step 1\nconnecting to postgres://omnicare:hunter2@db:5432/emr\nstep 3\n"
    async with _cluster(tmp_path, _prints(text)) as (_, client):
        end = await run_job(pulse, client, SPEC)
    assert (end.ok, end.exit_code, end.whole, end.output) == (True, 0, True, text)
    assert end.log[0] == "step 1"
    assert "hunter2" not in str(end)
    assert not any("hunter2" in said for said in pulse.said)


async def test_of_json_in_a_log_only_its_messages_are_said(tmp_path: Path) -> None:
    hold = asyncio.Event()

    async def task(execution: Execution) -> int:
        entry = json.dumps({"level": "info", "msg": "adding an index", "sql": "x" * 500})
        await execution.out(f'[1/2] begun\n{entry}\n{{\n  "flows": [\n    "cut"\n'.encode())
        await hold.wait()
        return 0

    pulse = _Heard("adding an index")
    async with _cluster(tmp_path, task) as (_, client):
        running = asyncio.create_task(run_job(pulse, client, SPEC))
        await pulse.heard.wait()
        hold.set()
        await running
    said = [each for each in pulse.said if each != "starting"]
    assert said[0] == "[1/2] begun"
    assert not any("{" in each or "flows" in each or "cut" in each for each in said), said


async def test_a_program_that_fails_is_a_result_with_its_exit_status_and_the_end_of_its_log(tmp_path: Path) -> None:
    async with _cluster(tmp_path, _prints(b"".join(b"line %d\n" % n for n in range(100)), 3)) as (cluster, client):
        end = await run_job(PlainPulse(RUN), client, SPEC)
        (pod,) = cluster.store.all(POD, NAMESPACE_NAME)
    assert end.exit_code == 3
    assert end.log == tuple(f"line {n}" for n in range(80, 100))
    assert pod["spec"]["restartPolicy"] == "Never"


async def test_output_beyond_its_bound_loses_its_beginning(tmp_path: Path) -> None:
    async with _cluster(tmp_path, _prints(b"x" * 5000 + b"\nend\n")) as (_, client):
        end = await run_job(PlainPulse(RUN), client, SPEC.model_copy(update={"output_bytes": 100}))
    assert len(end.output) == 100
    assert end.output.endswith(b"end\n")
    assert not end.whole


async def test_a_step_that_was_killed_finds_its_job_again_and_runs_nothing_twice(tmp_path: Path) -> None:
    ran = []

    async def task(execution: Execution) -> int:
        ran.append(execution.pod["metadata"]["name"])
        return 0

    async with _cluster(tmp_path, task) as (_, client):
        await run_job(PlainPulse(RUN), client, SPEC)
        again = await run_job(PlainPulse(RUN), client, SPEC)
    assert again.ok
    assert len(ran) == 1


async def test_a_job_of_another_run_is_refused(tmp_path: Path) -> None:
    async with _cluster(tmp_path, _prints(b"")) as (_, client):
        other = RUN.replace("production", "staging")
        assert SPEC.name(other) == SPEC.name(RUN)
        await run_job(PlainPulse(other), client, SPEC)
        with pytest.raises(PermanentError, match="created it") as caught:
            await run_job(PlainPulse(RUN), client, SPEC)
    assert caught.value.code is ReasonCode.CHANGED_MEANWHILE


@pytest.mark.parametrize(
    "other", [{"words": ("true",)}, {"image": "x/tool:other"}, {"values": {"NODE_OPTIONS": "-r x"}}]
)
async def test_a_job_that_somebody_made_for_the_run_is_not_taken_for_its_own(
    tmp_path: Path, other: dict[str, object]
) -> None:
    """The run's id, of which the name is made, is on every Deployment."""
    async with _cluster(tmp_path, _prints(b"all is well")) as (_, client):
        await client.jobs.create(SPEC.model_copy(update=other), RUN)
        with pytest.raises(PermanentError, match="somebody else created it") as caught:
            await run_job(PlainPulse(RUN), client, SPEC)
    assert caught.value.code is ReasonCode.CHANGED_MEANWHILE


async def test_past_its_deadline_kubernetes_ends_it_and_the_error_has_its_log(tmp_path: Path) -> None:
    async with _cluster(tmp_path, _forever) as (_, client):
        with pytest.raises(PermanentError, match="did not finish within 5 s") as caught:
            await run_job(PlainPulse(RUN), client, SPEC.model_copy(update={"deadline": 5}))
    assert caught.value.code is ReasonCode.TIMED_OUT
    assert caught.value.diagnosis.log == ("begun",)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"image": "ghcr.io/omnicare/backend:v2.0.0-bad"}, ReasonCode.IMAGE_UNKNOWN, "can't be pulled"),
        (
            {"environment": (SecretVariable(variable="DATABASE_URL", secret="backend-secret", key="DATABASE_URL"),)},
            ReasonCode.CONFIG_MISSING,
            "backend-secret",
        ),
    ],
)
async def test_what_can_not_start_is_explained_and_its_job_removed(
    tmp_path: Path, change: dict[str, object], code: ReasonCode, words: str
) -> None:
    async with _cluster(tmp_path, _prints(b"")) as (cluster, client):
        with pytest.raises(PermanentError) as caught:
            await run_job(PlainPulse(RUN), client, SPEC.model_copy(update=change))
        assert not list(cluster.store.all(JOB, NAMESPACE_NAME))
    assert caught.value.code is code
    assert words in f"{caught.value.message} {caught.value.diagnosis.said}"


async def test_what_no_node_takes_is_said_and_at_its_deadline_it_is_why(tmp_path: Path) -> None:
    pulse = PlainPulse(RUN)
    async with _cluster(tmp_path, _prints(b"")) as (cluster, client):
        cluster.create(
            {
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "backend", "namespace": NAMESPACE_NAME},
                "spec": {
                    "replicas": 0, "selector": {"matchLabels": {"app": "b"}},
                    "template": {
                        "metadata": {"labels": {"app": "b"}},
                        "spec": {"containers": [{"name": "b", "image": IMAGE, "resources": {"requests": {"cpu": "400"}}}]},
                    },
                },
            }
        )  # fmt: skip
        spec = SPEC.model_copy(update={"like": "backend", "deadline": 5})
        with pytest.raises(PermanentError, match="no node has room") as caught:
            await run_job(pulse, client, spec)
    assert caught.value.code is ReasonCode.UNSCHEDULABLE
    assert any("insufficient cpu" in said for said in pulse.said)


async def test_a_job_that_somebody_deletes_is_said_to_be_gone(tmp_path: Path) -> None:
    pulse = _Heard("begun")
    async with _cluster(tmp_path, _forever) as (cluster, client):
        running = asyncio.create_task(run_job(pulse, client, SPEC))
        await pulse.heard.wait()
        cluster.api.delete(JOB, NAMESPACE_NAME, SPEC.name(RUN))
        with pytest.raises(PermanentError, match="Somebody deleted"):
            await running


@pytest.mark.parametrize("ends", [True, False])
async def test_on_stop_a_job_is_deleted_unless_it_must_not_break_off(tmp_path: Path, *, ends: bool) -> None:
    pulse = _Heard("begun")
    async with _cluster(tmp_path, _forever) as (cluster, client):
        running: asyncio.Task[JobEnd] = asyncio.create_task(
            run_job(pulse, client, SPEC.model_copy(update={"ends_on_stop": ends}))
        )
        await pulse.heard.wait()
        pulse.ask_to_stop(Stop(kind="cancelled", by="Maya"))
        with pytest.raises(Stopped):
            await running
        assert bool(list(cluster.store.all(JOB, NAMESPACE_NAME))) is not ends


def test_the_lines_by_hand_make_the_same_job_and_hold_no_secret() -> None:
    spec = SPEC.model_copy(
        update={"environment": (SecretVariable(variable="DATABASE_URL", secret="backend-secret", key="DATABASE_URL"),)}
    )
    create, follow = spec.by_hand()
    assert '"secretKeyRef":{"name":"backend-secret","key":"DATABASE_URL"}' in create
    assert create.endswith("| kubectl create -n omnicare-prod -o name -f -)")
    assert '"generateName":"omnicare-smoke-by-hand-"' in create, "a second try meets no Job of the first"
    assert 'kubectl logs -n omnicare-prod -f "$job"' in follow
    assert "conditions" in follow, "one that fails is not waited for until its deadline"
    assert r"""{.type}{": "}{.message}{"\n"}{end}""" in follow
