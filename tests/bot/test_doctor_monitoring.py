"""`doctor` asks Prometheus and Alertmanager what a verification would ask, before a deploy has to."""

from bot.config import Settings, validate
from bot.doctor.findings import DoctorFinding, Severity
from bot.doctor.monitoring import monitoring
from sandbox.cluster import Cluster
from sandbox.outside.alertmanager import AlertmanagerServer
from sandbox.outside.prometheus import PrometheusServer


def configured(prometheus: str, alertmanager: str, us: str = "") -> Settings:
    regions = [{"name": name, "cluster": {"context": name}} for name in ("eu", "us")] if us else []
    own = {"regions": {"us": {"prometheus": {"url": us}}}} if us else {}
    return validate(
        {
            "bot": {"sandbox": True},
            "slack": {"enabled": False},
            "environments": {
                "production": {
                    "namespace": "omnicare-prod",
                    "regions": regions,
                    "services": [{"name": "backend", "repository": "ghcr.io/omnicare/backend"}],
                    "verification": {
                        "prometheus": {"url": prometheus},
                        "alertmanager": {"url": alertmanager, "receivers": ["pagerduty", "slack"]},
                        **own,
                    },
                }
            },
        }
    )


async def test_each_query_and_receiver_is_tried_and_what_a_deploy_would_stop_for_is_named() -> None:
    prometheus, alertmanager = PrometheusServer(Cluster()), AlertmanagerServer(Cluster())
    async with prometheus.serve() as metrics, alertmanager.serve() as alerts:
        settings = configured(metrics, alerts)

        async def found() -> dict[str, DoctorFinding]:
            return {each.sentence: each async for each in monitoring(settings, "production")}

        well = await found()
        assert len(well) == 7
        assert all(each.level is Severity.FINE for each in well.values()), well
        prometheus.silent.add("storage_encrypted")
        prometheus.silent.add("page_load_duration_seconds")
        prometheus.critical_rules.clear()
        alertmanager.receivers = ["slack"]
        ill = [sentence for sentence, each in (await found()).items() if each.level is not Severity.FINE]
        assert [sentence.split(" (")[0] for sentence in ill] == [
            "production: 1 metric of 18 can't be read: encryption",
            "production: alert receivers pagerduty missing",
            "production: critical alert rules 0",
            "production: page load p95 has no result",
        ]


async def test_a_region_with_a_prometheus_of_its_own_is_tried_for_itself() -> None:
    prometheus, us, alertmanager = (
        PrometheusServer(Cluster()),
        PrometheusServer(Cluster()),
        AlertmanagerServer(Cluster()),
    )
    async with prometheus.serve() as metrics, us.serve() as own, alertmanager.serve() as alerts:
        us.silent.add("storage_encrypted")
        found = [each async for each in monitoring(configured(metrics, alerts, own), "production")]
    said = [each.sentence for each in found if " can" in each.sentence]
    assert said == [
        "production: 18 metrics can be read in eu.",
        "production: 1 metric of 18 can't be read in us: encryption (no data).",
    ]
