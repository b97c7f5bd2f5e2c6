"""The checks of a verification against a small Prometheus: each fault ends as a verdict with a sentence, and nothing unknown passes."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import ValidationError

from runbooks.clients.health import HealthClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.prometheus.access import MonitoringServer
from runbooks.clients.prometheus.metrics import PrometheusClient
from runbooks.kit.errors import PermanentError, RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import PlainPulse, Results, StepContext
from runbooks.kit.targets import Environment, Service
from runbooks.verification.checks import Check, CheckInput, MeasuredValue
from runbooks.verification.findings import Before, Verdict, VerificationFinding, Verified, worst
from runbooks.verification.settings import MetricCheck, VerificationSettings
from runbooks.verification.steps import MeasureBefore, VerifyRelease
from runbooks.verification.verification import Verification
from sandbox.cluster import Cluster
from sandbox.cluster.settings import Settings as ClusterSettings
from sandbox.outside.prometheus import Answer, PrometheusServer

ERRORS = "sum(rate(http_requests_total[$window]))"


@pytest.fixture
async def prometheus() -> AsyncIterator[PrometheusServer]:
    server = PrometheusServer(Cluster(ClusterSettings()))
    async with server.serve():
        yield server


def answers(status: int = 200, body: str = "", **headers: str) -> Answer:
    return lambda _: web.Response(status=status, text=body, headers=headers, content_type="application/json")


def vector(*values: str) -> str:
    found = ",".join(f'{{"metric": {{}}, "value": [1764425000.1, "{value}"]}}' for value in values)
    return f'{{"status": "success", "data": {{"resultType": "vector", "result": [{found}]}}}}'


SAID = '{"status": "error", "errorType": "execution", "error": "query processing would load too many samples"}'


@pytest.mark.parametrize(
    ("answer", "kind", "code", "words"),
    [
        (answers(400, SAID), PermanentError, ReasonCode.MONITORING_REFUSED, "does not accept the query: `query processing"),
        (answers(422, SAID), PermanentError, ReasonCode.MONITORING_REFUSED, "can't execute the query"),
        (answers(401), PermanentError, ReasonCode.MONITORING_REFUSED, "rejects the bot's account"),
        (answers(403), PermanentError, ReasonCode.MONITORING_REFUSED, "rejects the bot's account"),
        (answers(302, Location="http://127.0.0.1/"), PermanentError, ReasonCode.MONITORING_REFUSED, "does not follow redirects"),
        (answers(404, "<html>"), PermanentError, ReasonCode.MONITORING_REFUSED, "`url` may be wrong"),
        (answers(429, **{"Retry-After": "7"}), TemporaryError, ReasonCode.MONITORING_UNREACHABLE, "status 429"),
        (answers(503), TemporaryError, ReasonCode.MONITORING_UNREACHABLE, "status 503"),
        (answers(200, "<html>"), TemporaryError, ReasonCode.MONITORING_UNREACHABLE, "can't be read"),
        (answers(200, "[]"), TemporaryError, ReasonCode.MONITORING_UNREACHABLE, "can't be read"),
        (answers(200, vector("twelve")), TemporaryError, ReasonCode.MONITORING_UNREACHABLE, "can't be read"),
        (answers(200, "x" * (5 << 20)), TemporaryError, ReasonCode.MONITORING_UNREACHABLE, "can't be read"),
    ],
)  # fmt: skip
async def test_each_answer_that_is_no_answer_has_its_own_error(
    prometheus: PrometheusServer, answer: Answer, kind: type[RunbookError], code: ReasonCode, words: str
) -> None:
    prometheus.fault = answer
    with pytest.raises(kind) as caught:
        await PrometheusClient(MonitoringServer(url=prometheus.url)).instant("up")
    assert caught.value.code is code
    assert words in caught.value.message
    assert "127.0.0.1" not in caught.value.message
    if isinstance(caught.value, TemporaryError) and "429" in words:
        assert caught.value.retry_after == 7


async def test_a_prometheus_that_does_not_answer_or_is_not_there_is_unreachable(prometheus: PrometheusServer) -> None:
    async with asyncio.timeout(60):
        with pytest.raises(TemporaryError, match="can't be reached"):
            await PrometheusClient(MonitoringServer(url="http://127.0.0.1:9")).instant("up")
        silent = await asyncio.start_server(lambda *_: asyncio.sleep(60), "127.0.0.1", 0)
        async with silent:
            url = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
            with pytest.raises(TemporaryError, match="did not answer within"):
                await PrometheusClient(MonitoringServer(url=url, seconds=0.1)).instant("up")


@pytest.mark.parametrize(
    ("values", "value", "unknown"),
    [
        ((), None, "no data"),
        (("0.5",), 0.5, ""),
        (("1.5e-07",), 1.5e-07, ""),
        (("0",), 0.0, ""),
        (("NaN",), None, "not a number"),
        (("+Inf",), None, "an infinite value"),
        (("1", "2"), None, "2 series instead of one"),
    ],
)
async def test_no_data_and_no_number_are_not_zero(
    prometheus: PrometheusServer, values: tuple[str, ...], value: float | None, unknown: str
) -> None:
    prometheus.fault = answers(200, vector(*values))
    reading = await PrometheusClient(MonitoringServer(url=prometheus.url)).instant("up")
    assert reading.value == value
    assert unknown in reading.unknown
    assert bool(reading.unknown) is (value is None)


async def test_the_token_is_read_anew_for_each_request_and_a_password_goes_with_its_user(
    prometheus: PrometheusServer, tmp_path: Path
) -> None:
    seen: list[str] = []

    def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization", ""))
        return web.Response(text=vector("1"), content_type="application/json")

    prometheus.fault = answer
    file = tmp_path / "token"
    client = PrometheusClient(MonitoringServer(url=prometheus.url, secret_file=file))
    for token in ("first-token-5150", "second-token-5151"):
        file.write_text(f"{token}\n")
        await client.instant("up")
    os.environ["TEST_PROMETHEUS_PASSWORD"] = "pass-word-5152"
    basic = MonitoringServer(url=prometheus.url, user="bot", secret_variable="TEST_PROMETHEUS_PASSWORD")
    await PrometheusClient(basic).instant("up")
    assert seen == ["Bearer first-token-5150", "Bearer second-token-5151", "Basic Ym90OnBhc3Mtd29yZC01MTUy"]
    file.unlink()
    with pytest.raises(PermanentError, match="can't be read"):
        await client.instant("up")


@pytest.mark.parametrize(
    ("query", "mistake"),
    [
        ("sum(rate(x[$window])", "it is not PromQL"),
        ("sum(rate(x[$windows]))", "it is not PromQL"),
        ("http_requests_total[5m]", "it returns a range of values"),
        ('"text"', "it returns a string"),
        ("", "at least 1 character"),
    ],
)
def test_a_wrong_query_is_refused(query: str, mistake: str) -> None:
    with pytest.raises(ValidationError, match=mistake):
        MetricCheck(name="errors", query=query, limit=1)


def environment(health: str | None = None) -> Environment:
    service = Service(
        name="backend", deployment="backend", container="backend", repository="ghcr.io/omnicare/backend", health_url=health
    )  # fmt: skip
    return Environment(
        name="production", namespace="omnicare-prod", record_namespace="omnicare-bot", services=(service,)
    )


async def verified(
    prometheus: PrometheusServer,
    *metrics: MetricCheck,
    before: Before | None = None,
    going_back: bool = False,
    health: str | None = None,
    inconclusive: str = "fail",
    seconds: float = 30.0,
) -> tuple[Verified, list[str]]:
    """`seconds`: for what is asked again and again until then."""
    settings = VerificationSettings.model_validate(
        {
            "prometheus": {"url": prometheus.url},
            "metrics": metrics,
            "bake_seconds": 0,
            "deadline_seconds": seconds,
            "inconclusive": inconclusive,
            "db_test": (),
        }
    )
    results = Results()
    if before is not None:
        results.keep(MeasureBefore(), before.model_dump(mode="json"))
    pulse = PlainPulse("production.deploy.7kq2")
    where = environment(health)
    async with HealthClient(deadline=60.0) as client:
        services = {Verification: Verification(where, settings, ClusterClient()), HealthClient: client}
        context = StepContext(pulse=pulse, environment=where, services=services, results=results)
        return await VerifyRelease(going_back=going_back).apply(context), pulse.said


def metric(**other: object) -> MetricCheck:
    return MetricCheck.model_validate({"name": "error rate", "query": ERRORS, "limit": 0.1, "unit": "%", **other})


async def test_a_value_within_its_limit_passes_and_is_compared_with_the_one_before(
    prometheus: PrometheusServer,
) -> None:
    prometheus.values["http_requests_total"] = "0.04"
    found, said = await verified(prometheus, metric(), before=Before(metrics={"error rate": 0.02}))
    assert [each.sentence for each in found.findings] == ["error rate 0.04 % (must be < 0.1 %, before 0.02 %)"]
    assert found.findings[0].verdict is Verdict.PASSED
    assert said[-1] == "1/1 check passed"
    assert prometheus.asked == ["sum(rate(http_requests_total[1s]))"]


@pytest.mark.parametrize(
    ("value", "other", "holds"),
    [
        ("0.1", {}, False),
        ("0.09", {"worse_factor": 3}, False),
        ("0.05", {"worse_factor": 3}, True),
        ("99.95", {"limit": 99.9, "must_be": "at-least"}, True),
        ("99.5", {"limit": 99.9, "must_be": "at-least"}, False),
    ],
)
async def test_a_value_at_its_limit_or_much_worse_than_before_fails(
    prometheus: PrometheusServer, value: str, other: dict[str, object], holds: bool
) -> None:
    prometheus.values["http_requests_total"] = value
    before = Before(metrics={"error rate": 0.02})
    if holds:
        await verified(prometheus, metric(**other), before=before)
        return
    with pytest.raises(PermanentError) as caught:
        await verified(prometheus, metric(**other), before=before)
    assert caught.value.code is ReasonCode.VERIFICATION_FAILED
    assert caught.value.evidence[0].startswith("failed: error rate")


@pytest.mark.parametrize(
    "fault", [answers(200, vector()), answers(200, vector("NaN")), answers(503), answers(403), answers(200, "{")]
)
async def test_what_has_no_result_is_never_passed(prometheus: PrometheusServer, fault: Answer) -> None:
    prometheus.fault = fault
    with pytest.raises(PermanentError) as caught:
        await verified(prometheus, metric(), seconds=0.3)
    assert caught.value.code is ReasonCode.VERIFICATION_INCONCLUSIVE
    found, _ = await verified(prometheus, metric(), inconclusive="pass-with-warning", seconds=0.3)
    assert found.findings[0].verdict is Verdict.INCONCLUSIVE
    found, _ = await verified(prometheus, metric(required=False), seconds=0.3)
    assert found.findings[0].verdict is Verdict.INCONCLUSIVE


async def test_without_a_value_before_a_comparison_has_no_result_except_after_going_back(
    prometheus: PrometheusServer,
) -> None:
    prometheus.values["http_requests_total"] = "0.05"
    for before in (None, Before(at="2026-05-04T03:00:00+00:00")):  # a retry measures nothing before
        with pytest.raises(PermanentError, match="has no result: unknown before the deploy"):
            await verified(prometheus, metric(worse_factor=2), before=before)
    found, _ = await verified(prometheus, metric(worse_factor=2), going_back=True)
    assert found.findings[0].verdict is Verdict.PASSED
    prometheus.values["http_requests_total"] = "0.5"
    with pytest.raises(PermanentError, match=r"error rate 0\.5 %"):
        await verified(prometheus, metric(worse_factor=2))


@pytest.mark.parametrize("groups", ['[{"rules": 1}]', '[{"rules": {}}]', "[1]", "[{}]", "{}"])
async def test_rules_in_another_form_are_no_rules(prometheus: PrometheusServer, groups: str) -> None:
    prometheus.fault = answers(200, f'{{"status": "success", "data": {{"groups": {groups}}}}}')
    with pytest.raises(TemporaryError, match="can't be read"):
        await PrometheusClient(MonitoringServer(url=prometheus.url)).critical_rules()


class Broken(Check):
    """A check with a fault of its own."""

    name = "broken"

    async def look(self, asked: CheckInput) -> VerificationFinding:
        raise TypeError(asked)


class BrokenMeasure(MeasuredValue):
    """A measurement with one."""

    async def value(self, seconds: float) -> float | None:
        raise TypeError(seconds)


async def test_a_check_with_a_fault_has_no_result_and_ends_no_rollback(
    prometheus: PrometheusServer, caplog: pytest.LogCaptureFixture
) -> None:
    settings = VerificationSettings(metrics=(), db_test=(), deadline_seconds=0.3, bake_seconds=0)
    where = environment()
    verification = Verification(where, settings, ClusterClient())
    client = PrometheusClient(MonitoringServer(url=prometheus.url))
    verification.checks = (Broken(), BrokenMeasure(client, metric(), where, 1))
    assert (await verification.measured()).metrics == {}
    async with HealthClient(deadline=0.2) as health:
        services = {Verification: verification, HealthClient: health}
        context = StepContext(pulse=PlainPulse("production.rollback.7kq2"), environment=where, services=services)
        found = await VerifyRelease(going_back=True).apply(context)
    assert (found.findings[0].verdict, "its log has more" in found.findings[0].detail) == (Verdict.INCONCLUSIVE, True)
    assert [each.message for each in caplog.records if each.exc_info] == [
        "a value could not be measured before the change",
        "a check could not be made",
    ]


async def test_a_rollback_is_not_stopped_where_the_table_was_removed_meanwhile() -> None:
    context = StepContext(pulse=PlainPulse("production.rollback.7kq2"), environment=environment())
    found = await VerifyRelease(going_back=True).apply(context)
    assert (found.findings[0].verdict, found.findings[0].name) == (Verdict.INCONCLUSIVE, "verification")
    with pytest.raises(PermanentError, match="has no Verification"):
        await VerifyRelease().apply(context)


async def test_a_failed_health_check_is_told_at_once_and_nothing_is_measured_after_it(
    prometheus: PrometheusServer,
) -> None:
    with pytest.raises(PermanentError, match="backend health connection refused") as caught:
        await verified(prometheus, metric(), health="http://127.0.0.1:9/health", seconds=4.0)
    assert caught.value.evidence[1].startswith("inconclusive: error rate has no result (not checked")
    assert prometheus.asked == []


async def test_after_going_back_a_failed_check_is_told_and_stops_nothing(prometheus: PrometheusServer) -> None:
    prometheus.values["http_requests_total"] = "7"
    found, _ = await verified(prometheus, metric(), going_back=True)
    assert found.findings[0].verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("verdicts", "ended"),
    [
        ([], None),
        ([("passed", True)], "passed"),
        ([("passed", True), ("failed", False), ("inconclusive", False)], "passed"),
        ([("inconclusive", True), ("passed", True)], "inconclusive"),
        ([("inconclusive", True), ("failed", True)], "failed"),
    ],
)
def test_the_worst_required_check_is_how_a_verification_ended(
    verdicts: list[tuple[str, bool]], ended: str | None
) -> None:
    findings = [
        VerificationFinding(name="check", verdict=Verdict(verdict), required=required) for verdict, required in verdicts
    ]
    assert worst([Verified(findings=(each,)) for each in findings]) == ended
    assert worst([Verified(findings=tuple(findings))]) == ended
