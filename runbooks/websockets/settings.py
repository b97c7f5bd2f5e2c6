"""The table `[environments.NAME.websockets]`: what tells of WebSocket connections. Each setting has a default."""

from pydantic import Field, field_validator

from runbooks.clients.prometheus.promql import mistake_in
from runbooks.kit.patterns import PatternRefused, compiled
from runbooks.kit.targets import Frozen
from runbooks.metrics.settings import MetricGroup, MetricQuery

MINUTES = 30
"""So many are looked at."""
WINDOW = 5
"""Minutes over which drops a minute are the mean: by the logs, by Prometheus, and in each command that shows them."""
_PER_MINUTE = '60 * sum(rate(websocket_disconnects_total{namespace="$namespace",code!~"1000|1001|1005"}[$window]))'


class WebsocketSettings(Frozen):
    """Where WebSocket connections are read from. Everything has a default, so the table may be left out."""

    service: str | None = None
    """The service that has them. Default: the sync scripts' service, or the first one."""
    pattern: str = r"[Ww]eb[Ss]ocket|WEBSOCKET|socket\.io"
    """Log lines about them match this pattern (RE2)."""
    connections: str = Field(default='sum(websocket_connections{namespace="$namespace"})', max_length=4000)
    """PromQL: the connections that are open now, as one number. `$window`, `$namespace` and `$environment` as in `metrics`. Empty: not asked."""
    drops: str = Field(default=_PER_MINUTE, max_length=4000)
    """PromQL: the drops a minute, as one number; `$window` is 5 minutes here, as for the logs. Empty: not asked."""

    @field_validator("pattern")
    @classmethod
    def _is_a_pattern(cls, pattern: str) -> str:
        try:
            compiled(pattern)
        except PatternRefused as error:
            raise ValueError(str(error)) from None
        return pattern

    @field_validator("connections", "drops")
    @classmethod
    def _is_promql(cls, query: str) -> str:
        if query and (mistake := mistake_in(query)):
            raise ValueError(mistake)
        return query

    def queries(self) -> tuple[MetricQuery, ...]:
        """Return what is asked of Prometheus: `connections` and `drops`, each where it is set."""
        asked = (("connections", "Open connections", self.connections, ""), ("drops", "Drops", self.drops, "/min"))
        return tuple(
            MetricQuery(
                name=name,
                title=title,
                group=MetricGroup.APPLICATION,
                query=query.replace("$window", f"{WINDOW}m"),
                unit=unit,
            )
            for name, title, query, unit in asked
            if query
        )
