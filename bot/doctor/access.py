"""What the bot's account needs of a cluster: one table, with the reason for each line.

`doctor` asks the cluster about every line (SelfSubjectAccessReview), the reference lists them, and `deploy/roles.yml` is generated
from them.
"""

from dataclasses import dataclass
from enum import StrEnum

from runbooks.clients.postgres.access import SECRET


class Where(StrEnum):
    """Which namespace."""

    SERVICES = "services"
    """Where an environment's services run."""
    RECORD = "record"
    """The bot's own, where releases, lock and run are kept."""
    CLUSTER = "cluster"
    """None: the cluster as a whole. Never needed, only of use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One thing that the bot does."""

    verb: str
    group: str
    resource: str
    where: Where
    reason: str
    subresource: str = ""
    name: str = ""
    """The one object of that kind, as it is called where the configuration says no other name."""

    @property
    def shown(self) -> str:
        """As `kubectl auth can-i` takes it."""
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        if self.name:
            return f"{self.verb} {resource}/{self.name}"
        return f"{self.verb} {resource}{f'/{self.subresource}' if self.subresource else ''}"


def _service(verb: str, resource: str, reason: str, *, group: str = "", subresource: str = "") -> Access:
    return Access(
        verb=verb, group=group, resource=resource, subresource=subresource, where=Where.SERVICES, reason=reason
    )


def _record(verb: str, reason: str) -> Access:
    return Access(verb=verb, group="", resource="configmaps", where=Where.RECORD, reason=reason)


NEEDED: tuple[Access, ...] = (
    _service("get", "deployments", "What runs now, for plans and for status.", group="apps"),
    _service("list", "deployments", "Every service at once; the beginning of a watch.", group="apps"),
    _service("watch", "deployments", "A rollout is watched, not polled.", group="apps"),
    _service("patch", "deployments", "A rollout changes the image and its change-cause.", group="apps"),
    _service("list", "replicasets", "Earlier revisions, and which pods are the new ones.", group="apps"),
    _service("watch", "replicasets", "A quota that refuses pods shows there.", group="apps"),
    _service("list", "pods", "Which pods run which digest, and why one is not ready."),
    _service("watch", "pods", "A pod that can't start is seen at once."),
    _service("get", "pods", "The last log lines of a pod that fails, and `logs`.", subresource="log"),
    _service(
        "create", "pods", "The sync scripts in a backend's pod; nothing else is ever run there.", subresource="exec"
    ),
    _service(
        "get", "pods", "The same: a WebSocket is opened by GET, and before 1.35 asks only for this.", subresource="exec"
    ),
    _service("list", "events", "Kubernetes' own message where a rollout fails."),
    _service("watch", "events", "The same, as it happens."),
    _service("get", "endpoints", "Who is served by what, where a run fails or stops."),
    _service("list", "resourcequotas", "Whether going back has room for all new pods at once."),
    Access(
        verb="get",
        group="",
        resource="secrets",
        name=SECRET,
        where=Where.SERVICES,
        reason="The database reader's name and password; this one Secret, and no other.",
    ),
    _record("get", "The environment's lock, run and recorded releases."),
    _record("list", "The beginning of a watch."),
    _record("watch", "A lock or a run that ends is seen at once."),
    _record("create", "The first record of an environment."),
    _record("update", "Each change of the record, on condition of what was seen."),
    _record("delete", "The oldest evidence of pods that went away."),
    Access(
        verb="list",
        group="",
        resource="nodes",
        where=Where.CLUSTER,
        reason="Where no node takes a pod: how much is missing. Where a node is lost: how it stands. Whether going back has room.",
    ),
    Access(
        verb="list",
        group="",
        resource="pods",
        where=Where.CLUSTER,
        reason="What the nodes have room for: whether going back can start all new pods at once.",
    ),
)


def rules(where: Where) -> list[dict[str, list[str]]]:
    """The lines of one namespace as a Role's rules, one for each resource."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for access in NEEDED:
        if access.where is where:
            resource = f"{access.resource}/{access.subresource}" if access.subresource else access.resource
            found.setdefault((access.group, resource, access.name), []).append(access.verb)
    return [
        {
            "apiGroups": [group],
            "resources": [resource],
            **({"resourceNames": [name]} if name else {}),
            "verbs": sorted(verbs),
        }
        for (group, resource, name), verbs in sorted(found.items())
    ]
