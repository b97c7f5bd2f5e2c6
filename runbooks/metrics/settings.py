"""The table `[environments.NAME.metrics]`: named queries of Prometheus with unit, group and limit. Default: the guide's four groups."""

from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from runbooks.clients.prometheus.access import MonitoringServer
from runbooks.clients.prometheus.alerts import AlertmanagerServer
from runbooks.clients.prometheus.promql import ERROR_RATE, mistake_in, names_in, p95
from runbooks.kit.targets import Frozen
from runbooks.wording import capital, measured


class MetricGroup(StrEnum):
    """The guide's groups, in its order."""

    APPLICATION = "application"
    INFRASTRUCTURE = "infrastructure"
    DATABASE = "database"
    COMPLIANCE = "compliance"

    @property
    def shown(self) -> str:
        """As people read it."""
        return "HIPAA compliance" if self is MetricGroup.COMPLIANCE else capital(self.value)


class MetricQuery(Frozen):
    """A query, and the limit that its value is held to."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")
    """What people type: `error-rate`."""
    title: str = Field(min_length=1, max_length=40)
    """Name shown to people."""
    group: MetricGroup
    """`application`, `infrastructure`, `database` or `compliance`."""
    query: str = Field(min_length=1, max_length=4000)
    """PromQL. `$window` is the time over which rates are taken, `$namespace` and `$environment` the environment's."""
    unit: str = Field(default="", max_length=20)
    """Shown behind the value: `ms`, `%`."""
    limit: float | None = Field(default=None, allow_inf_nan=False)
    """The value must be lower (`must_be = "below"`), or at least this (`must_be = "at-least"`). Without one it is only shown."""
    must_be: Literal["below", "at-least"] = "below"
    """Which side of the limit is good."""
    series: str = Field(default="", max_length=60)
    """The label whose values name the series, such as `route`. Without it the query must give one series: aggregate it."""

    @field_validator("query")
    @classmethod
    def _is_promql(cls, query: str) -> str:
        if mistake := mistake_in(query):
            raise ValueError(mistake)
        return query

    def holds(self, value: float) -> bool:
        """Return whether the value is within the limit."""
        if self.limit is None:
            return True
        return value < self.limit if self.must_be == "below" else value >= self.limit

    @property
    def rate(self) -> bool:
        """Whether its value is taken over the window, so that it contains minutes that are over."""
        return "window" in names_in(self.query)

    def worse(self, one: float, other: float) -> float:
        """Return the worse of two values."""
        return max(one, other) if self.must_be == "below" else min(one, other)

    def shown(self, value: float | None) -> str:
        """Return a value as people read it."""
        return "unknown" if value is None else measured(value, self.unit)

    @property
    def limit_shown(self) -> str:
        """Return the limit as people read it; empty without one."""
        if self.limit is None:
            return ""
        return f"{'<' if self.must_be == 'below' else '≥'} {measured(self.limit, self.unit)}"


def _of(
    group: MetricGroup, name: str, title: str, query: str, unit: str = "", limit: float | None = None
) -> MetricQuery:
    return MetricQuery(group=group, name=name, title=title, query=query, unit=unit, limit=limit)


def _rate(metric: str, per: int = 1) -> str:
    times = "" if per == 1 else f" * {per}"
    return f'sum(rate({metric}{{namespace="$namespace"}}[$window])){times}'


def _share(used: str, whole: str) -> str:
    return f"100 * sum({used}) / sum({whole})"


_HERE = 'namespace="$namespace"'
_LIMITS = f"kube_pod_container_resource_limits{{{_HERE},resource="
_APPLICATION, _INFRASTRUCTURE = MetricGroup.APPLICATION, MetricGroup.INFRASTRUCTURE
_DATABASE, _COMPLIANCE = MetricGroup.DATABASE, MetricGroup.COMPLIANCE

METRICS = (
    _of(_APPLICATION, "error-rate", "Error rate", ERROR_RATE, "%", 0.1),
    _of(_APPLICATION, "api-p95", "API p95", p95("http_request_duration_seconds", 0.001), "ms", 200),
    MetricQuery(
        group=_APPLICATION,
        name="endpoints",
        title="Slowest endpoints p95",
        query="topk(3, 1000 * histogram_quantile(0.95, sum by (le, route) "
        f"(rate(http_request_duration_seconds_bucket{{{_HERE}}}[$window]))))",
        unit="ms",
        limit=500,
        series="route",
    ),
    _of(_APPLICATION, "requests", "Requests", _rate("http_requests_total"), "req/s"),
    _of(_APPLICATION, "sessions", "Active sessions", f"sum(active_user_sessions{{{_HERE}}})"),
    _of(
        _INFRASTRUCTURE, "cpu", "CPU of limit",
        _share(f'rate(container_cpu_usage_seconds_total{{{_HERE},container!=""}}[$window])', f'{_LIMITS}"cpu"}}'), "%", 80,
    ),
    _of(
        _INFRASTRUCTURE, "memory", "Memory of limit",
        _share(f'container_memory_working_set_bytes{{{_HERE},container!=""}}', f'{_LIMITS}"memory"}}'), "%", 85,
    ),
    _of(
        _INFRASTRUCTURE, "restarts", "Restarts in 1 h",
        f"sum(increase(kube_pod_container_status_restarts_total{{{_HERE}}}[1h]))", "", 3,
    ),
    _of(
        _INFRASTRUCTURE, "network", "Network in and out",
        f"({_rate('container_network_receive_bytes_total')} + {_rate('container_network_transmit_bytes_total')}) / 1e6",
        "MB/s",
    ),
    _of(
        _INFRASTRUCTURE, "disk", "Fullest volume",
        f"100 * max(kubelet_volume_stats_used_bytes{{{_HERE}}} / kubelet_volume_stats_capacity_bytes{{{_HERE}}})", "%", 85,
    ),
    _of(
        _DATABASE, "pool", "Connection pool in use",
        _share(f'db_pool_connections{{{_HERE},state="used"}}', f"db_pool_size{{{_HERE}}}"), "%", 80,
    ),
    _of(_DATABASE, "db-p95", "Database p95", p95("db_query_duration_seconds", 0.001), "ms", 100),
    _of(_DATABASE, "replication-lag", "Replication lag", f"max(pg_replication_lag_seconds{{{_HERE}}})", "s", 30),
    _of(_DATABASE, "locks", "Sessions that wait for locks", f"sum(pg_locks_waiting{{{_HERE}}})", "", 5),
    MetricQuery(
        group=_COMPLIANCE,
        name="audit-events",
        title="Audit events",
        query=_rate("audit_log_events_total", 60),
        unit="/min",
        limit=1,
        must_be="at-least",
    ),
    _of(_COMPLIANCE, "failed-logins", "Failed logins", _rate("auth_failures_total", 60), "/min", 10),
    _of(_COMPLIANCE, "record-access", "Records opened", _rate("patient_record_access_total", 60), "/min"),
    MetricQuery(
        group=_COMPLIANCE,
        name="encryption",
        title="Encrypted storage",
        query=f"100 * avg(storage_encrypted{{{_HERE}}})",
        unit="%",
        limit=100,
        must_be="at-least",
    ),
)  # fmt: skip
"""The guide's metrics, by the usual names of the client libraries and exporters, with the guide's limits where it has one."""


class MetricsSettings(Frozen):
    """What `metrics` and `status` read from Prometheus."""

    prometheus: MonitoringServer | None = None
    """The Prometheus, for all regions. Default: the verification's, and its regions' own."""
    alertmanager: AlertmanagerServer | None = None
    """The Alertmanager whose alerts are shown, for all regions. Default: the verification's, and its regions' own."""
    queries: tuple[MetricQuery, ...] = Field(default=METRICS, min_length=1, max_length=40)
    """The metrics, in the order in which they are shown. Default: those of the guide, by the usual names of exporters."""
    status: tuple[str, ...] = Field(default=("error-rate", "api-p95"), max_length=4)
    """Names of the metrics that `status` shows."""
    window_seconds: float = Field(default=300.0, ge=1, le=86_400)
    """The time over which rates are taken (`$window`), at least four scrapes; where points are further apart, their distance."""
    deadline_seconds: float = Field(default=8.0, gt=0, le=15)
    """Time limit for each query; they are asked side by side."""

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        names = [each.name for each in self.queries]
        if twice := next((name for name in names if names.count(name) > 1), ""):
            raise ValueError(f"queries: two metrics are called {twice}")
        if "status" in self.model_fields_set and (
            strange := next((each for each in self.status if each not in names), "")
        ):
            raise ValueError(f"status: there is no metric {strange}")
        return self

    def servers(self) -> tuple[tuple[str, MonitoringServer], ...]:
        """Return the servers that are asked, each with its key in the table."""
        named = (("prometheus", self.prometheus), ("alertmanager", self.alertmanager))
        return tuple((key, server) for key, server in named if server is not None)
