"""What is wrong with production now, since a while: nobody has to deploy first."""

from sandbox.scenarios.capacity_acts import AutoscalerAtMost
from sandbox.scenarios.cluster_acts import FillDisk, FillNodes, Make
from sandbox.scenarios.rolling_acts import Configure, Restart, Scale, SetImage
from sandbox.scenarios.scenario import Scenario
from sandbox.scenarios.surrounding_acts import MovePort, ScheduledJobFails, required_webhook
from sandbox.scenarios.world_acts import Alert, BreakMetrics

_ERRORS, _REQUESTS_TAKE = "http_requests_total", "http_request_duration_seconds"

STANDING: tuple[Scenario, ...] = (
    Scenario(
        "image-pull",
        "25 minutes ago somebody set the frontend to v2.1.0-bad, which the registry no longer has. The old pods still serve.",
        "diagnose",
        "frontend: the image can't be pulled",
        (SetImage("frontend", "v2.1.0-bad", 25),),
    ),
    Scenario(
        "crash-loop",
        "20 minutes ago somebody set the backend to v2.1.0-crash: its new pod starts, finds no database and exits.",
        "diagnose",
        "backend: the container keeps starting and exiting (exit code 1)",
        (SetImage("backend", "v2.1.0-crash", 20), BreakMetrics("kube_pod_container_status_restarts_total", 19, 8)),
    ),
    Scenario(
        "oom",
        "30 minutes ago somebody set the backend to v2.1.0-oom, which needs more memory than its limit.",
        "diagnose",
        "backend: the container is killed for using more memory than its limit of 512Mi",
        (
            SetImage("backend", "v2.1.0-oom", 30),
            BreakMetrics("kube_pod_container_status_restarts_total", 29, 9),
            BreakMetrics("container_memory_working_set_bytes", 29, 88),
        ),
    ),
    Scenario(
        "pending",
        "A nightly export has filled the nodes; 40 minutes ago somebody scaled the frontend to 5 pods, and two wait for room.",
        "diagnose",
        "frontend: no node has room for the new pod: insufficient cpu",
        (FillNodes("nightly-export", -0.3, 55), Scale("frontend", 5, 40)),
    ),
    Scenario(
        "bad-release",
        "15 minutes ago somebody set the backend to v2.1.0-errors; 1 % of the requests have failed since.",
        "diagnose",
        "backend v1.2.0 → v2.1.0-errors, set outside the bot (kubectl-set)",
        (SetImage("backend", "v2.1.0-errors", 15),),
    ),
    Scenario(
        "bad-config",
        "20 minutes ago somebody changed FHIR in backend-config and restarted the backend; since then requests are slow or fail.",
        "diagnose",
        "ConfigMap backend-config (FHIR) was changed by kubectl-edit",
        (
            Configure("backend-config", "FHIR", "R5", 20),
            Restart("backend", 18),
            BreakMetrics(_ERRORS, 18, 3.1),
            BreakMetrics(_REQUESTS_TAKE, 18, 640),
            Alert("HighErrorRate", 15),
        ),
        mended_by="backend",
    ),
    Scenario(
        "disk-full",
        "For 35 minutes the disk of a node, and a volume on it, have been nearly full.",
        "nodes",
        "1 of 3 nodes",
        (FillDisk(35), BreakMetrics("kubelet_volume_stats_used_bytes", 38, 96)),
    ),
    Scenario(
        "hpa-max",
        "The backend's autoscaler has been at its maximum of 3 pods for 25 minutes and wants more; requests are slow.",
        "diagnose",
        "backend: its autoscaler is at its maximum of 3 pods and wants more",
        (
            AutoscalerAtMost("backend", 3, 25),
            BreakMetrics("container_cpu_usage_seconds_total", 24, 94),
            BreakMetrics(_REQUESTS_TAKE, 23, 430),
        ),
    ),
    Scenario(
        "job-failed",
        "The hourly Job that sends appointment reminders failed 35 minutes ago.",
        "diagnose",
        "CronJob appointment-reminders: its last Job failed",
        (ScheduledJobFails("appointment-reminders", "ghcr.io/omnicare/reminders:v3.2.0-crash", 35),),
    ),
    Scenario(
        "webhook-down",
        "Somebody uninstalled the image policy and left its admission webhook, so the cluster refuses new pods. "
        "20 minutes ago the frontend was scaled to 5 pods; two are missing.",
        "diagnose",
        "The cluster refuses changes to pods: Service image-policy in policies does not exist",
        (Make(required_webhook("image-policy", "policies"), 40), Scale("frontend", 5, 20)),
    ),
    Scenario(
        "service-port",
        "25 minutes ago somebody changed the target port of the backend's Service to one on which nothing listens; requests fail.",
        "diagnose",
        "backend: its Service backend leads to port 3002",
        (MovePort("backend", 3002, 25), BreakMetrics(_ERRORS, 24, 38)),
    ),
)
