"""A kind of object that is only listed, as data: where it is and how it is read. `ClusterClient.every` lists it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from runbooks.clients.kubernetes.fields import Json

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class ListedKind(Generic[V]):
    """One kind."""

    versions: tuple[str, ...]
    """Where the API is, the newest version first: `/apis/batch/v1`. An older cluster serves only a later one."""
    plural: str
    shown: str
    """For people: `CronJobs`."""
    read: Callable[[Json], V]

    def path(self, version: str, namespace: str) -> str:
        """Return where that version lists it; without a namespace it is the whole cluster's."""
        return f"{version}/namespaces/{namespace}/{self.plural}" if namespace else f"{version}/{self.plural}"
