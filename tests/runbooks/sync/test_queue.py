"""The offline queue by its scripts: what they print, every way in which they fail, and clearing that keeps to what was approved."""

import asyncio
import json
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runbooks.clients.aws.bucket import Bucket, BucketSettings
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.fleet.fleet import Fleet, Lease, utc_now
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import PlainPulse, StepContext, Stop, Stopped, done
from runbooks.kit.targets import Environment, Service
from runbooks.sync import changes, plans
from runbooks.sync.changes import ItemsChange
from runbooks.sync.queue import SyncQueue, SyncScripts
from sandbox.aws import BUCKET, Aws
from sandbox.cluster import Cluster, seed_omnicare
from sandbox.cluster.programs import Execution, Program
from sandbox.cluster.resources import DEPLOYMENT
from sandbox.sync_queue import PATIENT_DATA
from sandbox.sync_queue import SyncQueue as World
from tests.support.steps import Steps, counted

NAMESPACE = "omnicare-prod"
RUN = "production.sync-clear-failed.abcdefgh"
TOKEN = "Zm9vYmFyMTIzNDU2Nzg5MFFX7hQ2"
SECRET = "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"


def prints(out: str = "", err: str = "", code: int = 0) -> Program:
    async def script(execution: Execution) -> int:
        await execution.out(out.encode())
        await execution.err(err.encode())
        return code

    return script


class Place:
    def __init__(self, cluster: Cluster, client: ClusterClient, aws: str) -> None:
        self.cluster = cluster
        self.world = World(takes_ids=True)
        cluster.add_scripts(self.world.scripts())
        backend = Service(
            name="backend", deployment="backend", container="backend", repository="ghcr.io/omnicare/backend"
        )
        self.environment = Environment(
            name="production", namespace=NAMESPACE, record_namespace="omnicare-bot", services=(backend,)
        )
        self.fleet = Fleet(client)
        self.bucket = Bucket(
            BucketSettings(bucket=BUCKET, prefix="sync/", region="us-east-1", endpoint=aws), throw_away=True
        )
        self.now = 0.0
        self._client = client
        self.queue = self.with_scripts(
            takes_ids=True, clear_failed=("npm", "run", "--silent", "sync:clear-failed", "--", "--ids")
        )

    def with_scripts(self, **scripts: Any) -> SyncQueue:
        return SyncQueue(
            self._client,
            self.environment,
            SyncScripts(seconds=60, look_seconds=0.05, watch_seconds=2, **scripts),
            self.bucket,
            clock=lambda: self.now,
        )

    async def take(self, run: str = RUN) -> None:
        place = Lease(run=run, title="Clear", by="requester", since=utc_now())
        assert (await self.fleet.take(self.environment, place)).taken


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Place]:
    cluster = Cluster()
    seed_omnicare(cluster)
    async with cluster.serve(), Aws().serve() as aws:
        path = tmp_path / "kubeconfig"
        path.write_text(cluster.kubeconfig("omnicare-bot"))
        async with ClusterClient(kubeconfig=str(path)) as client:
            yield Place(cluster, client, aws)


async def refused(act: Any) -> PermanentError:
    with pytest.raises(PermanentError) as caught:
        await act
    said = f"{caught.value.message} {caught.value.evidence} {caught.value.advice}"
    assert [value for value in PATIENT_DATA if value in said] == []
    return caught.value


# looking


async def test_the_end_of_an_answer_that_is_not_understood_is_shown_redacted(here: Place):
    here.cluster.add_scripts({"sync:status": prints("connected\n" * 2000 + f"queue: 12 waiting\nauth {SECRET}\n")})
    status = await here.queue.status()
    assert status.not_understood == "no JSON was printed"
    assert "queue: 12 waiting\nauth" in status.text
    assert "eyJ" not in status.text
    assert len(status.text) <= 3000
    here.cluster.add_scripts(
        {"sync:failed": prints("started\n" * 30_000 + "1. conflict for Ilse Vandermolen\n2. conflict for Rufus Hale\n")}
    )
    failed = await here.queue.failed()
    assert (failed.total, failed.not_understood) == (None, "no JSON was printed")
    assert failed.lines == ("started", "… conflict for …")


async def test_nothing_is_planned_to_be_cleared_by_a_list_that_is_not_certain(here: Place):
    item = '{"id": "n-71", "reason": "conflict for Ilse Vandermolen"}'
    here.cluster.add_scripts({"sync:failed": prints(f'[{item}]\n{{"level": 30, "items": []}}\n')})
    error = await refused(plans.plan_clear(here.queue, here.bucket))
    assert error.code is ReasonCode.SCRIPT_FAILED
    assert "2 JSON documents were printed, not one" in error.message
    assert error.evidence


async def test_a_rate_that_no_script_tells_is_seen_between_two_looks(here: Place):
    here.cluster.add_scripts({"sync:status": prints('{"pending": 100}')})
    assert (await here.queue.status()).per_minute is None
    here.now = 30.0
    here.cluster.add_scripts({"sync:status": prints('{"pending": 60}')})
    status = await here.queue.status()
    assert (status.per_minute, status.told, status.drains_in) == (80.0, False, 45.0)


async def test_npms_banner_does_not_hide_the_json(here: Place):
    queue = here.with_scripts(status=("npm", "run", "sync:status"))
    assert (await queue.status()).failed == 7


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (("npm", "run", "sync:gone"), 'Missing script: "sync:gone"'),
        (("npm", "run", "--silent", "sync:gone"), ""),
        (("nosuch",), "nosuch: not found"),
    ],
)
async def test_a_script_that_is_not_there_is_told_as_that(here: Place, status: tuple[str, ...], said: str):
    error = await refused(here.with_scripts(status=status).status())
    assert error.code is ReasonCode.SCRIPT_MISSING
    assert said in " ".join(error.evidence)


async def test_a_script_that_fails_shows_the_end_of_what_it_said_redacted(here: Place):
    here.cluster.add_scripts(
        {"sync:status": prints(err="line\n" * 50 + f"Error: no database, sent {SECRET}\n", code=4)}
    )
    error = await refused(here.queue.status())
    assert error.code is ReasonCode.SCRIPT_FAILED
    assert "exited with 4" in error.message
    assert len(error.evidence) == 8
    assert "no database" in error.evidence[-1]
    assert "eyJ" not in error.evidence[-1]


async def test_items_that_a_failing_script_printed_are_not_in_its_error(here: Place):
    items = json.dumps([{"id": "n-1", "resource": {"name": " ".join(PATIENT_DATA)}}])
    here.cluster.add_scripts({"sync:failed": prints(out=items, err="Error: broken pipe\n", code=1)})
    error = await refused(here.queue.failed())
    assert error.code is ReasonCode.SCRIPT_FAILED
    assert error.evidence == (
        "Error: broken pipe",
        f"({len(items)} bytes of output hidden, because it may be about patients.)",
    )


async def test_no_ready_pod_is_told_with_what_to_do(here: Place):
    here.cluster.api.modify(DEPLOYMENT, NAMESPACE, "backend", lambda draft: draft["spec"].update(replicas=0), _writer())
    async with asyncio.timeout(60):
        while any(pod.deployment == "backend" and pod.namespace == NAMESPACE for pod in here.cluster.pods()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    error = await refused(here.queue.status())
    assert (error.code, error.advice) == (ReasonCode.NOT_FOUND, ("`pods backend` shows why.",))


def _writer() -> Any:
    from sandbox.cluster.fields import Writer

    return Writer("kubectl-scale")


# changing


async def to_clear(queue: SyncQueue, bucket: Bucket) -> ItemsChange:
    return items(await plans.plan_clear(queue, bucket))


def items(plan: Plan) -> ItemsChange:
    """What the plan clears."""
    return next(step.change for step in plan.steps if isinstance(step, plans.ClearItems))


def with_change(plan: Plan, change: ItemsChange) -> Plan:
    steps = (step.model_copy(update={"change": change}) for step in plan.steps)
    return plan.model_copy(update={"steps": tuple(steps)})


async def test_an_export_that_an_earlier_try_wrote_is_taken_as_it_is(here: Place):
    change = await to_clear(here.queue, here.bucket)
    first = await changes.export(PlainPulse(RUN), here.queue, here.bucket, change)
    here.world.add_failed()
    again = await changes.export(PlainPulse(RUN), here.queue, here.bucket, change)
    assert (again.key, again.sha256, again.items) == (first.key, first.sha256, 7)


async def test_what_another_wrote_under_the_key_is_not_taken(here: Place):
    change = await to_clear(here.queue, here.bucket)
    await here.bucket.put_new(f"sync/production/{RUN}.json", b'{"format": "omnicare-sync-export/1", "items": []}')
    error = await refused(changes.export(PlainPulse(RUN), here.queue, here.bucket, change))
    assert error.code is ReasonCode.EXPORT_FAILED


async def test_a_run_that_lost_the_environment_clears_nothing(here: Place):
    change = await to_clear(here.queue, here.bucket)
    pulse = PlainPulse(RUN)
    written = await changes.export(pulse, here.queue, here.bucket, change)
    await here.take("production.rollback.zzzzzzzz")
    error = await refused(changes.clear(pulse, here.queue, here.bucket, here.fleet, change, written))
    assert error.code is ReasonCode.OVERTAKEN
    assert here.world.cleared == []


async def test_a_run_that_was_cancelled_clears_nothing(here: Place):
    change = await to_clear(here.queue, here.bucket)
    await here.take()
    pulse = PlainPulse(RUN)
    written = await changes.export(pulse, here.queue, here.bucket, change)
    pulse.ask_to_stop(Stop(kind="cancelled", by="Ines"))
    with pytest.raises(Stopped):
        await changes.clear(pulse, here.queue, here.bucket, here.fleet, change, written)
    assert here.world.cleared == []


async def test_a_script_without_ids_clears_nothing_when_another_item_has_failed(here: Place):
    queue = here.with_scripts()
    change = await to_clear(queue, here.bucket)
    await here.take()
    pulse = PlainPulse(RUN)
    written = await changes.export(pulse, queue, here.bucket, change)
    here.world.add_failed()
    for step in (
        changes.read_back(pulse, queue, here.bucket, change, written),
        changes.clear(pulse, queue, here.bucket, here.fleet, change, written),
    ):
        assert (await refused(step)).code is ReasonCode.CHANGED_MEANWHILE
    assert here.world.cleared == []


async def test_clearing_by_hand_is_one_line_that_clears_only_what_was_exported_and_compared(here: Place):
    plan = await plans.plan_clear(here.queue, here.bucket)
    (line,) = [line for step in plan.steps for line in step.by_hand()]
    parts = line.split(" && ")
    script = shlex.join(here.queue.scripts.clear_failed)
    assert [script in part for part in parts] == [False] * (len(parts) - 1) + [True], "after whatever may fail"
    assert parts.index("test -s failed.json") < parts.index('aws s3 cp "$to" - | cmp - failed.json') < len(parts) - 1
    assert parts[-1].endswith("< ids.json") == here.queue.scripts.takes_ids
    assert ("cmp failed.json now.json" in parts) != here.queue.scripts.takes_ids


async def test_clearing_twice_clears_once(here: Place):
    await here.take()
    plan = await plans.plan_clear(here.queue, here.bucket)
    services = {SyncQueue: here.queue, Fleet: here.fleet}
    context = StepContext(pulse=PlainPulse(RUN), environment=here.environment, services=services)
    await done(plan.steps[:2], context)
    for cleared, before in ((7, 0), (0, 7)):
        result = (await done(plan.steps[2:], context)).only(plans.ClearItems, changes.Cleared)
        assert (result.items, result.gone_before) == (cleared, before)
    assert len(here.world.cleared) == 1


async def test_ids_are_part_of_the_digest_and_ages_are_not(here: Place):
    plan = await plans.plan_clear(here.queue, here.bucket)
    older = with_change(plan, items(plan).model_copy(update={"oldest_seconds": 1.0, "count": 3}))
    assert plan.digest({}) == older.digest({})
    here.world.add_failed()
    assert (await plans.plan_clear(here.queue, here.bucket)).digest({}) != plan.digest({})


async def test_items_without_content_are_warned_of(here: Place):
    here.cluster.add_scripts({"sync:failed": prints('[{"id": "n-71", "reason": "conflict", "device": "ward-3"}]')})
    plan = await plans.plan_clear(here.queue, here.bucket)
    assert any("only ids, reasons and devices" in warning for warning in plan.warnings)


async def test_a_retry_that_changes_nothing_is_watched_until_the_deadline(here: Place):
    here.world.items = [item for item in here.world.items if "timeout" not in item["reason"]]
    result = await changes.watch_retry(PlainPulse(RUN), here.queue, 5)
    assert (result.before, result.after, result.settled) == (5, 5, False)


async def test_a_watch_ends_when_somebody_cancels(here: Place):
    pulse = PlainPulse(RUN)
    pulse.ask_to_stop(Stop(kind="cancelled", by="Ines"))
    with pytest.raises(Stopped):
        await changes.watch_retry(pulse, here.queue, 7)


async def test_a_value_at_the_cut_of_an_output_is_redacted_whole(here: Place):
    for before in range(2968, 3000, 3):
        here.cluster.add_scripts({"sync:status": prints("." * before + f" {TOKEN} end")})
        said = (await here.queue.status()).text
        assert TOKEN[:4] not in said, (before, said[-60:])


async def test_half_of_a_pair_of_surrogates_is_exported_as_it_was_printed(here: Place):
    item = '[{"id": "\\ud800-1", "reason": "conflict \\udfff", "note": "caf\\u00e9 \\ud83d"}]'
    here.cluster.add_scripts({"sync:failed": prints(item)})
    change = await to_clear(here.queue, here.bucket)
    written = await changes.export(PlainPulse(RUN), here.queue, here.bucket, change)
    kept = await here.bucket.get(written.key, largest=1 << 20)
    assert kept is not None
    assert json.loads(kept)["items"] == json.loads(item)


async def test_a_hundred_thousand_failed_items_keep_nothing_else_waiting(here: Place):
    many = json.dumps(
        [{"id": str(n), "reason": f"conflict of version {n}", "device": f"tablet-{n % 90}"} for n in range(100_000)]
    )
    here.cluster.add_scripts({"sync:failed": prints(many)})
    queue = here.with_scripts()
    most, over = 0, asyncio.Event()

    async def turns(steps: Steps) -> None:
        nonlocal most
        while not over.is_set():
            before = steps.count
            await asyncio.sleep(0)
            most = max(most, steps.count - before)

    with counted() as steps:
        turning = asyncio.create_task(turns(steps))
        plan = await plans.plan_clear(queue, here.bucket)
        over.set()
        await turning
    assert items(plan).count == 100_000
    # each failed item takes a line at the least: the loop's own thread looks at no list of them between two of its turns
    assert most < 50_000
