"""Each query about production has the lines that tell the same in a terminal, or says here why it has none."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from commands.kit.command import Observation, Query
from commands.kit.parsing import BY_HAND, parse, split
from commands.kit.registry import load
from commands.kit.types import Known
from runbooks.kit.plan import Image
from runbooks.kit.targets import Environment
from runbooks.migrations.settings import MigrationSettings, ProofSettings
from runbooks.release.restarting import plan_restart
from runbooks.rotation.planning import plan_rotation
from runbooks.rotation.settings import Rotations, RotationSettings
from runbooks.scripts.steps import RunScript
from runbooks.sync.queue import SyncQueue, SyncScripts
from runbooks.verification.benchmark import Benchmark
from runbooks.verification.settings import VerificationSettings
from runbooks.verification.smoke import SmokeTests
from runbooks.verification.steps import RunBenchmark, Smoke, script_step
from runbooks.verification.verification import Verification
from tests.support.two_regions import TwoRegions, two_regions

GROUPS = ("commands.observe", "commands.database")
WITHOUT = {
    "evidence": "it tells what a run measured, which only the bot's own store has",
    "home": "it tells of all environments and of requests, which only the bot's own store has",
    "logs stop": "it ends an answer of the bot's own",
    "verify": "its checks are those of `status`, `metrics`, `db connect` and `sync status`, which have lines of their own",
}


def test_every_query_of_production_has_lines_or_says_why_not() -> None:
    registry = load()
    missing = {
        spec.name
        for spec in registry
        if (command := registry.command(spec.name)).__module__.startswith(GROUPS)
        and issubclass(command, Query)
        and not issubclass(command, Observation)
    }
    assert missing <= set(WITHOUT), (
        "derive it from Observation, which needs `by_hand`, or say in WITHOUT why it has no lines"
    )
    assert missing == set(WITHOUT), "it has lines now: take it out of WITHOUT"


def test_the_last_word_asks_for_the_lines() -> None:
    known = Known(environments=("production",), services=("backend",))
    for typed in ("pods backend kubectl", "pods --env production kubectl", "pods --kubectl"):
        request = parse(split(typed), load(), known, default_environment="production")
        assert isinstance(request, Observation)
        assert request.kubectl, typed
    assert load().get("pods").parameter(BY_HAND) is not None


ROOT = Path(__file__).parents[2]
NOT_OF_AN_ENVIRONMENT = {"bot/reference/guide.py": "the lines of the guide itself"}
_LINE = re.compile(r"kubectl [a-z][^`\n]*?(?:\{|-n )")
"""`kubectl` with a verb and a value or a namespace; a command that is only named has neither."""
_BARE = re.compile(r"\bkubectl (?!--context )")


def _texts(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield each text of a module with `{}` for its values, but for docstrings."""
    documents = {id(node.value) for node in ast.walk(module) if isinstance(node, ast.Expr)}
    for node in ast.walk(module):
        if isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
            yield node.lineno, "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents:
            yield node.lineno, node.value


def test_no_line_by_hand_leaves_the_cluster_to_the_current_context() -> None:
    paths = [path for folder in ("runbooks", "commands", "bot") for path in (ROOT / folder).rglob("*.py")]
    bare = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in paths
        if str(path.relative_to(ROOT)) not in NOT_OF_AN_ENVIRONMENT
        for line, text in _texts(ast.parse(path.read_text()))
        if _LINE.search(text)
    ]
    assert not bare, "say `{environment.kubectl}`, which leads to the region's cluster"


def _jobs(where: Environment) -> Iterator[tuple[str, ...]]:
    image = Image.parse("ghcr.io/omnicare/backend:v2.0.0@sha256:" + "0" * 64)
    settings = MigrationSettings(list=("list",), proof=ProofSettings(image="postgres:15"))
    listing = settings.list_job(where, image)
    assert listing is not None
    assert settings.proof is not None
    yield from (job.by_hand() for job in (settings.up_job(where, image), settings.down_job(where, image), listing))
    yield settings.proof_job(where, image, image, settings.proof).by_hand()
    words = ("npm", "run", "report")
    kinds = {"service": "backend", "deployment": "backend", "namespace": where.namespace, "kubectl": where.kubectl}
    for runs in ("as-job", "in-pod"):
        told = {"script": "report", "words": words, "runs": runs, "writes": False, "risk": "", "seconds": 60}
        yield RunScript.model_validate({**kinds, **told, "image": image.reference}).by_hand()


async def _lines(both: TwoRegions) -> list[tuple[str, ...]]:
    where, home = both.environment, both.clusters["eu"]
    jwt = RotationSettings(secret="backend-secret", keys=("JWT_SECRET",), services=("backend",))
    plans = (
        await both.deploy(),
        await plan_restart(home, both.fleet, where, "backend", places=both.places),
        await plan_rotation(home, both.fleet, where, "jwt", Rotations({"jwt": jwt}), places=both.places),
    )
    lines = [step.by_hand() for plan in plans for step in plan.steps]
    lines += [undo.lines for plan in plans for step in plan.steps if (undo := step.undo_by_hand()) is not None]
    settings = VerificationSettings(smoke=SmokeTests(), benchmark=Benchmark())
    verification = Verification(where, settings, home)
    for kind in (Smoke, RunBenchmark):
        step = script_step(kind, verification, where)
        assert step is not None
        lines.append(step.by_hand())
    lines += [check.by_hand for check in verification.checks_in(both.places)]
    queue = SyncQueue(home, where, SyncScripts())
    lines += [(queue.status_by_hand, queue.by_hand(queue.scripts.clear_failed, stdin=True)), *_jobs(where)]
    return lines


async def test_the_lines_of_two_regions_name_the_cluster_of_each(tmp_path: Path) -> None:
    async with two_regions(tmp_path) as both:
        said = [line for each in await _lines(both) for line in each if "kubectl" in line]
    assert len(said) > 20
    assert not [line for line in said if _BARE.search(line)]
