"""The whole release train beside the guide's commands, one after another in a shell, on the same servers of the sandbox.

Ours: the plan with all its parts, then every step of it, in one process as in the bot, without the approval's wait. The guide's: its
commands from "Step 2" to "Health Checks" as they are typed, with the placeholders filled in. They deploy the same version to the same cluster in turns; what the
servers themselves take (a CDN's invalidation) is set to next to nothing for both, and Jobs (migrations, smoke tests, and the one by which the plan lists
migrations, while nothing else is waited for) are left out of both: they are the release's own time.

    python -m benchmarks train [--smoke]
"""

import asyncio
import os
import shlex
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.figures import Figure
from bot.clients import Clients, open_clients
from bot.config import Settings, load
from bot.policy.people import People
from bot.policy.permissions import Permissions
from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.fleet.fleet import Fleet, Lease
from runbooks.fleet.records import utc_now
from runbooks.gates.signatures import Signers
from runbooks.kit.plan import Plan
from runbooks.kit.steps import PlainPulse, StepContext, applied
from runbooks.kit.timeouts import RolloutSettings
from runbooks.kit.train import Part, PlansPart, Train
from runbooks.migrations.migrating import SchemaStep
from runbooks.release.plans import plan_deploy
from runbooks.release.train import PARTS, with_parts
from runbooks.verification.steps import ScriptJob
from sandbox import train
from sandbox.aws_services import DISTRIBUTIONS, CloudFront
from sandbox.cluster.settings import Settings as ClusterSettings
from sandbox.outside.registry import digest_of
from sandbox.world import SandboxWorld, opened

GOAL = 0.7
"""Of the guide's wall time."""
ROUNDS = 5
JOBS = (SchemaStep, ScriptJob)
"""Steps that run a program of the release as a Job."""
LISTING = "migrations"
"""The part of the plan that runs one too."""
PRODUCTION, NAMESPACE = "production", "omnicare-prod"
BEFORE, AFTER = "v1.2.0", "v2.0.0"
_QUICK = ClusterSettings(nodes=3, start_seconds=(0.3, 0.4), stop_seconds=0.1, job_seconds=0.1)
_BAKES = '"bake_seconds" = 1.0'
"""The guide says nothing of how long to look, so ours does not wait either."""
_REST_AT_ONCE = '"repository" = "ghcr.io/omnicare/{}"'
"""Behind this the first figure's setting goes: with it all pods but the first start at once, which no command of the guide can do."""
_CONFIG = """apiVersion: v1
kind: ConfigMap
metadata:
  name: backend-config
data:
  LOG_LEVEL: info
  FHIR: R4
  OFFLINE_SYNC_BATCH: "50"
"""
"""The guide's production-config.yaml, as v2.0.0 has it."""
_BIN = Path(sys.executable).parent
_INVALIDATE = (
    "import boto3, sys, time; boto3.client('cloudfront', region_name='us-east-1', endpoint_url=sys.argv[1], aws_access_key_id='a', "
    "aws_secret_access_key='b').create_invalidation(DistributionId=sys.argv[2], InvalidationBatch={'Paths': {'Quantity': 1, 'Items': ['/*']}, "
    "'CallerReference': str(time.time())})"
)
"""What `aws cloudfront create-invalidation` does, by the library that it is made of."""


async def measure(*, smoke: bool = False) -> list[Figure]:
    """Wall times of the train, ours and the guide's, with each pace of the rollouts."""
    quick = await _measured("the release train of v2.0.0, rest_at_once", smoke=smoke, rest_at_once=True, goal=GOAL)
    if smoke:
        return [quick]
    return [quick, await _measured("the same by the Deployments' own strategy", smoke=smoke, rest_at_once=False)]


async def _measured(name: str, *, smoke: bool, rest_at_once: bool, goal: float | None = None) -> Figure:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="omnicare-train-")))
        world = await stack.enter_async_context(opened(folder, cluster=_QUICK, parts=train.PARTS))
        for service in world.aws.services:
            if isinstance(service, CloudFront):
                service.seconds = 0.0
        path = world.folder / "omnicare.toml"
        text = path.read_text(encoding="utf-8")
        assert _BAKES in text
        text = text.replace(_BAKES, '"bake_seconds" = 0.0')
        for found in map(_REST_AT_ONCE.format, ("backend", "frontend") if rest_at_once else ()):
            text = text.replace(found, f'{found}, "rest_at_once" = true')
        path.write_text(text, encoding="utf-8")
        (world.folder / "production-config.yaml").write_text(_CONFIG, encoding="utf-8")
        settings = load(path)
        clients = await open_clients(settings, stack)
        ours: list[float] = []
        guides: list[float] = []
        for number in range(1 if smoke else 1 + ROUNDS):
            first, second = (_ours, _guides) if number % 2 == 0 else (_guides, _ours)
            for work in (first, second):
                began = time.perf_counter()
                jobs = await work(world, settings, clients, f"production.deploy.bench{number}")
                took = time.perf_counter() - began - jobs
                if number or smoke:  # the first round loads what a bot that serves has loaded
                    (ours if work is _ours else guides).append(took)
                await _back(world)
    return Figure(
        name=name,
        ours=statistics.median(ours),
        unit="s",
        peer=statistics.median(guides),
        peer_name="the guide's commands in a shell",
        goal=goal,
    )


async def _ours(_: SandboxWorld, settings: Settings, clients: Clients, run: str) -> float:
    """Return the seconds that its Jobs took."""
    environment = settings.environment(PRODUCTION)
    cluster = clients.clusters[PRODUCTION]
    fleet = Fleet(cluster)
    lease = Lease(run=run, title="Deploy", by="bench", since=utc_now())
    holder = (await fleet.read(environment)).run
    assert (
        await fleet.take_over(environment, lease, of=holder) if holder else (await fleet.take(environment, lease)).taken
    )
    services: dict[type, object] = {
        ClusterClient: cluster,
        RegistryClient: clients.images,
        Fleet: fleet,
        type(clients.health): clients.health,
        RolloutSettings: settings.patience(),
        Signers: Signers(Permissions(settings, People(settings), None).signing_roles),
        **clients.environments[PRODUCTION],
    }
    plan = await plan_deploy(cluster, clients.images, fleet, environment, AFTER)
    ended: dict[str, float] = {}
    parts = [(name, _timed(name, plans, ended)) for name, plans in PARTS]
    plan = await with_parts(plan, environment, services, now=datetime.now(UTC), parts=parts)
    listing = max(0.0, ended.pop(LISTING) - max(ended.values()))
    return listing + await _done(
        plan, StepContext(pulse=PlainPulse(run), environment=environment, asked_by="bench", services=services)
    )


def _timed(name: str, plans: PlansPart, ended: dict[str, float]) -> PlansPart:
    """Return the planner, which notes when it has ended."""

    async def planned(train: Train) -> Part:
        try:
            return await plans(train)
        finally:
            ended[name] = time.perf_counter()

    return planned


async def _done(plan: Plan, context: StepContext) -> float:
    """Do it step by step, those that go side by side at the same time. Return the seconds that its Jobs took."""
    jobs = 0.0
    for group in plan.groups:
        began = time.perf_counter()
        for step, value in zip(group, await asyncio.gather(*(applied(each, context) for each in group)), strict=True):
            context.results.keep(step, value)
        if any(isinstance(step, JOBS) for step in group):
            jobs += time.perf_counter() - began
    return jobs


async def _guides(world: SandboxWorld, settings: Settings, clients: Clients, run: str) -> float:  # noqa: ARG001 - as ours
    """Return the seconds that its Jobs took: none, they are left out."""
    await _shell(world, _script(world))
    return 0.0


def _script(world: SandboxWorld) -> str:
    image = {name: f"ghcr.io/omnicare/{name}:{AFTER}@{digest_of(name, AFTER)}" for name in ("backend", "frontend")}
    invalidate = shlex.join([sys.executable, "-c", _INVALIDATE, world.aws.url, DISTRIBUTIONS[PRODUCTION]])
    curl = "curl -fsS -o /dev/null" if shutil.which("curl") else f"{shlex.quote(sys.executable)} -m urllib.request"
    pod = "$(kubectl get pods -l app=backend -o jsonpath='{.items[0].metadata.name}')"
    return "\n".join(
        [
            "set -e",
            f"kubectl set image deployment/backend backend={image['backend']}",
            "kubectl rollout status deployment/backend",
            "kubectl get pods -l app=backend",
            f"kubectl set image deployment/frontend frontend={image['frontend']}",
            "kubectl rollout status deployment/frontend",
            invalidate,
            f"kubectl apply -f {shlex.quote(str(world.folder / 'production-config.yaml'))}",
            *(f"{curl} {world.health.url_of(PRODUCTION, name)}" for name in image),
            f"kubectl exec {pod} -- npm run db:test",
        ]
    )


async def _back(world: SandboxWorld) -> None:
    """Not timed."""
    lines = [
        f"kubectl set image deployment/{name} {name}=ghcr.io/omnicare/{name}:{BEFORE}@{digest_of(name, BEFORE)}"
        for name in ("backend", "frontend")
    ]
    waits = [f"kubectl rollout status deployment/{name}" for name in ("backend", "frontend")]
    await _shell(world, "\n".join(["set -e", *lines, *waits]))


async def _shell(world: SandboxWorld, script: str) -> None:
    config = world.folder / "bench.kubeconfig"
    if not config.exists():
        text = world.cluster.kubeconfig("admin")
        config.write_text(text, encoding="utf-8")
        config.chmod(0o600)
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", f'kubectl() {{ command kubectl -n {NAMESPACE} "$@"; }}\n{script}',
        env={"PATH": f"{_BIN}:{os.environ.get('PATH', '')}", "KUBECONFIG": str(config), "HOME": str(world.folder)},
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await process.communicate()
    if process.returncode:
        raise RuntimeError(
            f"the guide's shell ended with {process.returncode}: {said.decode(errors='replace').strip()}"
        )
