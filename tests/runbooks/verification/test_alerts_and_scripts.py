"""Alerts, the database's script and the offline queue, before and after a change, on a cluster with ready pods."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import ValidationError

from runbooks.clients.health import HealthClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.prometheus.alerts import AlertmanagerServer
from runbooks.fleet.fleet import Fleet, Lease, Undecided, utc_now
from runbooks.kit.steps import PlainPulse, StepContext
from runbooks.kit.targets import Environment, Service
from runbooks.sync.queue import SyncQueue, SyncScripts
from runbooks.verification.checks import CheckInput
from runbooks.verification.findings import Before, Verdict, VerificationFinding
from runbooks.verification.settings import VerificationSettings
from runbooks.verification.steps import MeasureBefore
from runbooks.verification.verification import Verification
from sandbox.cluster import Cluster, seed_omnicare
from sandbox.cluster.programs import Execution, Program
from sandbox.outside.alertmanager import AlertmanagerServer as SmallAlertmanager
from sandbox.sync_queue import SyncQueue as World

NAMESPACE = "omnicare-prod"


class Place:
    def __init__(self, cluster: Cluster, client: ClusterClient, alertmanager: SmallAlertmanager) -> None:
        self.cluster, self.alertmanager, self._client = cluster, alertmanager, client
        self.world, self.fleet = World(), Fleet(client)
        cluster.add_scripts(self.world.scripts())
        service = Service(
            name="backend", deployment="backend", container="backend", repository="ghcr.io/omnicare/backend"
        )
        self.environment = Environment(
            name="production", namespace=NAMESPACE, record_namespace="omnicare-bot", services=(service,)
        )

    def verification(self, **other: object) -> Verification:
        alertmanager = {"url": self.alertmanager.url, "receivers": ["pagerduty", "slack"]}
        settings = VerificationSettings.model_validate(
            {"alertmanager": alertmanager, "bake_seconds": 0, "deadline_seconds": 30, **other}
        )
        queue = SyncQueue(self._client, self.environment, SyncScripts())
        return Verification(self.environment, settings, self._client, queue)

    async def found(self, before: Before | None = None, **other: object) -> dict[str, VerificationFinding]:
        asked = CheckInput(health=HealthClient(), before=before)
        verified = await self.verification(**other).look(asked)
        return {each.name: each for each in verified.findings}

    async def measured(self, version: str = "v2.0.0", *, standing: bool = False, **other: object) -> Before:
        context = StepContext(
            pulse=PlainPulse("production.deploy.7kq2"), environment=self.environment,
            services={Verification: self.verification(**other), Fleet: self.fleet},
        )  # fmt: skip
        return await MeasureBefore(version=version, standing=standing).apply(context)

    def prints(self, script: str, out: str, *, code: int = 0) -> None:
        async def run(execution: Execution) -> int:
            await execution.out(out.encode())
            return code

        programs: dict[str, Program] = {script: run}
        self.cluster.add_scripts(programs)


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Place]:
    cluster = Cluster()
    seed_omnicare(cluster)
    alertmanager = SmallAlertmanager(cluster)
    async with cluster.serve(), alertmanager.serve():
        path = tmp_path / "kubeconfig"
        path.write_text(cluster.kubeconfig("omnicare-bot"))
        async with ClusterClient(kubeconfig=str(path)) as client:
            yield Place(cluster, client, alertmanager)


async def test_all_is_well_where_nothing_changed(here: Place) -> None:
    here.alertmanager.firing = [{"alertname": "DiskFull", "severity": "critical"}]
    before = await here.verification().measured()
    found = await here.found(before)
    assert {each.verdict for each in found.values()} == {Verdict.PASSED}, found
    assert list(found) == ["database connection", "alert receivers", "new critical alerts", "offline sync"]
    assert found["new critical alerts"].sentence == "new critical alerts none (1 alert already fired before)"
    assert found["alert receivers"].value == "pagerduty and slack"
    assert [line for check in here.verification().checks for line in check.by_hand] == [
        "kubectl exec -n omnicare-prod deployment/backend -c backend -- npm run db:test",
        'amtool config show --alertmanager.url="$ALERTMANAGER_URL"',
        'amtool alert query \'severity="critical"\' --alertmanager.url="$ALERTMANAGER_URL"',
    ]


async def test_an_alert_that_began_to_fire_fails_and_so_does_any_where_nobody_knows_what_fired_before(
    here: Place,
) -> None:
    before = await here.verification().measured()
    here.alertmanager.firing = [
        {"alertname": "HighErrorRate", "severity": "critical"},
        {"alertname": "CertificateExpiry", "severity": "low"},
    ]
    for known in (before, None):
        found = (await here.found(known))["new critical alerts"]
        assert (found.verdict, found.value) == (Verdict.FAILED, "HighErrorRate")
        assert ("unknown" in found.detail) is (known is None)


async def test_an_alert_without_a_name_fires_too_and_no_two_are_taken_for_one(here: Place) -> None:
    """Anybody who reaches Alertmanager may send it alerts."""
    before = await here.verification().measured()
    here.alertmanager.firing = [{"severity": "critical", "pod": "Maria Lopez, MRN 8812345 <!channel>"}]
    found = (await here.found(before))["new critical alerts"]
    assert (found.verdict, found.value) == (Verdict.FAILED, "an alert without a name")
    # digits alone, which redaction would take for card numbers
    one, two = ({"labels": {"alertname": "A"}, "fingerprint": sign * 4} for sign in ("4242", "5555"))
    here.alertmanager.fault = lambda request: web.json_response([one] if "alerts" in request.path else [])
    before = await here.verification().measured()
    here.alertmanager.fault = lambda request: web.json_response([one, two] if "alerts" in request.path else [])
    assert (await here.found(before))["new critical alerts"].verdict is Verdict.FAILED


async def test_a_receiver_that_is_missing_fails_and_an_alertmanager_without_an_answer_is_inconclusive(
    here: Place,
) -> None:
    here.alertmanager.receivers = ["slack", "null"]
    found = (await here.found())["alert receivers"]
    assert (found.verdict, found.value) == (Verdict.FAILED, "pagerduty missing")
    for answer in (
        web.json_response([{"fingerprint": 1}]),
        web.json_response({"status": "ok"}),
        web.Response(status=403),
    ):
        here.alertmanager.fault = lambda _, answer=answer: web.json_response(  # type: ignore[misc]
            body=answer.body, status=answer.status
        )
        found_all = await here.found(deadline_seconds=0.2)
        assert {found_all[name].verdict for name in ("alert receivers", "new critical alerts")} == {
            Verdict.INCONCLUSIVE
        }


@pytest.mark.parametrize(
    ("script", "out", "code", "verdict", "words"),
    [
        ("db:test", "Error: connect ECONNREFUSED 10.0.3.7:5432", 1, Verdict.FAILED, "ECONNREFUSED"),
        ("sync:status", "pending: many", 0, Verdict.INCONCLUSIVE, "does not say"),
        ("sync:status", '{"pending": 3, "failed": 12}', 0, Verdict.PASSED, ""),
        ("sync:status", '{"pending": 3, "failed": 13}', 0, Verdict.FAILED, ""),
        ("sync:status", '{"pending": 3, "failed": 7, "oldestPendingSeconds": 7200}', 0, Verdict.FAILED, ""),
        ("sync:status", "", 1, Verdict.INCONCLUSIVE, "has no script"),
    ],
)
async def test_what_a_script_prints_is_judged_against_what_was_before(
    here: Place, script: str, out: str, code: int, verdict: Verdict, words: str
) -> None:
    before = await here.verification().measured()
    assert before.sync is not None
    assert before.sync.failed == 7
    here.prints(script, out, code=code)
    found = (await here.found(before))["database connection" if script == "db:test" else "offline sync"]
    assert found.verdict is verdict
    assert words in found.detail


async def test_failed_items_that_can_not_be_compared_have_no_result(here: Place) -> None:
    for before in (Before(), Before(at="2026-05-04T03:00:00+00:00")):
        found = (await here.found(before))["offline sync"]
        assert (found.verdict, "unknown before the deploy" in found.detail) == (Verdict.INCONCLUSIVE, True)
    assert (await here.found())["offline sync"].verdict is Verdict.PASSED  # a look at what runs compares nothing


async def test_a_retry_compares_with_what_the_run_before_it_has_measured(here: Place) -> None:
    before = await here.measured()
    assert (before.sync is not None, before.alerts) == (True, ())
    here.prints("sync:status", '{"pending": 3, "failed": 13}')
    assert (await here.measured(standing=True)).at == "", "nothing is undecided"
    await here.fleet.take(here.environment, Lease(run="one", title="Deploy", by="Maya", since=utc_now()))
    undecided = Undecided(run="one", title="Deploy v2.0.0 stopped", since=utc_now())
    await here.fleet.end(here.environment, "one", undecided=undecided)
    for standing in (True, False):  # nothing is rolled out, or only what is left
        again = await here.measured(standing=standing)
        assert again == before
        assert (await here.found(again))["offline sync"].verdict is Verdict.FAILED
    assert (await here.measured("v2.1.0", standing=True)).at == ""
    assert (await here.measured("v2.1.0")).sync != before.sync


async def test_a_measurement_that_found_nothing_is_not_kept_for_a_retry(here: Place) -> None:
    here.prints("sync:status", "not JSON")
    here.alertmanager.fault = lambda _: web.Response(status=500)
    await here.fleet.take(here.environment, Lease(run="one", title="Deploy", by="Maya", since=utc_now()))
    undecided = Undecided(run="one", title="Deploy v2.0.0 stopped", since=utc_now())
    assert (await here.measured(deadline_seconds=1)).empty
    await here.fleet.end(here.environment, "one", undecided=undecided)
    here.prints("sync:status", '{"pending": 3, "failed": 13}')
    assert (await here.measured()).sync is not None, "a retry measures what it can"


async def test_a_pod_without_the_script_is_no_result_and_without_a_script_nothing_is_run(here: Place) -> None:
    found = await here.found(db_test=("npm", "run", "db:ping"))
    assert found["database connection"].verdict is Verdict.INCONCLUSIVE
    assert "does not exist" in found["database connection"].detail
    assert "database connection" not in await here.found(db_test=())


def test_a_matcher_is_written_as_alertmanager_writes_it() -> None:
    with pytest.raises(ValidationError, match="label="):
        AlertmanagerServer(url="https://alerts.example", matchers=("severity: critical",))
