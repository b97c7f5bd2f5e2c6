"""`omnicare.toml` and the environment → frozen, validated settings.

Secrets come from the environment (or files that it names) and are never in the file: `OMNICARE_SLACK_BOT_TOKEN`,
`OMNICARE_SLACK_APP_TOKEN`. Every duration is in seconds and is a setting, so that tests make them short. Deny by default:
what is not listed may not be done.
"""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError, model_validator

from commands.kit.policy import ApprovalPolicy, Policies, Risk
from runbooks.kit.targets import Environment, Service

Key = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
"""A name in the file: lower case letters, digits, hyphens."""

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A duration; TOML knows `inf` and `nan`, which no clock does."""

SLACK_API = "https://slack.com/api/"


class ConfigurationError(Exception):
    """The configuration can't be used; the message is a sentence for the person who keeps it."""


class Section(BaseModel):
    """A table of the file: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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
    """A connection that heard no ping for so long is rebuilt, and `/readyz` says not ready meanwhile."""
    progress_seconds: Seconds = 3.0
    """Between two edits of one progress message."""
    edits_per_minute: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 50.0
    """The workspace's budget for `chat.update` (Slack's tier 3)."""
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


class ServiceSettings(Section):
    """One Deployment that is released."""

    name: Key
    """As people type it."""
    deployment: str | None = None
    """Default: the service's name."""
    container: str | None = None
    """Default: the service's name."""
    repository: str
    """Image without tag: `ghcr.io/omnicare/backend`."""


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
    compare_url: str | None = None
    """`https://…/compare/{before}...{after}`."""
    permissions: dict[str, tuple[Key, ...]] = {}
    """Permission → the roles that have it. Nothing listed, nobody may."""
    approval: dict[Risk, ApprovalPolicy] = {}
    """Risk → the approval it needs. A risk that is not listed can't be approved, so it does not run."""
    going_back: ApprovalPolicy | None = None
    """The confirmation that a rollback to a last known good release needs."""


class TimeSettings(Section):
    """Durations, in seconds."""

    start_within: Seconds = 600.0
    """An approved run that could not start for so long asks again."""
    rollout_deadline: Seconds = 900.0
    """Our own deadline for one service's rollout, where the Deployment's own does not come first."""
    drain: Seconds = 20.0
    """After SIGTERM, for short things to end."""
    query_deadline: Seconds = 20.0
    """For a query's answer."""
    plan_deadline: Seconds = 20.0
    """For making a plan."""
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
    default_environment: Key | None = None
    """For terminals."""
    sandbox: bool = False
    """Everything here is a throw-away world: Slack's address may be another one, `--as` works."""

    @property
    def socket_path(self) -> Path:
        """Where the terminal's socket is."""
        return self.socket or self.state / "run" / "bot.sock"

    @property
    def book_path(self) -> Path:
        """Where the book is."""
        return self.state / "audit.sqlite"


class Settings(Section):
    """The whole configuration."""

    bot: BotSettings = BotSettings()
    slack: SlackSettings = SlackSettings()
    times: TimeSettings = TimeSettings()
    people: dict[Key, PersonSettings] = {}
    roles: dict[Key, RoleSettings] = {}
    environments: dict[Key, EnvironmentSettings] = Field(default={}, min_length=1)
    channels: dict[str, Key] = {}
    """Slack channel id → the environment that commands there mean."""
    registries: dict[str, str] = {}
    """Registry host → base URL, where it is not `https://HOST` (a mirror, the sandbox)."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for key, person in self.people.items():
            self._check_person(key, person)
        self._accounts_are_unique()
        for name, environment in self.environments.items():
            self._check_environment(name, environment)
        self._targets_are_unique()
        for channel, where in self.channels.items():
            if where not in self.environments:
                raise ValueError(f"channels.{channel}: there is no environment `{where}`")
        if self.bot.default_environment not in (None, *self.environments):
            raise ValueError(f"bot.default_environment: there is no environment `{self.bot.default_environment}`")
        if self.slack.enabled:
            self._check_address()
        return self

    def _check_address(self) -> None:
        if not self.bot.sandbox and self.slack.api_url != SLACK_API:
            raise ValueError("slack.api_url: another address than Slack's needs `bot.sandbox = true`")
        if self.bot.sandbox and urlsplit(self.slack.api_url).hostname != "127.0.0.1":
            raise ValueError("slack.api_url: a sandbox speaks to 127.0.0.1 only")

    def _check_person(self, key: str, person: PersonSettings) -> None:
        for role in person.roles:
            if role not in self.roles:
                raise ValueError(f"people.{key}: there is no role `{role}`")
        if person.user == "root":
            raise ValueError(f"people.{key}.user: root is nobody's own account")

    def _accounts_are_unique(self) -> None:
        seen: dict[str, str] = {}
        for key, person in self.people.items():
            for account in filter(None, (person.slack, *person.others, person.user and f"user {person.user}")):
                if account in seen:
                    raise ValueError(f"people.{key}: {account} is {seen[account]}'s account already")
                seen[account] = key

    def _check_environment(self, name: str, environment: EnvironmentSettings) -> None:
        for permission, roles in environment.permissions.items():
            for role in roles:
                if role not in self.roles:
                    raise ValueError(f"environments.{name}.permissions.{permission}: there is no role `{role}`")
        for risk, policy in environment.approval.items():
            if policy.count < 1:
                raise ValueError(f"environments.{name}.approval.{risk}: count is at least 1")
            if policy.own:
                raise ValueError(f"environments.{name}.approval.{risk}: nobody approves their own request")
        if environment.going_back is not None and environment.going_back.count < 1:
            raise ValueError(f"environments.{name}.going_back: count is at least 1")
        names = [service.name for service in environment.services]
        if len(set(names)) != len(names):
            raise ValueError(f"environments.{name}.services: two have the same name")

    def _targets_are_unique(self) -> None:
        """One Deployment in two environments could be changed by whoever may change one of them."""
        seen: dict[tuple[object, ...], str] = {}
        for name, environment in self.environments.items():
            for service in environment.services:
                cluster = environment.cluster
                target = (
                    cluster.kubeconfig,
                    cluster.context,
                    environment.namespace,
                    service.deployment or service.name,
                )
                if target in seen:
                    raise ValueError(
                        f"environments.{name}.services.{service.name}: {seen[target]} has the same Deployment"
                    )
                seen[target] = f"environments.{name}"

    def environment(self, name: str) -> Environment:
        """The environment as runbooks know it."""
        found = self.environments[name]
        return Environment(
            name=name,
            namespace=found.namespace,
            record_namespace=found.record_namespace,
            compare_url=found.compare_url,
            services=tuple(
                Service(
                    name=service.name,
                    deployment=service.deployment or service.name,
                    container=service.container or service.name,
                    repository=service.repository,
                )
                for service in found.services
            ),
        )

    def policies(self, name: str) -> Policies:
        """The environment's approval policies."""
        found = self.environments[name]
        return Policies(by_risk=found.approval, going_back=found.going_back)

    def database_url(self) -> str:
        """The engine's database."""
        return self.bot.database_url or f"sqlite:///{self.bot.state / 'engine.sqlite'}"


FROM_ENVIRONMENT: dict[str, tuple[str, str]] = {
    "OMNICARE_SLACK_BOT_TOKEN": ("slack", "bot_token"),
    "OMNICARE_SLACK_APP_TOKEN": ("slack", "app_token"),
    "OMNICARE_STATE": ("bot", "state"),
    "OMNICARE_EXECUTOR": ("bot", "executor"),
    "OMNICARE_DATABASE_URL": ("bot", "database_url"),
}
"""Variables that go over what the file says."""

CONFIG_VARIABLE = "OMNICARE_CONFIG"


def default_path() -> Path:
    """`$OMNICARE_CONFIG`, else `omnicare.toml` here, else `/etc/omnicare/omnicare.toml`."""
    if named := os.environ.get(CONFIG_VARIABLE):
        return Path(named)
    here = Path("omnicare.toml")
    return here if here.exists() else Path("/etc/omnicare/omnicare.toml")


def load(path: Path) -> Settings:
    """Reads the file and the environment. Raises `ConfigurationError`, which never shows a value of the file."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(
            f"There is no configuration at {path}. Name one with --config or ${CONFIG_VARIABLE}; `omnicare sandbox` needs none."
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path} can't be read: {error}") from error
    if any(secret in (raw.get("slack") or ()) for secret in ("bot_token", "app_token")):
        raise ConfigurationError(
            f"{path}: slack: tokens do not stand in the file. Take it out, revoke it, and set OMNICARE_SLACK_BOT_TOKEN and "
            "OMNICARE_SLACK_APP_TOKEN."
        )
    for variable, (section, key) in FROM_ENVIRONMENT.items():
        if value := os.environ.get(variable):
            raw.setdefault(section, {})[key] = value
    return validate(raw, source=str(path))


def validate(raw: dict[str, object], *, source: str = "configuration") -> Settings:
    """Settings from plain data. Raises `ConfigurationError` naming each place that is wrong."""
    try:
        return Settings.model_validate(raw)
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}".removeprefix(": Value error, ")
            for each in error.errors(include_input=False)
        ]
        raise ConfigurationError(f"{source} is not valid:\n  " + "\n  ".join(lines)) from None
