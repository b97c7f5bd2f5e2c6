"""The permissions that the bot's account needs in a cluster: one table, with the reason for each line.

`doctor` checks every line (SelfSubjectAccessReview), the reference lists them, and `deploy/roles.yml` is generated
from them.
"""

from dataclasses import dataclass
from enum import StrEnum

from runbooks.clients.postgres.access import SECRET

ROTATED = "backend-secret"
"""The Secret of the guide; a Role for others names them too."""

TLS = "omnicare-tls"
"""An example, as the guide names no TLS Secret."""


class Where(StrEnum):
    """The role that a permission is in, which is bound in one kind of namespace."""

    SERVICES = "services"
    """Where an environment's services run."""
    ROTATIONS = "rotations"
    """The same, where the environment has `rotations`."""
    CERTIFICATES = "certificates"
    """The same, where the environment names TLS Secrets in `certificates`."""
    CONFIGURATION = "configuration"
    """The same, where the environment has `manifests`."""
    RECORD = "record"
    """The bot's own namespace, with releases, lock and run."""
    CLUSTER = "cluster"
    """The whole cluster. Useful, but never required."""

    @property
    def role(self) -> str:
        """Return the name of the ClusterRole that is shipped."""
        return "omnicare-bot-nodes" if self is Where.CLUSTER else f"omnicare-bot-{self}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One permission that the bot uses."""

    verb: str
    group: str
    resource: str
    where: Where
    reason: str
    subresource: str = ""
    name: str = ""
    """The name of the only object, unless the configuration has another name."""

    @property
    def shown(self) -> str:
        """Return the permission in the form for `kubectl auth can-i`."""
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        if self.name:
            return f"{self.verb} {resource}/{self.name}"
        return f"{self.verb} {resource}{f'/{self.subresource}' if self.subresource else ''}"


def _service(verb: str, resource: str, reason: str, *, group: str = "", subresource: str = "") -> Access:
    return Access(
        verb=verb, group=group, resource=resource, subresource=subresource, where=Where.SERVICES, reason=reason
    )


def _secret(verb: str, name: str, where: Where, reason: str) -> Access:
    return Access(verb=verb, group="", resource="secrets", name=name, where=where, reason=reason)


def _configuration(verb: str, reason: str) -> Access:
    return Access(verb=verb, group="", resource="configmaps", where=Where.CONFIGURATION, reason=reason)


def _record(verb: str, reason: str) -> Access:
    return Access(verb=verb, group="", resource="configmaps", where=Where.RECORD, reason=reason)


def _cluster(verb: str, resource: str, reason: str, *, group: str = "") -> Access:
    return Access(verb=verb, group=group, resource=resource, where=Where.CLUSTER, reason=reason)


NEEDED: tuple[Access, ...] = (
    _service("get", "deployments", "Read what runs now, for plans and status.", group="apps"),
    _service("list", "deployments", "Read all services at once, and start a watch.", group="apps"),
    _service("watch", "deployments", "Watch a rollout instead of polling it.", group="apps"),
    _service("patch", "deployments", "Change the image and its change-cause in a rollout.", group="apps"),
    _service("list", "replicasets", "Find earlier revisions and new pods.", group="apps"),
    _service("watch", "replicasets", "See quotas that reject pods.", group="apps"),
    _service("list", "pods", "See which pods run which digest, and why one is not ready."),
    _service("watch", "pods", "See at once when a pod can't start."),
    _service("get", "pods", "Show the last log lines of a failing pod, and `logs`.", subresource="log"),
    _service(
        "create",
        "pods",
        "Run the configured scripts (sync, `db:test`, `db:pool:status`, those of `run`) in a ready pod; nothing else is ever run there.",
        subresource="exec",
    ),
    _service(
        "get",
        "pods",
        "The same: a WebSocket is opened with GET, and Kubernetes before 1.35 checks only this.",
        subresource="exec",
    ),
    _service("list", "events", "Show Kubernetes' own message when a rollout fails."),
    _service("watch", "events", "The same, as it happens."),
    _service("get", "endpoints", "See what still serves when a run fails or stops."),
    _service("list", "endpoints", "Show which Services have ready pods behind them (`resources`)."),
    _service("get", "services", "Name a service's ports in `forward`."),
    _service(
        "list",
        "services",
        "Show the Services of the namespace (`resources`), and whether pods are behind them (`diagnose`).",
    ),
    _service("list", "horizontalpodautoscalers", "Show the autoscalers (`resources`).", group="autoscaling"),
    _service("list", "pods", "Show the CPU and memory that pods use (`top pods`).", group="metrics.k8s.io"),
    _service("list", "resourcequotas", "Check whether a rollback can start all new pods at once."),
    _service("list", "persistentvolumeclaims", "See which volume is lost or missing (`diagnose`)."),
    _service("list", "cronjobs", "See which scheduled Job failed or was not started (`diagnose`).", group="batch"),
    _service(
        "list", "poddisruptionbudgets", "See whether a node with the pods can be drained (`diagnose`).", group="policy"
    ),
    _service(
        "list",
        "ingresses",
        "See which one names a Service that does not exist (`diagnose`).",
        group="networking.k8s.io",
    ),
    _service(
        "list", "networkpolicies", "See which one lets nothing in or out (`diagnose`).", group="networking.k8s.io"
    ),
    _service(
        "create",
        "jobs",
        "Run a release's migrations, and its tests, as Jobs. Whoever may create a Job may run any image there, with any Secret of the "
        "namespace and any service account in it; RBAC knows nothing narrower.",
        group="batch",
    ),
    _service("get", "jobs", "Find the Job of a run again after a restart.", group="batch"),
    _service("list", "jobs", "See whether a migration of an earlier run is still running.", group="batch"),
    _service("watch", "jobs", "Follow a Job to its end instead of polling it.", group="batch"),
    _service(
        "delete", "jobs", "Delete a test's Job when its run is stopped; a migration is never stopped.", group="batch"
    ),
    _secret("get", SECRET, Where.SERVICES, "Read the database reader's name and password; this Secret only."),
    _secret(
        "get",
        ROTATED,
        Where.ROTATIONS,
        "See which values a Secret has before they are replaced (`secret rotate`); this Secret only.",
    ),
    _secret("patch", ROTATED, Where.ROTATIONS, "Write new values into it (`secret rotate`)."),
    _service("list", "certificates", "Show cert-manager's Certificates (`certs`).", group="cert-manager.io"),
    _secret(
        "get",
        TLS,
        Where.CERTIFICATES,
        "Show when the certificate in it expires (`certs`); this Secret only, of which `tls.crt` alone is read.",
    ),
    _configuration("get", "Compare the release's configuration with the cluster (`config apply`)."),
    _configuration("list", "See which configuration changed before something broke (`diagnose`)."),
    _configuration("patch", "Apply the release's configuration (`config apply`)."),
    _configuration("create", "The same, for a ConfigMap that is new."),
    _record("get", "Read the environment's lock, run and recorded releases."),
    _record("list", "Start a watch."),
    _record("watch", "See at once when a lock or a run ends."),
    _record("create", "Create the first record of an environment."),
    _record("update", "Change the record, if it hasn't changed since it was read."),
    _record("delete", "Delete the oldest evidence of removed pods."),
    _cluster(
        "list",
        "nodes",
        "Show how much is missing when no node accepts a pod, the state of a lost node, and the capacity for a rollback.",
    ),
    _cluster("list", "pods", "See the nodes' free capacity: whether a rollback can start all new pods at once."),
    _cluster(
        "list",
        "events",
        "Show a node's last events (`nodes NAME`): Kubernetes writes them into the namespace `default`.",
    ),
    *(
        _cluster(
            "list",
            f"{kind}webhookconfigurations",
            "See which admission webhooks are asked about changes to pods (`diagnose`).",
            group="admissionregistration.k8s.io",
        )
        for kind in ("validating", "mutating")
    ),
    _cluster(
        "get",
        "endpoints",
        "See whether pods are behind an admission webhook and behind DNS, whose Services are in other namespaces (`diagnose`).",
    ),
    _cluster("list", "nodes", "Show the CPU and memory that nodes use (`top nodes`).", group="metrics.k8s.io"),
)


def rules(where: Where) -> list[dict[str, list[str]]]:
    """Return the lines of one namespace as a Role's rules, one for each resource."""
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
