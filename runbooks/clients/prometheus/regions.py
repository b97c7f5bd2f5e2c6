"""What regions have of their own to measure with, and which server is asked for which regions."""

from collections.abc import Mapping, Sequence
from typing import Self, TypeVar

from pydantic import model_validator

from runbooks.clients.prometheus.access import MonitoringServer
from runbooks.clients.prometheus.alerts import AlertmanagerServer
from runbooks.kit.targets import Frozen

S = TypeVar("S", bound=MonitoringServer)


class RegionMonitoring(Frozen):
    """What a region other than the home region has of its own. `metrics`, `status`, `home` and `diagnose` ask it too."""

    prometheus: MonitoringServer | None = None
    """The Prometheus of that region, which is asked for the same `metrics`."""
    alertmanager: AlertmanagerServer | None = None
    """The Alertmanager of that region. Default for `receivers` and `matchers`: those of `verification.alertmanager`."""

    @model_validator(mode="after")
    def _has_a_server(self) -> Self:
        if self.prometheus is None and self.alertmanager is None:
            raise ValueError("set `prometheus`, `alertmanager` or both, or leave the region out")
        return self


def by_server(
    regions: Sequence[str], shared: S | None, own: Mapping[str, S | None]
) -> tuple[tuple[tuple[str, ...], S], ...]:
    """Return each server with the regions that it is asked for; none is named where it is asked for all of them.

    A region without a server of its own has the shared one, so two regions with the same server are measured together.
    """
    found: dict[S, list[str]] = {}
    everywhere = regions or ("",)
    for region in everywhere:
        if (server := own.get(region) or shared) is not None:
            found.setdefault(server, []).append(region)
    return tuple((() if len(named) == len(everywhere) else tuple(named), server) for server, named in found.items())
