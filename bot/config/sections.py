"""The tables of `omnicare.toml`, each a frozen model; unknown keys are refused.

`bot.config` puts them together, reads the file and checks what only the whole can tell.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator

from commands.kit.policy import ApprovalPolicy, Risk
from runbooks.clients.aws.bucket import BucketSettings
from runbooks.clients.health import valid
from runbooks.clients.postgres.access import DatabaseSettings
from runbooks.kit.versions import PATTERN, VersionPattern
from runbooks.sync.queue import SyncScripts

Key = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
"""A name in the file: lower case letters, digits, hyphens."""

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A duration; TOML knows `inf` and `nan`, which no clock does."""

SLACK_API = "https://slack.com/api/"


class Section(BaseModel):
    """A table of the file: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class SlackSettings(Section):
    """How the bot reaches Slack."""

    enabled: bool = True
    """False: no Slack at all, terminal only."""
    api_url: str = SLACK_API
    """Another address than Slack's is accepted only with `sandbox = true`."""
    command: str = "/omnicare"
    """The slash command's name, as the app's manifest has it."""
    workspace: str | None = None
    """The team's id; another team's accounts are external."""
    newest_blocks: bool = True
    """Plan, task card and table blocks; false for clients that do not know them."""
    connections: Annotated[int, Field(ge=1, le=10)] = 2
    """Socket Mode connections at once: while one is refreshed the other is live (10 is Slack's limit)."""
    stale_seconds: Seconds = 30.0
    """A connection that went silent is given up within half of this, and one that is being opened within all of it; `/readyz` says not
    ready while deliveries may be lost.
    """
    progress_seconds: Seconds = 3.0
    """Between two edits of one progress message."""
    edits_per_minute: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 50.0
    """The workspace's budget for `chat.update` (Slack's tier 3)."""
    account_seconds: Seconds = 1.5
    """For Slack to say how an account stands. The acknowledgement waits for it, and Slack waits three seconds for that."""
    bot_token: SecretStr = Field(default=SecretStr(""), exclude=True)
    """From `OMNICARE_SLACK_BOT_TOKEN`."""
    app_token: SecretStr = Field(default=SecretStr(""), exclude=True)
    """From `OMNICARE_SLACK_APP_TOKEN`."""


class PersonSettings(Section):
    """One human."""

    name: str
    """As people are told."""
    slack: str | None = None
    """Slack id, such as `U012AB3CD`."""
    user: str | None = None
    """Operating-system user on the bot's machine."""
    others: tuple[str, ...] = ()
    """Further accounts of the same human (Slack ids): they count as one when approvals are counted."""
    roles: tuple[Key, ...] = ()
    """What they may do follows from these, per environment."""
    shared: bool = False
    """An account that several people share: may look, not change or approve."""


class RoleSettings(Section):
    """A role: people have it by their entry, or in some environments by a Slack user group."""

    about: str
    """What the role is for, for people."""
    group: str | None = None
    """A Slack user group whose *listed* members have the role too, where the environment allows it."""
    shift: bool = False
    """Its group says who is on shift now: of those who could approve they are asked first, the rest at the reminder."""


class ServiceSettings(Section):
    """One Deployment that is released."""

    name: Key
    """As people type it."""
    deployment: str | None = None
    """Default: the service's name."""
    container: str | None = None
    """Default: the service's name."""
    repository: str
    """Image without tag: `ghcr.io/omnicare/backend`. Other containers and init containers of the Deployment that have it are released with it."""
    keeps: tuple[str, ...] = ()
    """Containers and init containers with that repository which a release leaves as they are; each plan names them."""
    kubernetes_service: str | None = None
    """The Kubernetes Service whose ready endpoints say who is served. Default: the service's name."""
    health_url: str | None = Field(default=None, repr=False)
    """Asked when a run fails or stops: its status and the time it took stand on the card, nothing else of it. http or https."""

    surge_limit: Annotated[int, Field(ge=1)] | None = None
    """So many of its pods at once and no more, old and new together (not those that are just ending), since each holds connections to
    the database. A rollback starts all new pods at once where this, quotas and nodes leave room. With it nodes need not be readable."""

    @field_validator("health_url")
    @classmethod
    def _an_address(cls, url: str | None) -> str | None:
        if url is not None and not valid(url):
            raise ValueError("must be an http or https address without a password")
        return url


class ClusterSettings(Section):
    """How an environment's Kubernetes API is reached: a kubeconfig file, or from inside a pod."""

    kubeconfig: Path | None = None
    """None: the pod's own service account."""
    context: str | None = None
    """The kubeconfig's context; otherwise its current one."""


class EnvironmentSettings(Section):
    """A place where the services run, and who may do what there."""

    namespace: str
    """Where the services run."""
    record_namespace: str = "omnicare-bot"
    """The bot's own namespace: releases, lock and run are ConfigMaps there."""
    cluster: ClusterSettings = ClusterSettings()
    services: tuple[ServiceSettings, ...] = Field(min_length=1)
    channel: str | None = None
    """Slack channel id where runs are announced that were not asked for in a channel."""
    groups: bool = False
    """Whether Slack user groups add roles here (who is on call today)."""
    on_failure: Literal["ask", "rollback"] = "ask"
    """What follows a deploy that failed: people are asked, or it goes back by itself, as part of the plan that was approved."""
    call: str | None = None
    """Whom to call when going back fails: a team, a schedule, a channel. (A phone number is taken out on its way like any other.)"""
    compare_url: str | None = None
    """`https://…/compare/{before}...{after}`."""
    permissions: dict[str, tuple[Key, ...]] = {}
    """Permission → the roles that have it. Nothing listed, nobody may."""
    approval: dict[Risk, ApprovalPolicy] = {}
    """Risk → the approval it needs. A risk that is not listed can't be approved, so it does not run."""
    sync: SyncScripts | None = None
    """The scripts of the offline queue; without them the `sync` commands say so."""
    exports: BucketSettings | None = None
    """Where to keep what is about to be thrown away; without a bucket nothing is."""
    database: DatabaseSettings | None = None
    """The PostgreSQL behind it, for a role that reads statistics only; without it the `db` commands say so."""
    going_back: ApprovalPolicy | None = None
    """The confirmation that a rollback to a last known good release needs."""


class TimeSettings(Section):
    """Durations, in seconds."""

    start_within: Seconds = 600.0
    """An approved run that could not start for so long asks again."""
    rollout_deadline: Seconds = 900.0
    """Our own deadline for one service's rollout, where the Deployment's own does not come first."""
    explain_after: Seconds = 30.0
    """What a rollout waits for is explained on its progress line after so long."""
    health_deadline: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] = 2.0
    """For a health URL's answer."""
    drain: Seconds = 20.0
    """After SIGTERM, for short things to end."""
    query_deadline: Seconds = 20.0
    """For a query's answer."""
    plan_deadline: Seconds = 20.0
    """For making a plan."""
    silence_told: Seconds = 30.0
    """A cluster that does not answer is named on the progress line after so long."""
    cluster_call: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 10.0
    """For a whole call of a cluster's API, to the last byte of its answer; then it is asked again."""
    cluster_watch: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 25.0
    """A watch of the cluster is taken up anew after so long, and so one that went silent without an error is noticed."""
    cluster_retry: Seconds = 2.0
    """Before a cluster that failed to answer is asked again, where it does not say when."""
    cluster_refusals: Seconds = 120.0
    """For so long a cluster that refuses the bot's credentials, or what it allowed before, is asked again, since that may pass: its API
    server restarts, a token or a role is replaced. Then it is told as a refusal."""
    slack_call: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 15.0
    """For a call of Slack's API; then it is looked up whether it was done."""
    cluster_patience: Seconds = 600.0
    """What has begun is tried again for so long on a cluster that does not answer."""
    hold_reminder: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1800.0
    """A run that has been held for so long reminds who asked for it and who holds it; again after as long."""
    hold_longest: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 14400.0
    """A run that has been held for so long ends where it is, undecided: it never goes on by itself."""
    go_before: Seconds = 600.0
    """So long before a deploy's time (`deploy --at`) go or no go is asked."""
    go_grace: Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)] = 900.0
    """A deploy that nobody said go to expires so long after its time."""
    escalate_after: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 300.0
    """A failure that nobody answered for so long mentions those who may go back; the next times after twice as long each."""
    escalate_times: Annotated[int, Field(ge=0, le=20)] = 5
    """So often, then it is left: `status` and the next plan still say it."""
    place_recheck: Seconds = 30.0
    """A waiting request looks again so often, in case nobody told it that the place is free."""
    abandoned_after: Seconds = 60.0
    """A request that is in the book and never reached the engine is closed so long after a start."""


class BotSettings(Section):
    """The process itself."""

    state: Path = Path("/var/lib/omnicare")
    """Directory (0700) of the engine's database and the book."""
    socket: Path | None = None
    """Unix socket of the terminal; default: `bot.sock` in `run/` under `state`."""
    database_url: str | None = Field(default=None, repr=False)  # it may carry a password
    """The engine's database; default: SQLite under `state`. `postgresql://…` for several replicas."""
    executor: str = "omnicare-0"
    """This replica's name; in a StatefulSet the pod's name (`OMNICARE_EXECUTOR`)."""
    web_host: str = "127.0.0.1"
    """Where /healthz, /readyz and /metrics are served; `0.0.0.0` in a pod."""
    web_port: int = 8080
    """/healthz, /readyz, /metrics; 0 for any free port."""
    registry_auth: Path | None = None
    """Logins for private registries: a `config.json` as `docker login` writes it. Read anew whenever a registry asks."""
    registry_ecr: tuple[Annotated[str, StringConstraints(pattern=r"^[a-z0-9.-]{1,253}(:[0-9]{1,5})?$")], ...] = ()
    """Amazon ECR registries (`ACCOUNT.dkr.ecr.REGION.amazonaws.com`) that the bot logs in to with a token of its own AWS role."""
    audit_bucket: BucketSettings | None = None
    """A bucket, best with Object Lock (`lock_days`), where the audit trail's newest number and hash are copied after each run and each day."""
    audit_channel: str | None = None
    """Slack channel id where they are said as well."""
    versions: str = PATTERN
    """Tags that are versions: a pattern of google-re2 for the whole tag, such as `release-[0-9]+` or `sha-[0-9a-f]{7,40}`."""
    default_environment: Key | None = None
    """For terminals."""
    sandbox: bool = False
    """Everything here is a throw-away world: Slack's address may be another one, `--as` works."""

    @field_validator("versions")
    @classmethod
    def _a_pattern(cls, pattern: str) -> str:
        VersionPattern(pattern)
        return pattern

    @property
    def socket_path(self) -> Path:
        """Where the terminal's socket is."""
        return self.socket or self.state / "run" / "bot.sock"

    @property
    def book_path(self) -> Path:
        """Where the book is."""
        return self.state / "audit.sqlite"
