"""Prometheus's HTTP API: one number for one query, or its numbers over a time, or why there are none. "No data" is never zero."""

import math
import re
from typing import Any

from runbooks.clients.prometheus.access import MonitoringAccess, MonitoringServer
from runbooks.kit.targets import Frozen
from runbooks.redaction.redactor import cut_redacted
from runbooks.wording import cited, counted

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]{1,3})?", re.ASCII | re.IGNORECASE)
MOST_SERIES = 50
_LONGEST_LABEL, _MOST_LABELS = 60, 20
_LARGEST = 1e30
"""Beyond it nothing is measured, and a sum or a square of such values would be none."""
_SPECIAL = {"NaN": math.nan, "+Inf": math.inf, "-Inf": -math.inf}


class MetricReading(Frozen):
    """What a query gave."""

    value: float | None = None
    """One finite number; None where there is none."""
    unknown: str = ""
    """Why there is none: `no data`."""
    warnings: tuple[str, ...] = ()
    """What Prometheus itself said about the answer."""


class MetricSeries(Frozen):
    """One series of a query over a time."""

    labels: dict[str, str] = {}
    """What tells it from the others. Texts from outside."""
    values: tuple[float | None, ...] = ()
    """A finite number of a measurable size for each step, None where there is none."""


class MetricRange(Frozen):
    """What a query gave over a time."""

    series: tuple[MetricSeries, ...] = ()
    unknown: str = ""
    """Why there is none: `no data`."""
    warnings: tuple[str, ...] = ()


class PrometheusClient:
    """A client for one Prometheus, or for what answers like one (Thanos, Mimir, VictoriaMetrics)."""

    def __init__(self, settings: MonitoringServer) -> None:
        self._access = MonitoringAccess("Prometheus", settings)

    async def instant(self, query: str) -> MetricReading:
        """Return what the query gives now. Raises `RunbookError`."""
        data, warnings = await self._data("/api/v1/query", {"query": query})
        values = self._values(data.get("resultType"), data.get("result"))
        return _reading(values).model_copy(update={"warnings": warnings})

    async def range(self, query: str, *, start: float, step: float, count: int) -> MetricRange:
        """Return what the query gives at `start` (Unix time) and after each step, `count` times in all. Raises `RunbookError`."""
        start, step = (
            round(start, 3),
            round(step, 3),
        )  # its unit is the millisecond, and the last time has to be within the end
        end = start + step * (count - 1)
        asked = {"query": query, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        data, warnings = await self._data("/api/v1/query_range", asked)
        found = data.get("result")
        if data.get("resultType") != "matrix" or not isinstance(found, list):
            raise self._access.unreadable()
        if not found:
            return MetricRange(unknown="no data", warnings=warnings)
        if len(found) > MOST_SERIES:
            return MetricRange(unknown=f"{len(found):,} series: aggregate them", warnings=warnings)
        return MetricRange(series=tuple(self._series(each, start, step, count) for each in found), warnings=warnings)

    async def _data(self, path: str, query: dict[str, str]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Return the answer's data and warnings."""
        answer = await self._access.get(path, query)
        match answer:
            case {"status": "success", "data": dict(data)}:
                said = answer.get("warnings")
            case _:
                raise self._access.unreadable()
        warnings = tuple(cited(each, 200) for each in said if isinstance(each, str)) if isinstance(said, list) else ()
        return data, warnings[:3]

    def _series(self, found: Any, start: float, step: float, count: int) -> MetricSeries:
        match found:
            case {"metric": dict(labels), "values": list(pairs)}:
                pass
            case _:
                raise self._access.unreadable()
        values: list[float | None] = [None] * count
        for pair in pairs:
            value = self._value(pair)
            if start - step < pair[0] < start + step * count and abs(value) <= _LARGEST:  # NaN is not
                values[min(max(0, round((pair[0] - start) / step)), count - 1)] = value
        known = {name: cut_redacted(text, _LONGEST_LABEL) for name, text in labels.items() if isinstance(text, str)}
        return MetricSeries(labels=dict([*known.items()][:_MOST_LABELS]), values=tuple(values))

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
    if abs(values[0]) > _LARGEST:
        return MetricReading(unknown="a value too large to be real")
    return MetricReading(value=values[0])
