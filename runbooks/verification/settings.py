"""The table `[environments.NAME.verification]`: what is checked after a deploy and a rollback, and within which limits."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from runbooks.clients.prometheus.access import MonitoringServer
from runbooks.clients.prometheus.alerts import AlertmanagerServer
from runbooks.clients.prometheus.promql import ERROR_RATE, mistake_in, p95
from runbooks.clients.prometheus.regions import RegionMonitoring
from runbooks.kit.programs import OptionalProgram
from runbooks.kit.targets import Frozen
from runbooks.verification.benchmark import Benchmark
from runbooks.verification.limits import Limit
from runbooks.verification.smoke import SmokeTests


class MetricCheck(Limit):
    """A query that gives one number, and its limit."""

    query: str = Field(min_length=1, max_length=4000)
    """PromQL. `$window` is the bake time, `$namespace` and `$environment` the environment's. It must give one number: aggregate it."""
    worse_factor: float | None = Field(default=None, gt=1, allow_inf_nan=False)
    """For `below`: the check fails too if the value is more than this many times the value before the deploy. It has no result if that is unknown."""

    @field_validator("query")
    @classmethod
    def _is_promql(cls, query: str) -> str:
        if mistake := mistake_in(query):
            raise ValueError(mistake)
        return query

    def holds(self, value: float, before: float | None) -> bool:
        """Return whether the value is within the limit, and not much worse than before."""
        if not self.within(value) or self.must_be == "at-least":
            return self.within(value)
        return self.worse_factor is None or before is None or value <= before * self.worse_factor

    @property
    def compared(self) -> bool:
        """Return whether the value before the deploy is needed."""
        return self.must_be == "below" and self.worse_factor is not None


METRICS = (
    MetricCheck(name="API p95", query=p95("http_request_duration_seconds", 0.001), limit=200, unit="ms"),
    MetricCheck(name="database p95", query=p95("db_query_duration_seconds", 0.001), limit=100, unit="ms"),
    MetricCheck(name="page load p95", query=p95("page_load_duration_seconds"), limit=3, unit="s"),
    MetricCheck(
        name="error rate",
        query=ERROR_RATE,
        limit=0.1,
        unit="%",
    ),
)
"""The guide's limits."""


class VerificationSettings(Frozen):
    """What is checked once all services run, before the release is recorded as good."""

    health: bool = True
    """Whether the `health_url` of each service must answer with a status 2xx."""
    prometheus: MonitoringServer | None = None
    """The Prometheus that is asked for `metrics`; without it no values are measured."""
    regions: dict[str, RegionMonitoring] = {}
    """The regions that have a Prometheus or an Alertmanager of their own, by name; the home region's are `prometheus` and `alertmanager`.
    A region without its own has the home region's."""
    metrics: tuple[MetricCheck, ...] = METRICS
    """The measured values. Default: the guide's four, by the usual names of the client libraries."""
    service: str = "backend"
    """The service in whose pods `db_test` runs, and whose image has the smoke tests and the benchmark."""
    db_test: OptionalProgram = ("npm", "run", "db:test")
    """The script that connects to the database, run in a ready pod; it must exit with 0. `[]`: none."""
    db_test_seconds: float = Field(default=20.0, gt=0, le=120)
    """Time limit for that script."""
    smoke: SmokeTests | None = None
    """The smoke tests, as a Job; without this table none are run."""
    benchmark: Benchmark | None = None
    """The benchmark, as a Job, for `verify benchmark`; without this table it is refused."""
    alertmanager: AlertmanagerServer | None = None
    """The Alertmanager that is asked for receivers and alerts; without it neither is checked."""
    new_failed_items: int = Field(default=5, ge=0)
    """With `sync` scripts: this many more failed items than before the deploy are allowed, since conflicts occur at any time."""
    bake_seconds: float = Field(default=120.0, ge=0, le=3600)
    """How long the new version runs before it is measured, and the time over which it is measured. Prometheus needs at least two scrapes in it."""
    deadline_seconds: float = Field(default=30.0, gt=0, le=600)
    """Time limit for each check. Health checks and unreachable servers are tried again until then."""
    inconclusive: Literal["fail", "pass-with-warning"] = "fail"
    """What follows if a required check has no result. `fail`: the run stops, and people decide; it never rolls back by itself for that."""

    def servers(self) -> tuple[tuple[str, MonitoringServer], ...]:
        """Return the servers that are asked, each with its key in the table."""
        named: list[tuple[str, MonitoringServer | None]] = [
            ("prometheus", self.prometheus),
            ("alertmanager", self.alertmanager),
        ]
        for name, each in self.regions.items():
            named += [
                (f"regions.{name}.prometheus", each.prometheus),
                (f"regions.{name}.alertmanager", each.alertmanager),
            ]
        return tuple((key, server) for key, server in named if server is not None)

    def alertmanager_in(self, region: str) -> AlertmanagerServer | None:
        """Return the Alertmanager that a region other than the home region has of its own."""
        own = self.regions[region].alertmanager if region in self.regions else None
        if own is None or self.alertmanager is None:
            return own
        expected = {"receivers": self.alertmanager.receivers, "matchers": self.alertmanager.matchers}
        return own.model_copy(update={key: each for key, each in expected.items() if key not in own.model_fields_set})

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        names = [metric.name for metric in self.metrics]
        if twice := next((name for name in names if names.count(name) > 1), ""):
            raise ValueError(f"metrics: two metrics are called {twice}")
        return self
