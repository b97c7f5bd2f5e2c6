"""A configured script in a pod or as a Job: its output, each way in which it does not end well, and never twice."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.fleet.fleet import Fleet
from runbooks.fleet.script_starts import ScriptStart, begun
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import PlainPulse, StepContext, Stop, Stopped
from runbooks.kit.targets import Region
from runbooks.scripts.settings import ConfiguredScript, Scripts
from runbooks.scripts.steps import RunScript, ScriptRan, plan_script
from sandbox.cluster import Cluster, seed_omnicare
from sandbox.cluster.programs import Execution
from sandbox.cluster.settings import Settings
from tests.support.cases import PRODUCTION

WARM = ConfiguredScript(words=("npm", "run", "cache:warm", "$argument"), choices=("wards", "drugs"))
REINDEX = ConfiguredScript(words=("npm", "run", "--silent", "search:reindex"), runs="as-job", seconds=60)
BROKEN = ConfiguredScript(words=("npm", "run", "--silent", "broken"))
SECRET = "Maria Lopez, MRN 8812345"


@dataclass
class Here:
    cluster: Cluster
    client: ClusterClient
    scripts: dict[str, ConfiguredScript]
    begun: list[str] = field(default_factory=list)

    async def plan(self, name: str, choice: str | None = None) -> Plan:
        return await plan_script(self.client, PRODUCTION, name, self.scripts[name], choice)

    async def run(self, name: str, choice: str | None = None, *, run: str = "one") -> tuple[PlainPulse, ScriptRan]:
        (step,) = (await self.plan(name, choice)).steps
        assert isinstance(step, RunScript)
        pulse = PlainPulse(f"production.run.{run}")
        return pulse, await step.apply(self.context(pulse))

    def context(self, pulse: PlainPulse) -> StepContext:
        found = (self.client, Fleet(self.client), Scripts(self.scripts))
        return StepContext(pulse=pulse, environment=PRODUCTION, services={type(each): each for each in found})


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Here]:
    cluster = Cluster(Settings(nodes=3, start_seconds=(0.01, 0.02)))
    seed_omnicare(cluster)
    async with cluster.serve():
        (tmp_path / "kubeconfig").write_text(cluster.kubeconfig())
        async with ClusterClient(kubeconfig=str(tmp_path / "kubeconfig")) as client:
            made = Here(cluster, client, {"cache-warm": WARM, "reindex": REINDEX, "broken": BROKEN})

            async def broken(execution: Execution) -> int:
                made.begun.append(execution.pod["metadata"]["name"])
                await execution.out(f"merging {SECRET}\n".encode())
                await execution.err(b"Error: the index is corrupt\n")
                return 3

            cluster.add_scripts({"broken": broken})
            yield made


async def test_a_script_in_a_pod_is_told_line_by_line_and_its_end_is_kept(here: Here):
    pulse, ran = await here.run("cache-warm", "wards")
    assert pulse.said[-2:] == ["wards: 120 of 120 entries", "wards: the cache is warm"]
    assert ran.lines[-1] == "wards: the cache is warm"
    assert ran.where.startswith("pod backend-")


async def test_a_warning_in_the_middle_of_a_line_parts_no_private_value_from_its_cue(here: Here):
    async def halves(execution: Execution) -> int:
        await execution.out(b"patient name: Mar")
        await execution.err(b"npm warn deprecated\n")
        await execution.out(b"ia Lopez, done\n")
        return 0

    here.cluster.add_scripts({"broken": halves})
    pulse, _ = await here.run("broken")
    said = " ".join(pulse.said)
    assert "npm warn deprecated" in pulse.said
    assert "done" in said
    assert "Lopez" not in said


async def test_a_job_is_from_the_image_that_runs_and_bound_to_it(here: Here):
    plan = await here.plan("reindex")
    (substance,) = plan.substances()
    assert "@sha256:" in str(substance["image"])
    _, ran = await here.run("reindex")
    assert ran.where.startswith("Job omnicare-run-reindex-")
    assert ran.lines[-1] == "index built, 2 segments merged"


async def test_no_job_is_made_from_an_image_of_another_repository(here: Here):
    """It would get the script's Secrets."""
    path = "/spec/template/spec/containers/0/image"
    foreign = f"ghcr.evil.example/omnicare/backend:v1.2.0@sha256:{'a' * 64}"
    operation = {"op": "replace", "path": path, "value": foreign}
    await here.client.patch_deployment(PRODUCTION.namespace, "backend", [operation], manager="kubectl-set")
    with pytest.raises(PermanentError, match=r"ghcr\.evil\.example.* is not from the configured repository") as refused:
        await here.plan("reindex")
    assert refused.value.code is ReasonCode.FOREIGN_IMAGE


async def test_a_script_that_was_begun_is_not_begun_again_by_the_same_run(here: Here):
    await here.run("cache-warm", "wards")
    with pytest.raises(PermanentError) as caught:
        await here.run("cache-warm", "wards")  # the bot was killed before it had kept the result
    assert "it is unknown how far `npm run cache:warm wards` got. It was not run again." in caught.value.message
    assert caught.value.code is ReasonCode.SCRIPT_UNANSWERED
    await here.run("cache-warm", "wards", run="two")


STARTS = "script-starts"


async def test_one_whose_earlier_start_can_not_be_read_is_not_begun_again(here: Here):
    await here.run("cache-warm", "wards")
    where = (PRODUCTION.record_namespace, f"{STARTS}-{PRODUCTION.name}")
    found = await here.client.config_map(*where)
    damages = ({STARTS: found.data[STARTS][:-5]}, {STARTS: ""}, {STARTS: "[]", f"{STARTS}-unreadable": "[{"})
    for data in damages:
        kept = await here.client.config_map(*where)
        await here.client.replace_config_map(kept, data)
        with pytest.raises(PermanentError) as caught:
            await here.run("cache-warm", "wards")
        assert caught.value.message.endswith("it is unknown whether this run began the script before. It was not run.")
        assert (await here.client.config_map(*where)).data == data


def test_a_start_may_have_left_the_list_once_others_have_filled_it():
    now = datetime(2026, 3, 1, tzinfo=UTC)

    def start(run: int) -> ScriptStart:
        at = (now + timedelta(seconds=run)).isoformat()
        return ScriptStart(run=f"run-{run}", script="run-script:x", pod="p", at=at, attempt=str(run))

    data: dict[str, str] = {}
    for run in range(100):
        data, before = begun(data, start(run), now + timedelta(seconds=run))
        assert before is None
    data, before = begun(data, start(100), now + timedelta(seconds=50))  # what it may have begun would stand there
    assert before is None
    for planned in (now, None):
        with pytest.raises(PermanentError, match="100 other scripts were begun"):
            begun(data, start(0), planned)


async def test_one_that_only_reads_may_be_begun_again(here: Here):
    here.scripts["cache-warm"] = WARM.model_copy(update={"changes": False})
    await here.run("cache-warm", "wards")
    await here.run("cache-warm", "wards")


async def test_a_script_that_fails_shows_its_words_and_nothing_of_a_patient(here: Here):
    with pytest.raises(PermanentError) as caught:
        await here.run("broken")
    assert caught.value.code is ReasonCode.SCRIPT_FAILED
    assert "exited with 3" in caught.value.message
    assert "Error: the index is corrupt" in caught.value.evidence
    assert "8812345" not in " ".join(caught.value.evidence)
    assert len(here.begun) == 1


async def test_a_plan_of_another_script_is_refused(here: Here):
    (step,) = (await here.plan("cache-warm", "wards")).steps
    here.scripts["cache-warm"] = WARM.model_copy(update={"choices": ("drugs",)})
    with pytest.raises(PermanentError) as caught:
        await step.apply(here.context(PlainPulse("production.run.one")))
    assert caught.value.code is ReasonCode.CHANGED_MEANWHILE


async def test_who_stops_it_is_told_that_it_may_go_on(here: Here):
    (step,) = (await here.plan("cache-warm", "wards")).steps
    pulse = PlainPulse("production.run.one")
    pulse.ask_to_stop(Stop(kind="cancelled", by="Tomas"))
    with pytest.raises(Stopped):
        await step.apply(here.context(pulse))
    assert step.goes_on() == ("`npm run cache:warm wards` may still be running in its pod.",)


async def test_with_regions_it_is_said_where_it_runs_and_the_line_by_hand_leads_there(here: Here):
    regions = tuple(Region(name=name, kubectl=f"kubectl --context {name}") for name in ("eu", "us"))
    environment = PRODUCTION.model_copy(update={"regions": regions, "home": "us"})
    plan = await plan_script(here.client, environment, "cache-warm", WARM, "wards")
    assert plan.notes[-1] == "It runs in the home region us only."
    (line,) = plan.steps[0].by_hand()
    assert line.startswith(
        "kubectl --context us exec -n omnicare-prod deployment/backend -c backend -- npm run cache:warm wards"
    )


@pytest.mark.parametrize(
    "table",
    [
        {"words": ["sh", "-c", "rm -rf /"]},
        {"words": ["/bin/sh", "-c", "reboot"]},
        {"words": ["npm", "run", "x;reboot"]},
        {"words": ["npm", "run", "--what=$argument"], "choices": ["a"]},
        {"words": ["$argument"], "choices": ["a"]},
        {"words": ["npm", "$argument"]},
        {"words": ["npm"], "choices": ["a"]},
        {"words": ["npm", "$argument"], "choices": ["--help"]},
        {"words": ["npm", "$argument"], "choices": ["a b"]},
        {"words": ["npm"], "secrets": [{"variable": "TOKEN", "secret": "s", "key": "k"}]},
        {"words": ["npm"], "seconds": 700},
    ],
)
def test_what_could_run_anything_else_is_no_script(table: dict[str, object]):
    with pytest.raises(ValidationError):
        ConfiguredScript.model_validate(table)
