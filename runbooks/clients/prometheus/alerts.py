"""Alertmanager's HTTP API (v2): which receivers it has, and which alerts fire."""

import re
from datetime import datetime
from typing import Any

from pydantic import Field, field_validator

from runbooks.clients.prometheus.access import MonitoringAccess, MonitoringServer
from runbooks.kit.answers import read_time
from runbooks.kit.targets import Frozen
from runbooks.redaction.redactor import cut_redacted

_MATCHER = re.compile(r'[a-zA-Z_][a-zA-Z0-9_]*(=|!=|=~|!~)"[^"\n]*"')
_FINGERPRINT = re.compile(r"[0-9a-f]{1,64}")
_NAMELESS = "an alert without a name"
_LONGEST = 80


class AlertmanagerServer(MonitoringServer):
    """The Alertmanager, and what is expected of it."""

    receivers: tuple[str, ...] = ()
    """Names of receivers that must be configured there, such as `pagerduty` and `slack`."""
    matchers: tuple[str, ...] = Field(default=('severity="critical"',), min_length=1)
    """Which alerts count, as Alertmanager writes it. Where it serves several environments, add `namespace="omnicare-prod"`."""

    @field_validator("matchers")
    @classmethod
    def _are_matchers(cls, matchers: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_MATCHER.fullmatch(each) for each in matchers):
            raise ValueError('write each as `label="value"` (or !=, =~, !~)')
        return matchers


class Alert(Frozen):
    """An alert that fires."""

    fingerprint: str
    name: str
    since: datetime | None = None
    """None where Alertmanager does not say."""


class AlertmanagerClient:
    """A client for one Alertmanager."""

    def __init__(self, settings: AlertmanagerServer) -> None:
        self.settings = settings
        self._access = MonitoringAccess("Alertmanager", settings)

    async def receivers(self) -> tuple[str, ...]:
        """Return the names of the configured receivers. Raises `RunbookError`."""
        return tuple(self._text(each, "name") for each in self._list(await self._access.get("/api/v2/receivers")))

    async def firing(self) -> tuple[Alert, ...]:
        """Return the alerts that count and fire now; silenced and inhibited ones do not. Raises `RunbookError`."""
        chosen = [("active", "true"), ("silenced", "false"), ("inhibited", "false"), ("unprocessed", "true")]
        query = [*chosen, *(("filter", each) for each in self.settings.matchers)]
        found = self._list(await self._access.get("/api/v2/alerts", query))
        return tuple(
            Alert(
                fingerprint=self._fingerprint(each),
                name=_name(each),
                since=read_time(each.get("startsAt")),
            )
            for each in found
        )

    def _list(self, answer: Any) -> list[Any]:
        if not isinstance(answer, list):
            raise self._access.unreadable()
        return answer

    def _fingerprint(self, alert: Any) -> str:
        """Return it as it is: two that were redacted or cut could become the same."""
        found = alert.get("fingerprint") if isinstance(alert, dict) else None
        if not isinstance(found, str) or not _FINGERPRINT.fullmatch(found):
            raise self._access.unreadable()
        return found

    def _text(self, value: Any, key: str) -> str:
        found = value.get(key) if isinstance(value, dict) else None
        if not isinstance(found, str) or not found:
            raise self._access.unreadable()
        return cut_redacted(found, _LONGEST)


def _name(alert: Any) -> str:
    """Return its name; anybody who may send alerts may send one without."""
    labels = alert.get("labels") if isinstance(alert, dict) else None
    found = labels.get("alertname") if isinstance(labels, dict) else None
    return (cut_redacted(found, _LONGEST) if isinstance(found, str) else "").strip() or _NAMELESS
