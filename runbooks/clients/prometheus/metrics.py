"""Prometheus's HTTP API: one number for one query, or why there is none. "No data" is never zero."""

import math
import re
from typing import Any

from runbooks.clients.prometheus.access import MonitoringAccess, MonitoringServer
from runbooks.kit.targets import Frozen
from runbooks.wording import cited, counted

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]{1,3})?", re.ASCII | re.IGNORECASE)
_SPECIAL = {"NaN": math.nan, "+Inf": math.inf, "-Inf": -math.inf}


class MetricReading(Frozen):
    """What a query gave."""

    value: float | None = None
    """One finite number; None where there is none."""
    unknown: str = ""
    """Why there is none: `no data`."""
    warnings: tuple[str, ...] = ()
    """What Prometheus itself said about the answer."""


class PrometheusClient:
    """A client for one Prometheus, or for what answers like one (Thanos, Mimir, VictoriaMetrics)."""

    def __init__(self, settings: MonitoringServer) -> None:
        self._access = MonitoringAccess("Prometheus", settings)

    async def instant(self, query: str) -> MetricReading:
        """Return what the query gives now. Raises `RunbookError`."""
        answer = await self._access.get("/api/v1/query", {"query": query})
        if not isinstance(answer, dict) or answer.get("status") != "success":
            raise self._access.unreadable()
        data, said = answer.get("data"), answer.get("warnings")
        if not isinstance(data, dict):
            raise self._access.unreadable()
        warnings = tuple(cited(each, 200) for each in said if isinstance(each, str)) if isinstance(said, list) else ()
        values = self._values(data.get("resultType"), data.get("result"))
        return _reading(values).model_copy(update={"warnings": warnings[:3]})

    async def critical_rules(self) -> int:
        """Return how many alert rules have the label `severity="critical"`. Raises `RunbookError`."""
        answer = await self._access.get("/api/v1/rules", {"type": "alert"})
        match answer:
            case {"status": "success", "data": {"groups": list(groups)}}:
                rules = [rule for group in groups for rule in self._rules(group)]
            case _:
                raise self._access.unreadable()
        labels = [rule.get("labels") for rule in rules if isinstance(rule, dict)]
        return sum(isinstance(each, dict) and each.get("severity") == "critical" for each in labels)

    def _rules(self, group: Any) -> list[Any]:
        match group:
            case {"rules": list(rules)}:
                return rules
            case {"rules": None}:  # Go's empty list
                return []
            case _:
                raise self._access.unreadable()

    def _values(self, kind: Any, result: Any) -> list[float]:
        if kind == "scalar":
            return [self._value(result)]
        if kind != "vector" or not isinstance(result, list):
            raise self._access.unreadable()
        return [self._value(each.get("value") if isinstance(each, dict) else None) for each in result]

    def _value(self, pair: Any) -> float:
        match pair:
            case [int() | float(), str(text)] if text in _SPECIAL:
                return _SPECIAL[text]
            case [int() | float(), str(text)] if _NUMBER.fullmatch(text):
                return float(text)
            case _:
                raise self._access.unreadable()


def _reading(values: list[float]) -> MetricReading:
    if not values:
        return MetricReading(unknown="no data")
    if len(values) > 1:
        return MetricReading(unknown=f"{counted(len(values), 'series', 'series')} instead of one: aggregate them")
    if math.isnan(values[0]):
        return MetricReading(unknown="not a number (NaN): nothing was counted in that time")
    if math.isinf(values[0]):
        return MetricReading(unknown="an infinite value")
    return MetricReading(value=values[0])
