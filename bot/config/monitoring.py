"""Which Prometheus and which Alertmanager are asked: what the table `metrics` leaves out is the verification's, its regions' own too."""

from collections.abc import Mapping
from typing import NamedTuple

from bot.config.sections import EnvironmentSettings
from runbooks.clients.prometheus.regions import RegionMonitoring
from runbooks.metrics.settings import MetricsSettings


class MonitoringSettings(NamedTuple):
    """What an environment's metrics and alerts are read from."""

    metrics: MetricsSettings
    own: Mapping[str, RegionMonitoring]
    """Region → what it has of its own."""


def monitoring_of(environment: EnvironmentSettings) -> MonitoringSettings | None:
    """Return it; None without a Prometheus. A server of the table `metrics` is asked for all regions."""
    metrics, verification = environment.metrics or MetricsSettings(), environment.verification
    own: dict[str, RegionMonitoring] = {}
    if verification is not None:
        for region, each in verification.regions.items():
            prometheus = each.prometheus if metrics.prometheus is None else None
            alertmanager = verification.alertmanager_in(region) if metrics.alertmanager is None else None
            if prometheus is not None or alertmanager is not None:
                own[region] = RegionMonitoring(prometheus=prometheus, alertmanager=alertmanager)
        left_out = {
            "prometheus": metrics.prometheus or verification.prometheus,
            "alertmanager": metrics.alertmanager or verification.alertmanager,
        }
        metrics = metrics.model_copy(update=left_out)
    measured = metrics.prometheus is not None or any(each.prometheus is not None for each in own.values())
    return MonitoringSettings(metrics, own) if measured else None
