"""Frozen, validated settings from `omnicare.toml` and the environment.

Secrets come from the environment (or files that it names) and are never in the file: `OMNICARE_SLACK_BOT_TOKEN`,
`OMNICARE_SLACK_APP_TOKEN`. Every duration is a setting in seconds, so that tests can use short ones. Deny by default:
nothing is allowed unless it is listed.
"""

import itertools
import os
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, model_validator

from bot.config.monitoring import MonitoringSettings, monitoring_of
from bot.config.problems import told
from bot.config.sections import (
    SLACK_API,
    BotSettings,
    ClusterSettings,
    EnvironmentSettings,
    Key,
    PersonSettings,
    RoleSettings,
    Section,
    SlackSettings,
    TimeSettings,
)
from bot.config.syntax import explained
from bot.config.values import ImagePart, Registry, SlackChannel, WebAddress
from commands.kit.policy import Policies, Risk
from runbooks.kit.addresses import split_address
from runbooks.kit.targets import Environment, NamedScript, Region, Service
from runbooks.kit.timeouts import RolloutSettings


class ConfigurationError(Exception):
    """The configuration is unusable; the message is a sentence for its maintainer."""


class Settings(Section):
    """The whole configuration."""

    bot: BotSettings = BotSettings()
    slack: SlackSettings = SlackSettings()
    times: TimeSettings = TimeSettings()
    people: dict[Key, PersonSettings] = {}
    roles: dict[Key, RoleSettings] = {}
    environments: dict[Key, EnvironmentSettings] = Field(default={}, min_length=1)
    channels: dict[SlackChannel, Key] = {}
    """Slack channel id → the environment for commands in that channel."""
    registries: dict[Registry, WebAddress] = {}
    """Registry host → base URL, if it is not `https://HOST` (a mirror, the sandbox)."""
    mirrors: dict[ImagePart, ImagePart] = {}
    """Image name, or its beginning up to a `/` → the name that the cluster's admission rewrites it to: `"ghcr.io/omnicare" = "mirror.example/omnicare"`."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for key, person in self.people.items():
            self._check_person(key, person)
        self._accounts_are_unique()
        for key, role in self.roles.items():
            if role.shift and not role.group:
                raise ValueError(f"roles.{key}.shift: shifts come from a Slack user group, so `group` is required")
        for name, environment in self.environments.items():
            self._check_environment(name, environment)
        self._targets_are_unique()
        self._distributions_are_unique()
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
            raise ValueError("slack.api_url: an address other than Slack's needs `bot.sandbox = true`")
        if self.bot.sandbox and urlsplit(self.slack.api_url).hostname != "127.0.0.1":
            raise ValueError("slack.api_url: a sandbox may only connect to 127.0.0.1")

    def _check_person(self, key: str, person: PersonSettings) -> None:
        for role in person.roles:
            if role not in self.roles:
                raise ValueError(f"people.{key}: there is no role `{role}`")
        if person.user == "root":
            raise ValueError(f"people.{key}.user: root is not a personal account")

    def _accounts_are_unique(self) -> None:
        seen: dict[str, str] = {}
        for key, person in self.people.items():
            for account in filter(None, (person.slack, *person.others, person.user and f"user {person.user}")):
                if account in seen:
                    raise ValueError(f"people.{key}: {account} is already {seen[account]}'s account")
                seen[account] = key

    def _check_environment(self, name: str, environment: EnvironmentSettings) -> None:
        for permission, roles in environment.permissions.items():
            for role in roles:
                if role not in self.roles:
                    raise ValueError(f"environments.{name}.permissions.{permission}: there is no role `{role}`")
        for risk, policy in environment.approval.items():
            least = 2 if risk is Risk.DESTRUCTIVE else 1
            if policy.count < least:
                raise ValueError(f"environments.{name}.approval.{risk}: count must be at least {least}")
            if policy.one_of_role is not None and policy.one_of_role not in self.roles:
                raise ValueError(f"environments.{name}.approval.{risk}: there is no role `{policy.one_of_role}`")
            if policy.own:
                raise ValueError(f"environments.{name}.approval.{risk}: requesters can't approve their own requests")
        if environment.going_back is not None and environment.going_back.count < 1:
            raise ValueError(f"environments.{name}.going_back: count must be at least 1")
        self._check_exports(name, environment)
        self._check_aws(name, environment)
        self._check_database(name, environment)
        self._check_gates(name, environment)
        self._check_repository(name, environment)
        self._check_monitoring(name, environment)
        self._check_cache(name, environment)
        self._check_certificates(name, environment)
        self._check_services(name, environment)
        self._check_regions(name, environment)

    @staticmethod
    def _check_regions(name: str, environment: EnvironmentSettings) -> None:
        """Check that each region has a name and a cluster of its own."""
        place = f"environments.{name}"
        regions = [each.name for each in environment.regions]
        if environment.home is not None and environment.home not in regions:
            known = f"write one of {', '.join(regions)}" if regions else "it needs `regions`"
            raise ValueError(f"{place}.home: there is no region `{environment.home}`; {known}")
        clusters: dict[ClusterSettings, str] = {}
        for at, region in enumerate(regions):
            if regions.index(region) != at:
                raise ValueError(f"{place}.regions.{at}.name: two regions are called `{region}`")
            cluster = environment.clusters()[region]
            if (other := clusters.setdefault(cluster, region)) != region:
                own = 'set `cluster = { context = "…" }`, another one for each region'
                raise ValueError(f"{place}.regions.{at}.cluster: {other} and {region} have the same cluster; {own}")

    @staticmethod
    def _check_services(name: str, environment: EnvironmentSettings) -> None:
        names = [service.name for service in environment.services]
        groups = environment.load_balancer.targets if environment.load_balancer is not None else {}
        if strange := [each for each in groups if each not in names]:
            raise ValueError(f"environments.{name}.load_balancer.targets: there is no service `{strange[0]}`")
        for what, rotation in environment.rotations.items():
            if strange := [each for each in rotation.services if each not in names]:
                raise ValueError(f"environments.{name}.rotations.{what}.services: there is no service `{strange[0]}`")
        if len(set(names)) != len(names):
            raise ValueError(f"environments.{name}.services: two services have the same name")
        for table, settings in (
            ("sync", environment.sync),
            ("migrations", environment.migrations),
            ("pool", environment.pool),
            ("websockets", environment.websockets),
            *((f"scripts.{script}", settings) for script, settings in environment.scripts.items()),
        ):
            if settings is not None and settings.service not in (None, *names):
                raise ValueError(f"environments.{name}.{table}.service: there is no service `{settings.service}`")

    def _check_certificates(self, name: str, environment: EnvironmentSettings) -> None:
        """Check that a sandbox asks only this machine."""
        hosts = environment.certificates.hosts
        if self.bot.sandbox and [each for each in hosts if (each.connect or each.host) != "127.0.0.1"]:
            raise ValueError(f"environments.{name}.certificates.hosts: a sandbox may only connect to 127.0.0.1")

    def _check_exports(self, name: str, environment: EnvironmentSettings) -> None:
        """Check that patient data goes over TLS, and from a sandbox only to this machine."""
        if environment.exports is None:
            return
        address = urlsplit(environment.exports.endpoint or "")
        if self.bot.sandbox and address.hostname != "127.0.0.1":
            raise ValueError(f"environments.{name}.exports.endpoint: a sandbox may only write to 127.0.0.1")
        if (
            not self.bot.sandbox
            and environment.exports.endpoint
            and not (address.scheme == "https" and address.hostname)
        ):
            raise ValueError(f"environments.{name}.exports.endpoint: the address must begin with https://")

    def _check_aws(self, name: str, environment: EnvironmentSettings) -> None:
        """Check that AWS is called over TLS, and by a sandbox only on this machine."""
        endpoints = {
            **({"cdn": environment.cdn.endpoint} if environment.cdn is not None else {}),
            **({"load_balancer": environment.load_balancer.endpoint} if environment.load_balancer is not None else {}),
            **({"elasticache": environment.elasticache.endpoint} if environment.elasticache is not None else {}),
            **({"backups": environment.backups.endpoint} if environment.backups is not None else {}),
            **{f"rotations.{what}.aws": each.aws.endpoint for what, each in environment.rotations.items() if each.aws},
        }
        for table, endpoint in endpoints.items():
            address = urlsplit(endpoint or "")
            if self.bot.sandbox and address.hostname != "127.0.0.1":
                raise ValueError(f"environments.{name}.{table}.endpoint: a sandbox may only connect to 127.0.0.1")
            if not self.bot.sandbox and endpoint and not (address.scheme == "https" and address.hostname):
                raise ValueError(f"environments.{name}.{table}.endpoint: the address must begin with https://")

    @staticmethod
    def _check_repository(name: str, environment: EnvironmentSettings) -> None:
        for table in ("build", "manifests"):
            if table in environment.model_fields_set and environment.github is None:
                raise ValueError(f"environments.{name}.{table}: it needs the table `environments.{name}.github`")

    def _check_gates(self, name: str, environment: EnvironmentSettings) -> None:
        """Check that each gate has what it looks at, and that GitHub gets its token over TLS."""
        gates, github = environment.gates, environment.github
        if github is not None:
            address = urlsplit(github.api_url)
            if self.bot.sandbox and address.hostname != "127.0.0.1":
                raise ValueError(f"environments.{name}.github.api_url: a sandbox may only connect to 127.0.0.1")
            if not self.bot.sandbox and address.scheme != "https":
                raise ValueError(f"environments.{name}.github.api_url: the address must begin with https://")
        if gates is None:
            return
        if gates.promoted_from is not None and (
            gates.promoted_from == name or gates.promoted_from not in self.environments
        ):
            raise ValueError(
                f"environments.{name}.gates.promoted_from: there is no other environment `{gates.promoted_from}`"
            )
        self._check_override(name, environment, gates.override_role)
        may_sign = environment.permissions.get("gate:sign", ())
        for each in gates.signatures:
            if not may_sign or each.role not in (None, *may_sign):
                raise ValueError(
                    f"environments.{name}.gates.signatures.{each.name}: nobody may sign it: "
                    f'`environments.{name}.permissions` must list {each.role or "a role"} under "gate:sign"'
                )
        looks_at = (
            ("code", gates.code, "github", github),
            ("backups", gates.backups, "backups", environment.backups),
            ("sync", gates.sync, "sync", environment.sync),
        )
        for gate, wanted, table, found in looks_at:
            if wanted and found is None:
                raise ValueError(f"environments.{name}.gates.{gate}: it needs the table `environments.{name}.{table}`")

    def _check_override(self, name: str, environment: EnvironmentSettings, role: str | None) -> None:
        """Check that the role of an override's approver exists, and that it is not asked for beside another one."""
        policy = environment.approval.get(Risk.DISRUPTIVE)
        if role is not None and role not in self.roles:
            raise ValueError(f"environments.{name}.gates.override_role: there is no role `{role}`")
        if role is not None and policy is not None and policy.one_of_role not in (None, role):
            raise ValueError(
                f"environments.{name}.gates.override_role: `approval.disruptive` already asks for one approver with the role `{policy.one_of_role}`"
            )

    def _check_database(self, name: str, environment: EnvironmentSettings) -> None:
        """Check that a password is sent over TLS, and from a sandbox only to this machine."""
        database = environment.database
        if database is None:
            return
        hosts = {split_address(each)[0] for each in (database.primary, database.replica) if each}
        if self.bot.sandbox and hosts - {"127.0.0.1"}:
            raise ValueError(f"environments.{name}.database: a sandbox may only connect to 127.0.0.1")
        if not self.bot.sandbox and database.tls == "disable":
            raise ValueError(f"environments.{name}.database.tls: TLS can be turned off in a sandbox only")

    def _check_cache(self, name: str, environment: EnvironmentSettings) -> None:
        """Check that a password is sent over TLS, and that a sandbox asks only this machine."""
        cache = environment.cache
        if cache is None:
            return
        place = f"environments.{name}.cache"
        if self.bot.sandbox and cache.hosts() - {"127.0.0.1"}:
            raise ValueError(f"{place}: a sandbox may only connect to 127.0.0.1")
        if not self.bot.sandbox and cache.secret and cache.tls == "disable":
            raise ValueError(f"{place}.tls: a password needs TLS")

    def _check_monitoring(self, name: str, environment: EnvironmentSettings) -> None:
        """Check that a password or a token is sent over TLS, and that a sandbox asks only this machine; and that the regions exist."""
        if wrong := environment.wrong_region:
            raise ValueError(f"environments.{name}.{wrong}")
        verification = environment.verification
        known = [service.name for service in environment.services]
        if verification is not None and verification.db_test and verification.service not in known:
            place = f"environments.{name}.verification.service"
            raise ValueError(f"{place}: there is no service `{verification.service}`")
        metrics = environment.metrics
        if metrics is not None and self.monitoring(name) is None:
            raise ValueError(f"environments.{name}.metrics: set `prometheus` here or in `verification`")
        asked = [
            *((f"verification.{key}", server) for key, server in (verification.servers() if verification else ())),
            *((f"metrics.{key}", server) for key, server in (metrics.servers() if metrics else ())),
        ]
        for key, server in asked:
            place, address = f"environments.{name}.{key}.url", urlsplit(server.url)
            if self.bot.sandbox and address.hostname != "127.0.0.1":
                raise ValueError(f"{place}: a sandbox may only connect to 127.0.0.1")
            if not self.bot.sandbox and server.secret and address.scheme != "https":
                raise ValueError(f"{place}: with a password or a token the address must begin with https://")

    def _targets_are_unique(self) -> None:
        """Refuse a Deployment in two environments, because permissions in one would suffice to change it."""
        seen: dict[tuple[object, ...], str] = {}
        for name, environment in self.environments.items():
            clusters = tuple(environment.clusters().values()) or (environment.cluster,)
            for service, cluster in itertools.product(environment.services, clusters):
                target = (cluster, environment.namespace, service.deployment or service.name)
                if target in seen:
                    raise ValueError(
                        f"environments.{name}.services.{service.name}: {seen[target]} has the same Deployment"
                    )
                seen[target] = f"environments.{name}"

    def _distributions_are_unique(self) -> None:
        """Refuse one distribution for two environments, which `CLOUDFRONT_DISTRIBUTION_ID` makes of two that name none."""
        seen: dict[str, str] = {}
        for name, environment in self.environments.items():
            if environment.cdn is None:
                continue
            if (other := seen.setdefault(environment.cdn.distribution, name)) != name:
                raise ValueError(f"environments.{name}.cdn.distribution: {other} has the same distribution")

    def environment(self, name: str) -> Environment:
        """Return the environment as runbooks use it."""
        found = self.environments[name]
        return Environment(
            name=name,
            namespace=found.namespace,
            record_namespace=found.record_namespace,
            compare_url=found.compare_url,
            on_failure=found.on_failure,
            lock_after_rollback=found.lock_after_rollback,
            call=found.call,
            contacts=found.contacts,
            sheet_in_thread=found.sheet_in_thread,
            regions=tuple(
                Region(
                    name=each.name,
                    kubectl=_kubectl(cluster),
                    aws_region=each.aws_region,
                    bake_seconds=each.bake,
                    maintenance=each.maintenance,
                )
                for each, cluster in zip(found.regions, found.clusters().values(), strict=True)
            ),
            home=found.home_region,
            scripts={
                script: NamedScript(about=each.about, choices=each.choices, changes=each.changes)
                for script, each in found.scripts.items()
            },
            services=tuple(
                Service(
                    name=service.name,
                    deployment=service.deployment or service.name,
                    container=service.container or service.name,
                    repository=service.repository,
                    keeps=service.keeps,
                    kubernetes_service=service.kubernetes_service,
                    health_url=service.health_url,
                    surge_limit=service.surge_limit,
                    rest_at_once=service.rest_at_once,
                    min_replicas=service.min_replicas,
                )
                for service in found.services
            ),
        )

    def monitoring(self, name: str) -> MonitoringSettings | None:
        """Return what the environment's metrics and alerts are read from; None without a Prometheus."""
        return monitoring_of(self.environments[name])

    def regions(self) -> tuple[str, ...]:
        """Return the names of all regions."""
        return tuple(dict.fromkeys(each.name for one in self.environments.values() for each in one.regions))

    def scripts(self) -> tuple[str, ...]:
        """Return the names of all scripts."""
        return tuple(dict.fromkeys(name for one in self.environments.values() for name in one.scripts))

    def patience(self) -> RolloutSettings:
        """Return the deadlines for rollouts."""
        return RolloutSettings(
            deadline_seconds=self.times.rollout_deadline,
            explain_seconds=self.times.explain_after,
            region_seconds=self.times.region_patience,
        )

    def policies(self, name: str) -> Policies:
        """Return the environment's approval policies."""
        found = self.environments[name]
        return Policies(by_risk=found.approval, going_back=found.going_back)

    def database_url(self) -> str:
        """Return the URL of the engine's database."""
        return self.bot.database_url or f"sqlite:///{self.bot.state / 'engine.sqlite'}"


def _kubectl(cluster: ClusterSettings) -> str:
    """Return `kubectl` with what leads it to that cluster. A person's own kubeconfig has the same contexts, so one with a context needs no file."""
    if cluster.context is not None:
        return f"kubectl --context {shlex.quote(cluster.context)}"
    return f"kubectl --kubeconfig {shlex.quote(str(cluster.kubeconfig))}" if cluster.kubeconfig else "kubectl"


FROM_ENVIRONMENT: dict[str, tuple[str, str]] = {
    "OMNICARE_SLACK_BOT_TOKEN": ("slack", "bot_token"),
    "OMNICARE_SLACK_APP_TOKEN": ("slack", "app_token"),
    "OMNICARE_STATE": ("bot", "state"),
    "OMNICARE_EXECUTOR": ("bot", "executor"),
    "OMNICARE_DATABASE_URL": ("bot", "database_url"),
}
"""Variables that override the file."""

CONFIG_VARIABLE = "OMNICARE_CONFIG"


def default_path() -> Path:
    """Return `$OMNICARE_CONFIG`, else `omnicare.toml` in the current directory, else `/etc/omnicare/omnicare.toml`."""
    if named := os.environ.get(CONFIG_VARIABLE):
        return Path(named)
    here = Path("omnicare.toml")
    return here if here.exists() else Path("/etc/omnicare/omnicare.toml")


def load(path: Path) -> Settings:
    """Read the file and the environment. Raises `ConfigurationError`, which never shows a value from the file."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors write a byte order mark at the beginning
        raw = tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigurationError(
            f"There is no configuration at {path}. Name one with --config or ${CONFIG_VARIABLE}; `omnicare sandbox` needs none."
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{path} is not UTF-8 text: byte {error.start + 1} can't be read. Save it as UTF-8."
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:  # Python's own too: a number of 5 000 digits
        raise ConfigurationError(f"{path} is not TOML: {explained(error, text)}") from error
    slack = raw.get("slack")
    if isinstance(slack, dict) and any(secret in slack for secret in ("bot_token", "app_token")):
        raise ConfigurationError(
            f"{path}: slack: tokens don't belong in the file. Remove the token, revoke it, and set OMNICARE_SLACK_BOT_TOKEN and "
            "OMNICARE_SLACK_APP_TOKEN."
        )
    for variable, (section, key) in FROM_ENVIRONMENT.items():
        table = raw.setdefault(section, {})
        if isinstance(table, dict) and (value := _variable(variable)):
            table[key] = value
    _take_the_guides_variables(raw)
    return validate(raw, source=str(path), text=text)


def _take_the_guides_variables(raw: dict[str, Any]) -> None:
    """Fill in what the file leaves to the variables of the production guide: `KUBECONFIG`, `CLOUDFRONT_DISTRIBUTION_ID`, and `$REGISTRY`
    in a repository's name.
    """
    kubeconfig, registry, distribution = map(_variable, ("KUBECONFIG", "REGISTRY", "CLOUDFRONT_DISTRIBUTION_ID"))
    environments = raw.get("environments")
    for environment in environments.values() if isinstance(environments, dict) else ():
        if not isinstance(environment, dict):
            continue
        cluster = environment.setdefault("cluster", {}) if kubeconfig else None
        if isinstance(cluster, dict):
            cluster.setdefault("kubeconfig", kubeconfig)
        if distribution and isinstance(cdn := environment.get("cdn"), dict):
            cdn.setdefault("distribution", distribution)
        services = environment.get("services")
        for service in services if isinstance(services, list) else ():
            if registry and isinstance(service, dict) and isinstance(name := service.get("repository"), str):
                service["repository"] = re.sub(r"^\$(REGISTRY\b|\{REGISTRY\})", lambda _: registry, name)


def _variable(name: str) -> str:
    """Return an environment variable without the line break that `$(cat token)` or an editor leaves behind, or "" if it is not set.

    A token with any other character that can't be sent would prevent the bot from connecting, so it is refused here.
    """
    value = os.environ.get(name, "").strip()
    if not value.isprintable() or (name.endswith("_TOKEN") and not _TOKEN.fullmatch(value)):
        raise ConfigurationError(
            f"{name} contains an invalid character: a space, a line break or a non-ASCII character. Set it again."
        )
    return value


_TOKEN = re.compile(r"[!-~]*")


def validate(raw: dict[str, Any], *, source: str = "configuration", text: str = "") -> Settings:
    """Return settings from plain data; `text` is the file that they come from. Raises `ConfigurationError` naming each place that is wrong."""
    try:
        return Settings.model_validate(raw)
    except ValidationError as error:
        lines = told(error.errors(include_input=False), Settings, text)
        raise ConfigurationError(f"{source} is not valid:\n  " + "\n  ".join(lines)) from None
