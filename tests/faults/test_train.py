"""The whole release train under faults of each server around it: GitHub, AWS, Prometheus, Alertmanager, the registry, and the cluster's
Jobs, logs, execs and ConfigMaps. Each strikes at its step, after the plan was approved.

A fault that passes is met at all steps in one run, which ends well. One that lasts is met step after step in one world: the run stops
there by the fault's name, or tells what it went on without, and nothing that comes after it has begun.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot.audit import EventName
from runbooks.kit.reasons import ReasonCode
from sandbox import train
from sandbox.aws_services import DISTRIBUTIONS, CloudFront
from sandbox.cluster.resources import JOB
from sandbox.outside.github import Github
from sandbox.outside.registry import digest_of
from tests.faults.conftest import is_silent, times
from tests.faults.steps import PODS, patching, recording, said
from tests.faults.wires import Changes, approvable
from tests.support.interference import MALFORMED, Fault, How, Interference, cluster_through, interfering
from tests.support.worlds import APPROVER, PRODUCTION, SERVICES, Story, story

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

FOREVER = 10**6
UNANSWERED = {ReasonCode.CLUSTER_UNREACHABLE, ReasonCode.CLUSTER_REFUSED}
ONCE = 240.0
JOBS = "/apis/batch/v1/namespaces/omnicare-prod/jobs"
GITHUB, AWS, REGISTRY, CLUSTER = "github", "aws", "registry", "cluster"
PROMETHEUS, ALERTS = "prometheus", "alertmanager"

Matches = Callable[[web.Request], bool]


@dataclass(frozen=True, slots=True)
class Met:
    """A request of a step: its name, the server that it goes to, how it is known, and what has passed before it."""

    name: str
    server: str
    matches: Matches
    after: str = "taken"
    writes: bool = False


def asking(path: str, *words: str, method: str = "GET") -> Matches:
    """Asks so, with these words in what it sends."""
    return lambda r: r.method == method and r.path.endswith(path) and all(word in said(r) for word in words)


def running(program: str) -> Matches:
    """Runs that program in a pod."""
    return lambda r: r.path.endswith("/exec") and program in r.query.getall("command", [])


def creating(what: str) -> Matches:
    """Creates that Job, other than the one which lists migrations."""
    return lambda r: r.method == "POST" and r.path == JOBS and f'"omnicare.dev/job": "{what}"' in said(r)


def reading_log(what: str) -> Matches:
    """Reads the whole log of that Job, once it has ended."""
    start = f"{PODS}/pods/omnicare-{what}-"
    return lambda r: r.path.startswith(start) and r.path.endswith("/log") and "follow" not in r.query


def applying(r: web.Request) -> bool:
    """Applies the ConfigMap, not as a dry run."""
    return r.method == "PATCH" and r.path == f"{PODS}/configmaps/backend-config" and "dryRun" not in r.query


MARKS = {
    "taken": (CLUSTER, patching("backend", "omnicare.dev~1run", without="/image")),
    "gates": (CLUSTER, asking("/measured-production")),
    "migrating": (CLUSTER, creating("migrate")),
    "smoke": (CLUSTER, creating("smoke")),
    "recorded": (CLUSTER, recording("releases-production")),
}
GATES = [
    Met("gates: the tag", GITHUB, asking("/git/ref/tags/v2.0.0")),
    Met("gates: the check runs", GITHUB, asking("/check-runs")),
    Met("gates: the image", REGISTRY, asking("/v2/omnicare/frontend/manifests/v2.0.0")),
    Met("gates: the snapshot", AWS, asking("/", "DescribeDBSnapshots", method="POST")),
    Met("gates: the configuration's backup", AWS, asking("/omnicare-backups")),
    Met("gates: the sync queue (exec)", CLUSTER, running("sync:status")),
    Met("gates: the signatures", CLUSTER, asking("/signatures-production")),
]
BEFORE = [
    Met("before: a metric", PROMETHEUS, asking("/api/v1/query"), "gates"),
    Met("before: the alerts", ALERTS, asking("/api/v2/alerts"), "gates"),
    Met("before: the sync queue (exec)", CLUSTER, running("sync:status"), "gates"),
]
SHOWN = [
    Met("GitHub's deployment", GITHUB, asking("/deployments", method="POST"), "gates", writes=True),
    Met(
        "GitHub's deployment: in progress",
        GITHUB,
        asking("/statuses", "in_progress", method="POST"),
        "gates",
        writes=True,
    ),
]
MIGRATE = Met("migrate: creating the Job", CLUSTER, creating("migrate"), writes=True)
CDN = Met("CDN: invalidating", AWS, asking("/invalidation", method="POST"), writes=True)
CONFIG = Met("configuration: applying", CLUSTER, applying, writes=True)
SMOKE_LOG = Met("smoke: the log", CLUSTER, reading_log("smoke"), "smoke")
SMOKE = Met("smoke: creating the Job", CLUSTER, creating("smoke"), writes=True)
VERIFY = [
    Met("verify: the receivers", ALERTS, asking("/receivers"), "smoke"),
    Met("verify: the alert rules", PROMETHEUS, asking("/api/v1/rules"), "smoke"),
    Met("verify: the database (exec)", CLUSTER, running("db:test"), "smoke"),
    Met("verify: a metric", PROMETHEUS, asking("/api/v1/query"), "smoke"),
    Met("verify: the alerts", ALERTS, asking("/api/v2/alerts"), "smoke"),
    Met("verify: the sync queue (exec)", CLUSTER, running("sync:status"), "smoke"),
]
ALL = [
    *GATES, *BEFORE, *SHOWN, MIGRATE,
    Met("migrate: the log", CLUSTER, reading_log("migrate"), "migrating"),
    CDN,
    Met("CDN: looking", AWS, lambda r: r.method == "GET" and "/invalidation/" in r.path),
    CONFIG,
    Met("configuration: keeping", CLUSTER, recording("configurations-production"), writes=True),
    SMOKE,
    SMOKE_LOG,
    *VERIFY,
    Met("GitHub's deployment: the end", GITHUB, asking("/statuses", "success", method="POST"), "recorded", writes=True),
]  # fmt: skip


PATIENT = [met for met in ALL if met.server not in (AWS, REGISTRY) and "exec" not in met.name and met is not GATES[0]]
"""Those whose call ends by its own deadline before its step's: where the others are silent, the step has no answer. Of the two calls of one
gate only one is silent: its second try has to begin within three seconds."""


@dataclass
class Around:
    """A world with a proxy before each server, and what was planted there."""

    here: Story
    proxies: dict[str, Interference]
    tell: Callable[[str, str, str], None]
    planted: list[tuple[Met, How, Fault]] = field(default_factory=list)
    passed: set[str] = field(default_factory=set)

    def note(self, server: str) -> Callable[[web.Request], None]:
        def noted(request: web.Request) -> None:
            self.passed |= {name for name, (where, matches) in MARKS.items() if where == server and matches(request)}

        return noted

    def plant(self, steps: Sequence[Met], how: How, times: int) -> None:
        self.clear()
        for met in steps:
            fault = self.proxies[met.server].fail(how, self._at(met), times=times)
            self.planted.append((met, how, fault))

    def _at(self, met: Met) -> Matches:
        return lambda r: met.after in self.passed and met.matches(r)

    def clear(self) -> None:
        self.planted.clear()
        self.passed.clear()
        for proxy in self.proxies.values():
            proxy.rules.clear()

    @property
    def github(self) -> Github:
        assert self.here.world.github is not None
        return self.here.world.github

    def jobs(self, what: str) -> list[str]:
        found = (each["metadata"] for each in self.here.world.cluster.store.all(JOB, PRODUCTION))
        return [each["name"] for each in found if each["labels"].get("omnicare.dev/job") == what]

    async def ended(self) -> tuple[str, str]:
        """A deploy that was approved, and what its result says."""
        run = await approvable(self.here, "deploy v2.0.0")
        await self.here.press(APPROVER, "approve", run)
        said = await self.here.until(lambda: self.here.text(run, "result"), "it ends", seconds=ONCE)
        await self.here.until(lambda: self.here.environment().run is None, "the place is given back")
        await self.here.until(lambda: "🔵" not in self.here.text(run, "progress"), "the progress has settled")
        self.here.nothing_was_said_twice(run)
        self.here.nothing_is_written_twice(run)
        return run, said

    async def stopped(self, steps: Sequence[Met], how: How, codes: Collection[ReasonCode]) -> str:
        """What the result of a deploy says that meets this fault at these steps, again and again."""
        self.plant(steps, how, FOREVER)
        run, said = await self.ended()
        last = self.here.events(run)[-1]
        assert "🔴" in said, said
        assert last.name is EventName.RUN_FAILED
        assert last.reason_code in codes, (last.reason_code, said)
        self.all_struck("lasting")
        return said

    def all_is_done_once(self, run: str, changes: Changes) -> None:
        """By all runs together."""
        assert changes.images == {(service, "v2.0.0"): 1 for service in SERVICES}
        assert all(self.here.pod_digests(service) == {digest_of(service, "v2.0.0")} for service in SERVICES)
        assert self.here.world.schemas.ran == [(PRODUCTION, "migrate:up")]
        assert [(each.version, each.run) for each in self.here.releases()] == [("v2.0.0", run)]
        assert self.here.environment().undecided is None

    def all_struck(self, kind: str) -> None:
        missed = [met.name for met, _, fault in self.planted if not fault.struck]
        assert not missed, missed
        for met, how, _ in self.planted:
            self.tell(kind, f"{met.server}: {met.name}", str(how))


@pytest.fixture
async def around(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Around]:
    async with (
        story(
            tmp_path / "world",
            parts=tuple(train.PARTS),
            times=times(request) | {"cluster_patience": getattr(request, "param", 20.0)},
        ) as here,
        AsyncExitStack() as stack,
    ):
        document: dict[str, Any] = {}
        here.configure(document.update)
        production = document["environments"]["production"]
        urls = {
            GITHUB: production["github"]["api_url"],
            AWS: production["cdn"]["endpoint"],
            REGISTRY: document["registries"]["ghcr.io"],
            PROMETHEUS: production["verification"]["prometheus"]["url"],
            ALERTS: production["verification"]["alertmanager"]["url"],
        }
        proxies = {name: await stack.enter_async_context(interfering(url)) for name, url in urls.items()}
        cluster = cluster_through(here.world.folder / "bot.kubeconfig", tmp_path)
        proxies[CLUSTER], through = await stack.enter_async_context(cluster)

        call = 1.0 if is_silent(request) else 20.0  # planning has no second try, and a busy machine needs seconds

        def change(found: dict[str, Any]) -> None:
            text = json.dumps(found)
            for name, url in urls.items():
                text = text.replace(url.rstrip("/"), proxies[name].url)
            found.update(json.loads(text))
            for environment in found["environments"].values():
                environment["cluster"]["kubeconfig"] = str(through)
            of = found["environments"]["production"]
            of["gates"] |= {"seconds": min(15.0, 6 * call)}
            of["cdn"] |= {"patience_seconds": 12.0}
            for each in (of["github"], of["verification"]["prometheus"], of["verification"]["alertmanager"]):
                each["seconds"] = call

        here.configure(change)
        proxies[AWS].as_aws = True
        made = Around(here, proxies, lambda *cell: request.node.user_properties.append(("cell", cell)))
        for name, proxy in proxies.items():
            proxy.watchers.append(made.note(name))
        await here.inside()
        yield made
        made.clear()
        await here.leave()


def _cdn(here: Story) -> CloudFront:
    (found,) = [each for each in here.world.aws.services if isinstance(each, CloudFront)]
    return found


async def _invalidated_once_looked_at(around: Around) -> None:
    """The invalidation is in progress until the fault has met the look at it, however long its request took."""
    looking = [fault for met, _, fault in around.planted if met.name == "CDN: looking"]
    if looking:
        cdn = _cdn(around.here)
        cdn.seconds = ONCE
        await around.here.until(
            lambda: all(fault.struck for fault in looking), "the invalidation is looked at", seconds=ONCE
        )
        cdn.seconds = 0.0


PASSING = (How.LOST, How.UNHEARD, How.BUSY, How.BROKEN, How.SILENT, *MALFORMED)
STILL_TEXT = {How.HALF, How.MISSHAPEN, How.EMPTY}
"""A log answered so is still a log, so it is told what is not in it."""


def _met(how: How) -> list[Met]:
    if how is How.SILENT:
        return PATIENT
    return [met for met in ALL if met is not SMOKE_LOG] if how in STILL_TEXT else ALL


@pytest.mark.parametrize("how", PASSING, ids=lambda how: how.name)
async def test_a_fault_at_every_step_of_the_train_passes_and_nothing_is_done_twice(around: Around, how: How):
    here, changes = around.here, Changes(around.here)
    around.plant(_met(how), how, 1)
    async with asyncio.TaskGroup() as group:
        group.create_task(_invalidated_once_looked_at(around))
        run, said = await around.ended()
    assert "v2.0.0 runs in production" in said, said
    await here.ended_with(run, "v2.0.0 runs in production")
    around.all_struck("once")
    around.all_is_done_once(run, changes)
    (shown,) = around.github.deployments
    assert [state["state"] for state in shown.states][-1] == "success"
    assert Counter(each.id for each in here.events(run)).most_common(1)[0][1] == 1
    assert _cdn(here).created == [(DISTRIBUTIONS["production"], ("/*",))]


LASTING = {How.FORBIDDEN: 1, How.BUSY: 2, How.BROKEN: 3, How.LOST: 4, How.SILENT: 5}
"""Each fault, and the gate at which it begins."""
NOT_VERIFIED = {ReasonCode.VERIFICATION_FAILED, ReasonCode.VERIFICATION_INCONCLUSIVE}


@pytest.mark.parametrize("around", [1.0], indirect=True)
@pytest.mark.parametrize("how", LASTING, ids=lambda how: how.name)
async def test_a_fault_that_lasts_stops_the_train_at_its_step_and_nothing_after_it_has_begun(around: Around, how: How):
    here, changes, at = around.here, Changes(around.here), LASTING[how]
    for gate in (GATES[at % len(GATES)], GATES[(at + 3) % len(GATES)]):
        said = await around.stopped([gate], how, {ReasonCode.GATE_FAILED})
        assert "stopped at Check the gates" in said, said
        assert "is now unknown" in said, said
        assert not around.github.deployments
        assert not here.world.schemas.ran
    said = await around.stopped([SHOWN[0], MIGRATE], how, UNANSWERED)
    assert "stopped at Migrate the database" in said, said
    assert len(here.world.schemas.ran) <= 1
    assert not changes.images
    assert not _cdn(here).created

    if at % 2:
        said = await around.stopped([CDN, *VERIFY], how, NOT_VERIFIED)
        assert "stopped at Verification" in said, said
    else:
        said = await around.stopped([CDN, CONFIG], how, UNANSWERED)
        assert "stopped at ConfigMap backend-config" in said, said
        assert not around.jobs("smoke")
    assert changes.images == {(service, "v2.0.0"): 1 for service in SERVICES}
    assert not here.releases()
    assert len(_cdn(here).created) <= 1


MALFORMED_FOR_GOOD = {
    How.NONSENSE: {0: How.MISSHAPEN, 1: How.EMPTY, 2: How.NONSENSE},
    How.MISLABELLED: {3: How.EMPTY, 4: How.NONSENSE, 5: How.MISSHAPEN},
}
"""What the migration's Job meets, and what the gates before it. Who reads an answer whatever it is labelled as goes on."""


@pytest.mark.parametrize("around", [1.0], indirect=True)
@pytest.mark.parametrize("how", MALFORMED_FOR_GOOD, ids=lambda how: how.name)
async def test_answers_that_stay_malformed_stop_the_train_at_their_step_and_nothing_after_it_has_begun(
    around: Around, how: How
):
    here, changes = around.here, Changes(around.here)
    for at, met in MALFORMED_FOR_GOOD[how].items():
        said = await around.stopped([GATES[at]], met, {ReasonCode.GATE_FAILED})
        assert "stopped at Check the gates" in said, said
        assert "is now unknown" in said, said
        assert not around.github.deployments
        assert not here.world.schemas.ran
    said = await around.stopped([SHOWN[0], MIGRATE], how, UNANSWERED)
    assert "stopped at Migrate the database" in said, said
    assert len(here.world.schemas.ran) <= 1
    assert not changes.images

    if how is How.NONSENSE:
        said = await around.stopped([CDN, *VERIFY], How.MISSHAPEN, NOT_VERIFIED)
        assert "stopped at Verification" in said, said
    else:
        said = await around.stopped([CDN, SMOKE_LOG], How.EMPTY, NOT_VERIFIED)
        assert "stopped at Smoke tests" in said, said
    assert changes.images == {(service, "v2.0.0"): 1 for service in SERVICES}
    assert not here.releases()
    assert len(_cdn(here).created) <= 1
