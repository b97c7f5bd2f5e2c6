"""Every rule, one line each. Their order decides between findings that are equally likely."""

from runbooks.troubleshooting.caches import Caches
from runbooks.troubleshooting.capacity import DisruptionBudgets, Quotas
from runbooks.troubleshooting.case import LOGS
from runbooks.troubleshooting.cluster_nodes import ClusterNodes
from runbooks.troubleshooting.databases import Databases
from runbooks.troubleshooting.expiry import Expiry
from runbooks.troubleshooting.jobs import FailingJobs
from runbooks.troubleshooting.lately import Evictions, Restarts
from runbooks.troubleshooting.limits import Autoscalers, ContainerLimits
from runbooks.troubleshooting.measured import Alerts, MetricLimits
from runbooks.troubleshooting.pools import ApplicationPools
from runbooks.troubleshooting.reach import Clusters
from runbooks.troubleshooting.routes import ClusterDns, Ingresses, NetworkPolicies, Serving
from runbooks.troubleshooting.rule import Rule
from runbooks.troubleshooting.syncs import SyncQueues, Websockets
from runbooks.troubleshooting.targets import Targets
from runbooks.troubleshooting.volume_claims import VolumeClaims
from runbooks.troubleshooting.webhooks import Webhooks
from runbooks.troubleshooting.workloads import Workloads

RULES: tuple[Rule, ...] = (
    Clusters(),
    Workloads(),
    ClusterDns(),
    Webhooks(),
    VolumeClaims(),
    Serving(),
    Ingresses(),
    NetworkPolicies(),
    Targets(),
    Restarts(),
    Evictions(),
    Databases(),
    ApplicationPools(),
    Caches(),
    SyncQueues(),
    Websockets(),
    ClusterNodes(),
    Autoscalers(),
    ContainerLimits(),
    FailingJobs(),
    Quotas(),
    DisruptionBudgets(),
    Expiry(),
    MetricLimits(),
    Alerts(),
)
PERMISSIONS = frozenset({LOGS, *(rule.permission for rule in RULES)})
"""All that they ask for."""
