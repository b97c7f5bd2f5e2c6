"""The tables of `omnicare.toml`, each a frozen model; unknown keys are refused.

`bot.config` combines them, reads the file and checks the configuration as a whole.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator

from bot.config.values import (
    Account,
    DatabaseUrl,
    Executor,
    FilePath,
    KubernetesName,
    ListenHost,
    Named,
    Repository,
    SlackChannel,
    SlackPerson,
    SlackTeam,
    SlashCommand,
    WebAddress,
)
from commands.kit.policy import ApprovalPolicy, Risk
from runbooks.backups.looking import BackupSettings
from runbooks.building.settings import BuildSettings
from runbooks.certificates.settings import CertificateSettings
from runbooks.clients.aws.bucket import BucketSettings
from runbooks.clients.aws.cloudfront import CdnSettings
from runbooks.clients.aws.elasticache import ElastiCacheSettings
from runbooks.clients.aws.target_groups import LoadBalancerSettings
from runbooks.clients.github.access import GithubSettings
from runbooks.clients.health import valid
from runbooks.clients.postgres.access import DatabaseSettings
from runbooks.clients.redis.access import CacheSettings
from runbooks.database.pool import PoolScript
from runbooks.gates.settings import GateSettings
from runbooks.kit.versions import PATTERN, VersionPattern
from runbooks.manifests.settings import ManifestSettings
from runbooks.metrics.settings import MetricsSettings
from runbooks.migrations.settings import MigrationSettings
from runbooks.rotation.settings import RotationSettings
from runbooks.scripts.settings import ConfiguredScript
from runbooks.sync.queue import SyncScripts
from runbooks.verification.settings import VerificationSettings
from runbooks.websockets.settings import WebsocketSettings

Key = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
"""A name in the file: lower case letters, digits, hyphens."""

_LONGEST = 31 * 86_400
Seconds = Annotated[float, Field(ge=0, le=_LONGEST, allow_inf_nan=False)]
"""A duration of at most 31 days; TOML allows `inf` and `nan`, which are not valid here."""
Deadline = Annotated[float, Field(gt=0, le=_LONGEST, allow_inf_nan=False)]
"""A duration within which something has to happen, so that 0 would allow nothing."""

SLACK_API = "https://slack.com/api/"


class Section(BaseModel):
    """A table of the file: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class SlackSettings(Section):
    """How the bot reaches Slack."""

    enabled: bool = True
    """False: no Slack at all, terminal only."""
    api_url: str = SLACK_API
    """An address other than Slack's is accepted only with `sandbox = true`."""
    command: SlashCommand = "/omnicare"
    """The slash command's name, as the app's manifest has it."""
    workspace: SlackTeam | None = None
    """The team's id; accounts of other teams are external."""
    newest_blocks: bool = True
    """Plan, task card and table blocks; false for clients that don't support them."""
    connections: Annotated[int, Field(ge=1, le=10)] = 2
    """Socket Mode connections at once: while one is refreshed, the other is live (Slack's limit is 10)."""
    stale_seconds: Seconds = 30.0
    """A silent connection is dropped within half of this time, and one that is being opened within all of it; `/readyz` reports not
    ready while deliveries may be lost.
    """
    progress_seconds: Seconds = 3.0
    """Minimum time between two edits of a progress message."""
    edits_per_minute: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 50.0
    """The workspace's budget for `chat.update` (Slack's tier 3)."""
    account_seconds: Seconds = 1.5
    """Time limit for Slack to report an account's status. The acknowledgement waits for it, and Slack allows three seconds for that."""
    bot_token: SecretStr = Field(default=SecretStr(""), exclude=True)
    """From `OMNICARE_SLACK_BOT_TOKEN`."""
    app_token: SecretStr = Field(default=SecretStr(""), exclude=True)
    """From `OMNICARE_SLACK_APP_TOKEN`."""


class PersonSettings(Section):
    """One human."""

    name: Named
    """Name shown to people."""
    slack: SlackPerson | None = None
    """Slack id, such as `U012AB3CD`."""
    user: Account | None = None
    """Operating-system user on the bot's machine."""
    others: tuple[SlackPerson, ...] = ()
    """Other accounts of the same person (Slack ids): they count as one for approvals."""
    roles: tuple[Key, ...] = ()
    """Roles, which determine what they may do in each environment."""
    shared: bool = False
    """An account that several people share: it may look, but not change or approve anything."""


class RoleSettings(Section):
    """A role: people have it through their entry or, in some environments, through a Slack user group."""

    about: Named
    """What the role is for, shown to people."""
    group: str | None = None
    """A Slack user group whose *listed* members also have the role, if the environment allows it."""
    shift: bool = False
    """The group's members are on shift: of the possible approvers they are asked first, the others at the reminder."""


class ServiceSettings(Section):
    """A Deployment that the bot releases."""

    name: Key
    """The name that people type."""
    deployment: KubernetesName | None = None
    """Default: the service's name."""
    container: KubernetesName | None = None
    """Default: the service's name."""
    repository: Repository
    """Image without tag: `ghcr.io/omnicare/backend`, or `$REGISTRY/omnicare/backend` with the variable of that name. Other containers and init containers of the Deployment with this repository are released with it."""
    keeps: tuple[str, ...] = ()
    """Containers and init containers with that repository that a release does not change; each plan names them."""
    kubernetes_service: KubernetesName | None = None
    """The Kubernetes Service whose ready endpoints show what is serving. Default: the service's name."""
    health_url: str | None = Field(default=None, repr=False)
    """Requested when a run fails or stops: the card shows its status and response time, nothing else. http or https."""

    surge_limit: Annotated[int, Field(ge=1)] | None = None
    """Maximum number of its pods at once, old and new together (without terminating ones), since each uses database connections.
    A rollback starts all new pods at once if this limit, quotas and nodes allow it. With this limit, the bot doesn't need access to
    nodes."""
    rest_at_once: bool = False
    """Whether a deploy, as soon as a first new pod is ready, starts all others at once if `surge_limit`, quotas and nodes allow it.
    A deploy then takes the time of two pods to start, however many there are. Otherwise the Deployment's own strategy sets the pace."""
    min_replicas: Annotated[int, Field(ge=1)] = 3
    """The lowest number of pods that `scale` accepts: below it, one lost node or one rollout removes too many of them."""

    @field_validator("health_url")
    @classmethod
    def _an_address(cls, url: str | None) -> str | None:
        if url is not None and not valid(url):
            raise ValueError("must be an http or https address without a password")
        return url


class ClusterSettings(Section):
    """How the environment's Kubernetes API is reached: with a kubeconfig file, or from inside a pod."""

    kubeconfig: FilePath | None = None
    """Default: the variable `KUBECONFIG` (one file), else the pod's service account."""
    context: Named | None = None
    """The kubeconfig's context; default: its current one."""


class RegionSettings(Section):
    """One of several clusters in which the environment's services run. A release reaches them in the order of the file."""

    name: Key
    """The name that people type: `--regions eu`."""
    cluster: ClusterSettings = ClusterSettings()
    """How its Kubernetes API is reached; what is not set is as in the environment's `cluster`."""
    aws_region: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")] | None = None
    """Such as `eu-west-1`; shown beside the region's name."""
    bake: Annotated[float, Field(ge=0, le=86400, allow_inf_nan=False)] = 300.0
    """Seconds that a release runs there, and is checked again, before the next region gets it."""
    maintenance: str = ""
    """Why deploys leave the region out now. Remove it to let the region catch up: `deploy VERSION --regions NAME`."""


class EnvironmentSettings(Section):
    """An environment in which the services run, and who may do what there."""

    namespace: KubernetesName
    """Where the services run."""
    record_namespace: KubernetesName = "omnicare-bot"
    """The bot's own namespace: releases, lock and run are ConfigMaps there."""
    cluster: ClusterSettings = ClusterSettings()
    regions: tuple[RegionSettings, ...] = ()
    """Several clusters, one region each; without them there is one cluster."""
    home: Key | None = None
    """The region whose cluster has the record namespace, and where everything is done that is done once. Default: the first region."""
    services: tuple[ServiceSettings, ...] = Field(min_length=1)
    channel: SlackChannel | None = None
    """Slack channel id for announcing runs that were not requested in a channel."""
    groups: bool = False
    """Whether Slack user groups add roles here (who is on call today)."""
    on_failure: Literal["ask", "rollback"] = "ask"
    """What follows a failed deploy: the bot asks people (`ask`), or rolls back automatically as part of the approved plan (`rollback`)."""
    lock_after_rollback: bool = False
    """Whether a rollback locks the environment until somebody unlocks it, so that nothing is deployed over it by accident. Going back again is not stopped by that."""
    call: str | None = None
    """Whom to call when a rollback fails: a team, a schedule, a channel. (A phone number would be redacted.)"""
    contacts: tuple[str, ...] = ()
    """Teams and how to reach them, a line each, on the sheet for a bad night: `"DBA team: #dba, or the schedule dba-primary"`. (Phone numbers
    would be redacted.)"""
    sheet_in_thread: bool = False
    """Whether the thread of each deploy that succeeded gets the sheet for a bad night as a file."""
    compare_url: WebAddress | None = None
    """`https://…/compare/{before}...{after}`."""
    permissions: dict[str, tuple[Key, ...]] = {}
    """Permission → the roles that have it. Without an entry, nobody has the permission."""
    approval: dict[Risk, ApprovalPolicy] = {}
    """Risk → the approval it needs. Commands of a risk that is not listed can't be approved, so they do not run."""
    sync: SyncScripts | None = None
    """The scripts of the offline queue; without them the `sync` commands are refused."""
    websockets: WebsocketSettings | None = None
    """What tells of WebSocket connections, for `sync websocket`; every setting has a default, so it may be left out."""
    exports: BucketSettings | None = None
    """The bucket for exports before a deletion; without it nothing is deleted."""
    database: DatabaseSettings | None = None
    """The environment's PostgreSQL, for a role that reads only statistics; without it the `db` commands are refused."""
    pool: PoolScript | None = None
    """The application's own script about its connection pool, which `db pool` runs in a ready pod; without it only the server is asked."""
    cache: CacheSettings | None = None
    """The environment's Redis, ElastiCache or Valkey, which `cache` looks at; without it the command is refused."""
    elasticache: ElastiCacheSettings | None = None
    """ElastiCache's replication groups behind `cache`; `cache` and `diagnose` then also show what AWS says of them. Without it AWS is not asked."""
    backups: BackupSettings | None = None
    """The database's snapshots in RDS, and the backups of the configuration in S3; without it nobody looks at them."""
    cdn: CdnSettings | None = None
    """The CloudFront distribution in front of the frontend; without it no cache is invalidated."""
    load_balancer: LoadBalancerSettings | None = None
    """The load balancer's target groups, which `status` and `diagnose` look at; without it they say nothing about it."""
    verification: VerificationSettings | None = None
    """What is checked once all services of a deploy or a rollback run; without it a release is good once its pods are ready."""
    metrics: MetricsSettings | None = None
    """What `metrics` and `status` read from Prometheus. Default: the guide's metrics, where the verification has a Prometheus."""
    certificates: CertificateSettings = CertificateSettings()
    """Hosts and TLS Secrets whose certificates `certs` looks at, and how many days ahead is soon."""
    scripts: dict[Key, ConfiguredScript] = {}
    """Scripts of the application that `run` may run; without an entry it runs none."""
    rotations: dict[Key, RotationSettings] = {}
    """Secrets that `secret rotate` may give new values; without an entry it is refused."""
    github: GithubSettings | None = None
    """The repository that releases are made from, for gates on their code."""
    gates: GateSettings | None = None
    """What must be so before a deploy; without it nothing but the approval is asked for."""
    migrations: MigrationSettings | None = None
    """How a release's migrations are run; without it a deploy changes no schema."""
    manifests: ManifestSettings | None = None
    """The ConfigMaps of a release, read in `github` at its commit; without it no configuration is applied."""
    build: BuildSettings | None = None
    """The workflow of `github` that builds images; without it `build` is refused."""
    going_back: ApprovalPolicy | None = None
    """The confirmation that a rollback to a last known good release needs."""

    @property
    def home_region(self) -> str:
        """Return the name of the region with the fleet's record; empty without regions."""
        return self.home or next((each.name for each in self.regions), "")

    @property
    def wrong_region(self) -> str:
        """Return what is wrong with a region that a table names; empty where nothing is."""
        verified = tuple(self.verification.regions) if self.verification is not None else ()
        named = {"cache": tuple(self.cache.regions) if self.cache is not None else (), "verification": verified}
        known = {each.name for each in self.regions}
        for table, regions in named.items():
            if strange := [each for each in regions if each not in known]:
                return f"{table}.regions: there is no region `{strange[0]}`"
        if self.home_region in verified:
            return (
                f"verification.regions: {self.home_region} is the home region: "
                "set `verification.prometheus` and `verification.alertmanager` instead"
            )
        return ""

    def clusters(self) -> dict[str, ClusterSettings]:
        """Return each region's cluster, with what it takes from the environment's."""
        return {
            each.name: ClusterSettings(
                kubeconfig=each.cluster.kubeconfig or self.cluster.kubeconfig,
                context=each.cluster.context or self.cluster.context,
            )
            for each in self.regions
        }

    @property
    def home_cluster(self) -> ClusterSettings:
        """Return the cluster with the fleet's record."""
        return self.clusters().get(self.home_region, self.cluster)


class TimeSettings(Section):
    """Durations, in seconds."""

    start_within: Deadline = 600.0
    """An approved run that could not start within this time asks for approval again."""
    rollout_deadline: Deadline = 900.0
    """Deadline for one service's rollout, unless the Deployment's own deadline comes first."""
    explain_after: Seconds = 30.0
    """After this time, the progress line explains what a rollout is waiting for."""
    health_deadline: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] = 2.0
    """Time limit for a health URL's answer."""
    late_after: Seconds = 300.0
    """After this time, a rollback that still runs mentions people on shift, once."""
    drain: Seconds = 20.0
    """Time for short tasks to finish after SIGTERM."""
    query_deadline: Deadline = 20.0
    """Time limit for a query's answer. What `diagnose` asks gets more or less time in proportion."""
    form_deadline: Deadline = 1.5
    """Time limit for what a form says about the current state; after that, it opens without it. Slack takes a form within 3 s of the click."""
    plan_deadline: Deadline = 20.0
    """Time limit for making a plan."""
    silence_told: Seconds = 30.0
    """After this time, the progress line says that the cluster does not answer."""
    cluster_call: Deadline = 10.0
    """Time limit for a complete call of a cluster's API, to the last byte of its answer; then it is tried again."""
    cluster_watch: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 25.0
    """A watch of the cluster is restarted after this time, so that a watch that went silent without an error is noticed."""
    cluster_retry: Seconds = 2.0
    """Pause before a failed call to the cluster is tried again, unless the cluster says how long."""
    cluster_refusals: Seconds = 120.0
    """A cluster that refuses the bot's credentials or permissions is tried again for this time, since the refusal may be temporary: its API
    server restarts, or a token or a role is being replaced. After that, the refusal is reported."""
    slack_call: Deadline = 15.0
    """Time limit for a call of Slack's API; after that, the bot checks whether the call took effect."""
    cluster_patience: Seconds = 600.0
    """How long a started step is retried on a cluster that does not answer."""
    region_patience: Seconds = 60.0
    """How long a rollback tries to reach a region; after that, it goes on without it and says so. For the home region, it ends and offers to go back without the record."""
    hold_reminder: Deadline = 1800.0
    """A held run reminds its requester and whoever holds it after this time, and again after the same time."""
    hold_longest: Deadline = 14400.0
    """A held run ends where it is after this time, undecided: it never continues by itself."""
    go_before: Seconds = 600.0
    """How long before a deploy's time (`deploy --at`) the bot asks for go or no-go."""
    go_grace: Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)] = 900.0
    """How long after its time a deploy without a go expires."""
    escalate_after: Deadline = 300.0
    """If nobody reacts to a failure for this time, people who may roll back are mentioned; the interval then doubles each time."""
    escalate_times: Annotated[int, Field(ge=0, le=20)] = 5
    """Maximum number of such mentions; `status` and the next plan still show the failure."""
    place_recheck: Seconds = 30.0
    """How often a waiting request checks whether the environment is free, in case a notification was lost."""
    abandoned_after: Seconds = 60.0
    """How long after a start a request is closed that is in the audit log but never reached the engine."""


class BotSettings(Section):
    """The process itself."""

    state: FilePath = Path("/var/lib/omnicare")
    """Directory (0700) of the engine's database and the audit log."""
    socket: FilePath | None = None
    """Unix socket of the terminal; default: `bot.sock` in `run/` under `state`."""
    database_url: DatabaseUrl | None = Field(default=None, repr=False)  # it may carry a password
    """The engine's database; default: SQLite under `state`. `postgresql://…` for several replicas."""
    executor: Executor = "omnicare-0"
    """This replica's name; in a StatefulSet the pod's name (`OMNICARE_EXECUTOR`)."""
    web_host: ListenHost = "127.0.0.1"
    """Where /healthz, /readyz and /metrics are served; `0.0.0.0` in a pod."""
    web_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """/healthz, /readyz, /metrics; 0 for any free port."""
    registry_auth: FilePath | None = None
    """Logins for private registries: a `config.json` as `docker login` writes it. Reread whenever a registry asks for a login."""
    registry_ecr: tuple[Annotated[str, StringConstraints(pattern=r"^[a-z0-9.-]{1,253}(:[0-9]{1,5})?$")], ...] = ()
    """Amazon ECR registries (`ACCOUNT.dkr.ecr.REGION.amazonaws.com`) that the bot logs in to with a token from its AWS role."""
    audit_bucket: BucketSettings | None = None
    """A bucket, preferably with Object Lock (`lock_days`), to which the audit log's newest number and hash are copied after each run and once a day."""
    audit_channel: SlackChannel | None = None
    """Slack channel id where the audit log's heads are posted."""
    versions: str = PATTERN
    """Tags that are versions: a pattern of google-re2 for the whole tag, such as `release-[0-9]+` or `sha-[0-9a-f]{7,40}`."""
    default_environment: Key | None = None
    """The default environment in terminals."""
    sandbox: bool = False
    """This is a disposable sandbox: another Slack address is allowed, and `--as` works."""

    @field_validator("versions")
    @classmethod
    def _a_pattern(cls, pattern: str) -> str:
        VersionPattern(pattern)
        return pattern

    @property
    def socket_path(self) -> Path:
        """Return the path of the terminal's socket."""
        return self.socket or self.state / "run" / "bot.sock"

    @property
    def audit_log_path(self) -> Path:
        """Return the path of the audit log."""
        return self.state / "audit.sqlite"
