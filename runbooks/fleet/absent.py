"""The fleet's record for a rollback that goes on without it, because the home region's cluster does not answer."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.views import ConfigMapView
from runbooks.fleet.fleet import Fleet, Lease, utc_now
from runbooks.fleet.records import EnvironmentRecord, KnownReleases, Release
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Environment

T = TypeVar("T")


class AbsentRecord(Fleet):
    """Of releases only those are known that the bot's own runs went back from; nothing is written, and the run is let change what it has stamped.

    A step that asks for the lease is told that the run has it: whoever gives it this record has made sure in another way that
    no other run of this bot changes the environment (`bot.runs.lease`).
    """

    def __init__(
        self, home: ClusterClient, run: str, title: str = "", by: str = "", *, left: Mapping[str, str] | None = None
    ) -> None:
        """`left`: the versions that the bot's own runs went back from, and why each is bad."""
        super().__init__(home)
        self.left = dict(left or {})
        self._lease = Lease(run=run, title=title, by=by, since=utc_now())

    async def read(self, environment: Environment) -> EnvironmentRecord:  # noqa: ARG002 - nothing is known of any
        return EnvironmentRecord(run=self._lease)

    async def known_releases(self, environment: Environment) -> KnownReleases:  # noqa: ARG002
        bad = (
            Release(version=version, services=(), run="", by="", at="", verdict="bad", why=why)
            for version, why in self.left.items()
        )
        return KnownReleases(releases=tuple(bad), absent=True)

    async def _find(self, namespace: str, name: str) -> ConfigMapView | None:  # noqa: ARG002
        return None

    async def _update(
        self,
        namespace: str,
        name: str,
        labels: dict[str, str],  # noqa: ARG002
        change: Callable[[dict[str, str]], tuple[dict[str, str], T]],  # noqa: ARG002
    ) -> T:
        raise PermanentError(
            f"This run goes on without the record, so {namespace}/{name} was not changed.",
            code=ReasonCode.CLUSTER_UNREACHABLE,
        )
