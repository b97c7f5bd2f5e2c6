"""Checks of the systems that the bot depends on: each environment's cluster, registries, Slack, the clock."""

from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

from bot.config import Settings
from bot.config.sections import EnvironmentSettings, ServiceSettings
from bot.doctor.access import NEEDED, ROTATED, TLS, Access, Where
from bot.doctor.findings import DoctorFinding, failed, fine, warning
from bot.doctor.kubernetes_support import support
from runbooks.clients.health import HealthClient
from runbooks.clients.image_registry.ecr import EcrLogins
from runbooks.clients.image_registry.logins import RegistryLogins
from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.postgres.access import SECRET
from runbooks.deployments.owners import owner
from runbooks.kit.answers import read_http_date
from runbooks.kit.errors import RunbookError
from runbooks.redaction.redactor import default_redactor
from runbooks.wording import counted

SKEW_WARNING, SKEW_FAILED = 2.0, 30.0
"""Allowed difference in seconds: approvals' deadlines use the wall clock, and Slack rejects requests that are minutes old."""


_NAMESPACE: dict[Where, Callable[[EnvironmentSettings], str]] = {
    Where.SERVICES: lambda environment: environment.namespace,
    Where.ROTATIONS: lambda environment: environment.namespace,
    Where.CERTIFICATES: lambda environment: environment.namespace,
    Where.CONFIGURATION: lambda environment: environment.namespace,
    Where.RECORD: lambda environment: environment.record_namespace,
    Where.CLUSTER: lambda _: "",
}


def _needed(environment: EnvironmentSettings) -> Iterator[Access]:
    """Return the permissions that this environment needs: for Secrets only those that the configuration names, for ConfigMaps where it has `manifests`."""
    database = environment.database
    secrets = {
        SECRET: [database.secret] if database is not None and database.file is None else [],
        ROTATED: sorted({rotation.secret for rotation in environment.rotations.values()}),
        TLS: list(environment.certificates.secrets),
    }
    for access in NEEDED:
        if access.where is Where.CONFIGURATION and environment.manifests is None:
            continue
        if not access.name:
            yield access
        for name in secrets.get(access.name, ()):
            yield replace(access, name=name)


async def cluster(settings: Settings, where: str, region: str = "") -> AsyncGenerator[DoctorFinding]:
    """Check reachability, version, each permission, and whether the configured objects exist.

    `region`: where the environment has several. What is done once needs its permissions in the home region only.
    """
    environment, name = settings.environments[where], f"{where} in {region}" if region else where
    found = environment.clusters().get(region, environment.home_cluster)
    away = region not in ("", environment.home_region)
    kubectl = settings.environment(where).within(region).kubectl
    kubeconfig = str(found.kubeconfig) if found.kubeconfig else None
    async with ClusterClient(kubeconfig=kubeconfig, context=found.context) as client:
        version = await client.version()
        yield fine(f"{name}: the cluster at {client.server} answers, version {version}.")
        yield support(name, version, datetime.now(UTC).date())
        for access in _needed(environment):
            if away and access.where in (Where.RECORD, Where.CERTIFICATES):
                continue
            namespace = _NAMESPACE[access.where](environment)
            database = environment.database
            if database is not None and access.name == database.secret:
                namespace = database.secret_namespace or namespace
            verdict = await client.may(
                access.verb, access.group, access.resource, namespace, access.subresource, access.name
            )
            if verdict.allowed:
                yield fine(f"{name}: the bot can {access.shown} in {namespace or 'the cluster'}.")
            elif access.where is Where.CLUSTER:
                yield warning(
                    f"{name}: the bot can't {access.shown}. {access.reason}",
                    f"Nothing, if this is intended. Otherwise: {kubectl} create clusterrolebinding {access.where.role} "
                    f"--clusterrole={access.where.role} --serviceaccount=omnicare-bot:omnicare-bot",
                )
            else:
                yield failed(
                    f"{name}: the bot can't {access.shown} in {namespace}. {access.reason}",
                    f"Apply the shipped Role {access.where.role} there, then check with `{kubectl} auth can-i {access.shown} -n {namespace}`.",
                )
        async for finding in _services(client, name, environment):
            yield finding


async def _services(
    client: ClusterClient, name: str, environment: EnvironmentSettings
) -> AsyncGenerator[DoctorFinding]:
    for service in environment.services:
        deployment, container = service.deployment or service.name, service.container or service.name
        try:
            found = await client.deployment(environment.namespace, deployment)
        except RunbookError as error:
            yield failed(
                f"{name}: Deployment {environment.namespace}/{deployment} ({service.name}): {error.message}",
                f"Correct environments.{name}.services, or create the Deployment.",
            )
            continue
        if (owned := owner(found)) is not None:
            yield warning(
                f"{name}: {service.name}: {owned.sentence}.",
                "Configure it to ignore the containers' images and the annotations omnicare.dev/*, or release with it instead of the bot.",
            )
        held = found.container(container)
        if held is None:
            there = ", ".join(each.name for each in found.containers)
            yield failed(
                f"{name}: Deployment {deployment} has no container {container}; it has {there}.",
                f"Set `container` of service {service.name} in environments.{name}.services.",
            )
        elif not held[1].image.startswith(service.repository):
            yield warning(
                f"{name}: {deployment}/{container} runs {held[1].image}, which is not from {service.repository}.",
                f"Nothing, if this is about to change. Otherwise correct `repository` of service {service.name}.",
            )
        else:
            yield fine(f"{name}: {service.name} is {deployment}/{container}.")
        yield await _serving(client, name, environment, service)


async def _serving(
    client: ClusterClient, name: str, environment: EnvironmentSettings, service: ServiceSettings
) -> DoctorFinding:
    """Check whether it can be measured what serves."""
    through = service.kubernetes_service or service.name
    try:
        ready = len((await client.endpoints(environment.namespace, through)).ready)
    except RunbookError as error:
        return warning(
            f"{name}: can't check what serves {service.name}. {error.message}",
            f"Set `kubernetes_service` of service {service.name} in environments.{name}.services.",
        )
    if not ready:
        return warning(f"{name}: Service {through} has no ready endpoints.", f"`status --env {name}` shows more.")
    return fine(f"{name}: {service.name} is served by {ready} ready endpoints of Service {through}.")


async def health(settings: Settings, name: str) -> AsyncGenerator[DoctorFinding]:
    """Check each service's health URL with one request."""
    async with HealthClient(deadline=settings.times.health_deadline) as client:
        for service in settings.environments[name].services:
            if service.health_url is None:
                yield warning(
                    f"{name}: {service.name} has no health URL, so a failure report can't show whether it answers.",
                    f"Nothing, if this is intended. Otherwise set `health_url` of {service.name} in environments.{name}.services.",
                )
                continue
            found = await client.ask(service.health_url)
            took = f"{found.seconds * 1000:.0f} ms"
            if found.well:
                yield fine(f"{name}: the health URL of {service.name} answers {found.status} ({took}).")
            else:
                what = (
                    f"answers {found.status} ({took})" if found.status is not None else f"does not answer: {found.why}"
                )
                yield warning(
                    f"{name}: the health URL of {service.name} {what}.",
                    f"Correct `health_url` in environments.{name}.services, or check the service.",
                )


async def registry(settings: Settings, repository: str) -> AsyncGenerator[DoctorFinding]:
    """Check whether the registry lists the repository's versions."""
    logins = RegistryLogins(settings.bot.registry_auth, default_redactor())
    ecr = EcrLogins(settings.bot.registry_ecr, default_redactor(), throw_away=settings.bot.sandbox)
    async with RegistryClient(
        settings.registries,
        plain_http=settings.bot.sandbox,
        logins=logins,
        ecr=ecr,
        versions=settings.bot.versions,
    ) as client:
        count = len(await client.versions(repository))
    if count:
        yield fine(f"{repository}: {counted(count, 'version')}.")
    else:
        yield warning(
            f"{repository} has no versions.",
            "Push one, or correct the repository or bot.versions in the configuration.",
        )


def repositories(settings: Settings) -> tuple[str, ...]:
    """Return each once, in the file's order."""
    found = [service.repository for each in settings.environments.values() for service in each.services]
    return tuple(dict.fromkeys(found))


async def slack(settings: Settings) -> AsyncGenerator[DoctorFinding]:
    """Check token, scopes, Socket Mode and channels (`bot.surfaces.slack.checks`)."""
    if not settings.slack.enabled:
        yield warning(
            "Slack is turned off: only terminals work.", "Nothing, if this is intended. Otherwise set slack.enabled."
        )
        return
    if settings.bot.sandbox and not settings.slack.bot_token.get_secret_value():
        yield warning(
            "The sandbox shares its Slack tokens only with its own bot, so Slack can't be checked from here.",
            "Nothing.",
        )
        return
    from bot.surfaces.slack.checks import check
    from bot.surfaces.slack.transport.web_api import SlackApi

    api = SlackApi(settings.slack.bot_token.get_secret_value(), settings.slack.api_url)
    channels = [*settings.channels, *(each.channel for each in settings.environments.values() if each.channel)]
    try:
        async for finding in check(
            api, settings.slack.app_token.get_secret_value(), channels, workspace=settings.slack.workspace
        ):
            yield fine(finding.sentence) if finding.ok else failed(finding.sentence, finding.to_do)
    finally:
        await api.close()


async def clock(settings: Settings) -> AsyncGenerator[DoctorFinding]:
    """Compare this machine's clock with the registries', whose answers contain the time."""
    import aiohttp

    hosts = dict.fromkeys(repository.split("/")[0] for repository in repositories(settings))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        for host in hosts:
            url = f"{settings.registries.get(host, f'https://{host}').rstrip('/')}/v2/"
            try:
                async with session.get(url) as response:
                    said = response.headers.get("Date")
            except (aiohttp.ClientError, TimeoutError):
                continue
            if (at := read_http_date(said)) is not None:
                yield _skew(at, urlsplit(url).hostname or host)
                return
    yield warning(
        "No server sent the time, so this machine's clock was not checked.", "Check that it is synchronised (NTP)."
    )


def _skew(theirs: datetime, host: str) -> DoctorFinding:
    seconds = abs((datetime.now(UTC) - theirs.astimezone(UTC)).total_seconds())
    # the header has whole seconds, and the answer took some time
    if seconds < SKEW_WARNING:
        return fine(f"This machine's clock agrees with {host}'s.")
    text = f"This machine's clock is {seconds:.0f} s off {host}'s; deadlines and the audit log use it."
    to_do = "Synchronise it (NTP)."
    return failed(text, to_do) if seconds > SKEW_FAILED else warning(text, to_do)
