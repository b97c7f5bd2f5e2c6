"""Looks at the certificates of an environment: what hosts serve, TLS Secrets, and cert-manager's Certificates. The soonest to expire first."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from urllib.parse import urlsplit

from runbooks.certificates.settings import CertificateSettings, TlsHost
from runbooks.clients.certificates import CertificateChain, NotACertificate, days_left, read_pem, served
from runbooks.clients.kubernetes.cert_manager import ManagedCertificateView
from runbooks.clients.kubernetes.errors import Forbidden
from runbooks.deployments.places import Place
from runbooks.kit.answers import read_time
from runbooks.kit.errors import RunbookError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Environment, Frozen
from runbooks.redaction.redactor import default_redactor
from runbooks.wording import by_count, capital, listed, shortened

Level = Literal["fine", "soon", "urgent", "critical", "expired"]
LEVELS: tuple[Level, ...] = ("expired", "critical", "urgent", "soon", "fine")
"""The worst first."""
_GROUP = "cert-manager.io"
_HTTPS = 443
_LONGEST = 200
_NAMED = 3


class FoundCertificate(Frozen):
    """One certificate, wherever it was found."""

    where: str
    """`api.omnicare-health.com`, `backend (health URL)`, `Secret tls-ingress`, `Certificate api`."""
    region: str = ""
    ends: datetime | None
    """None where none was issued."""
    days: int | None
    """Whole days that are left; below zero once it has expired."""
    level: Level
    issuer: str = ""
    host: str = ""
    """What serves it, by the name that clients ask for; empty for one that is only kept."""
    names: tuple[str, ...] = ()
    """The host names that it is for."""
    problem: str = ""
    """What else is wrong, as the end of a sentence about the certificate: `is for other names (a.example)`."""

    @property
    def wrong(self) -> bool:
        """Whether somebody has to do something today."""
        return bool(self.problem) or self.level in ("expired", "critical")

    @property
    def told(self) -> str:
        """What is wrong with it, in words; empty where nothing is."""
        said = []
        if self.level == "expired" and self.days is not None:
            said.append(f"expired {in_days(-self.days)} ago")
        elif self.level != "fine" and self.days is not None:
            said.append(f"expires in {in_days(self.days)}")
        return "; ".join([*said, *([self.problem] if self.problem else [])])

    @property
    def named(self) -> str:
        """With its region, where there are some."""
        return f"{self.where} in {self.region}" if self.region else self.where


class Certificates(Frozen):
    """What was found, and what could not be checked."""

    found: tuple[FoundCertificate, ...]
    """What is wrong first, then the soonest to expire."""
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What is not looked at, as it is configured."""


async def look(
    places: Sequence[Place], environment: Environment, settings: CertificateSettings, now: datetime
) -> Certificates:
    """Return all certificates of the environment. What can't be looked at is a sentence of its own."""
    hosts, plain = _hosts(environment, settings)
    looks = [
        *(_served(label, host, settings, now) for label, host in hosts),
        *(_secret(place, name, settings, now) for place in places for name in settings.secrets),
        *(_managed(place, settings, now) for place in places),
    ]
    answers = await asyncio.gather(*looks)
    found = [each for certificates, _ in answers for each in certificates]
    unknown = tuple(dict.fromkeys(why for _, why in answers if why))
    notes = []
    if plain:
        verb = by_count(len(plain), "has a health URL", "have health URLs")
        notes.append(f"{capital(listed(plain))} {verb} without TLS (http), so there is no certificate to look at.")
    if not settings.secrets:
        notes.append(
            f"TLS Secrets are not read: name them in `[environments.{environment.name}.certificates]`, `secrets`."
        )
    return Certificates(found=tuple(sorted(found, key=_order)), unknown=unknown, notes=tuple(notes))


def renewed(old: FoundCertificate, found: Sequence[FoundCertificate]) -> FoundCertificate | None:
    """Return the certificate for the same host that is kept, is well and ends last, where it ends later than the one that is served."""
    if not old.host or old.ends is None:
        return None
    kept = [(each.ends, each) for each in found if not each.host and not each.wrong and _is_for(each, old.host)]
    later = [(ends, each) for ends, each in kept if ends is not None and ends > old.ends]
    return max(later, key=lambda each: each[0], default=(None, None))[1]


def _is_for(found: FoundCertificate, host: str) -> bool:
    """Whether one of its names is the host's; a wildcard stands for one label."""
    _, _, domain = host.partition(".")
    return any(name.lower() in (host, f"*.{domain}") for name in found.names)


def _order(found: FoundCertificate) -> tuple[bool, int, int, str]:
    return not found.wrong, LEVELS.index(found.level), found.days if found.days is not None else 0, found.named


def _hosts(environment: Environment, settings: CertificateSettings) -> tuple[list[tuple[str, TlsHost]], list[str]]:
    """Return each host with its name for people, and the services whose health URL has no TLS. An address of a health URL is not shown."""
    found = [(host.shown, host) for host in settings.hosts]
    known, plain = {(host.host.lower(), host.port) for host in settings.hosts}, []
    for service in environment.services:
        if service.health_url is None:
            continue
        parts = urlsplit(service.health_url)
        if parts.scheme != "https":
            plain.append(service.name)
            continue
        key = ((parts.hostname or "").lower(), parts.port or _HTTPS)
        if key not in known:
            known.add(key)
            found.append(
                (f"{service.name} (health URL)", TlsHost.model_construct(host=key[0], port=key[1], connect=None))
            )
    return found, plain


def level_of(days: int, settings: CertificateSettings) -> Level:
    """Return how soon that is."""
    if days < 0:
        return "expired"
    soon, urgent, critical = settings.days
    return "critical" if days <= critical else "urgent" if days <= urgent else "soon" if days <= soon else "fine"


async def _served(
    label: str, host: TlsHost, settings: CertificateSettings, now: datetime
) -> tuple[list[FoundCertificate], str]:
    try:
        seen = await served(
            host.host, host.port, connect=host.connect, authorities=settings.authorities, deadline=settings.seconds
        )
    except RunbookError as error:
        return [], f"{label} {error.message}, so its certificate is unknown."
    days = days_left(seen.certificate.ends, now)
    return [
        FoundCertificate(
            where=label,
            ends=seen.certificate.ends,
            days=days,
            level=level_of(days, settings),
            issuer=_plain(seen.certificate.issuer),
            host=host.host.lower(),
            names=seen.certificate.names,
            problem="" if days < 0 else _plain(seen.refused),  # that it has expired is said already
        )
    ], ""


async def _secret(
    place: Place, name: str, settings: CertificateSettings, now: datetime
) -> tuple[list[FoundCertificate], str]:
    where = f"Secret {name}"
    at = f"{where} in {place.name}" if place.name else where
    try:
        content = await place.cluster.public_certificate(place.environment.namespace, name)
        chain = read_pem(content)
    except Forbidden:
        role = "`omnicare-bot-certificates` of `deploy/roles.yml`"
        return [], f"The bot may not read {at}: bind {role} and name the Secret in it."
    except NotACertificate as error:
        return [], f"{at} has no usable `tls.crt`: {error}."
    except RunbookError as error:
        missing = error.code is ReasonCode.NOT_FOUND
        return [], f"{at} does not exist." if missing else f"{at} is unknown: {error.message}"
    first = chain.first_to_end  # a chain lasts no longer
    days = days_left(first.ends, now)
    begun = first.begins <= now
    return [
        FoundCertificate(
            where=where,
            region=place.name,
            ends=first.ends,
            days=days,
            level=level_of(days, settings),
            issuer=_plain(first.issuer),
            names=chain.own.names if chain.own is not None else (),
            problem="" if begun else "is not valid yet",
        )
    ], _unread(at, chain)


def _unread(at: str, chain: CertificateChain) -> str:
    """Return which certificates of a chain can't be read, and so may end before the others."""
    if not chain.unread:
        return ""
    which = by_count(len(chain.unread), "Certificate", "Certificates")
    places = listed(map(str, chain.unread), most=_NAMED)
    return f"{which} {places} of {len(chain.blocks)} in {at} can't be read, so the chain may end sooner than shown."


async def _managed(place: Place, settings: CertificateSettings, now: datetime) -> tuple[list[FoundCertificate], str]:
    try:
        if _GROUP not in await place.cluster.api_groups():
            return [], ""
        managed = await place.cluster.managed_certificates(place.environment.namespace)
    except Forbidden:
        return [], "The bot may not list cert-manager's Certificates. Apply `deploy/roles.yml`."
    except RunbookError as error:
        return [], f"cert-manager's Certificates are unknown: {error.message}"
    return [_of_manager(each, place.name, settings, now) for each in managed], ""


def _of_manager(
    seen: ManagedCertificateView, region: str, settings: CertificateSettings, now: datetime
) -> FoundCertificate:
    ends, renews = read_time(seen.ends), read_time(seen.renews)
    days = days_left(ends, now) if ends is not None else None
    problem = f"is not ready: {seen.trouble}" if seen.trouble else ""
    if not problem and renews is not None and (late := (now - renews).days) > 0:
        problem = f"should have been renewed {in_days(late)} ago"
    return FoundCertificate(
        where=f"Certificate {seen.name}",
        region=region,
        ends=ends,
        days=days,
        level=level_of(days, settings) if days is not None else "critical",
        issuer=_plain(seen.issuer),
        names=seen.names,
        problem=_plain(problem),
    )


def in_days(count: int) -> str:
    """Return `1 day`, `5 days`."""
    return f"{count} {by_count(count, 'day', 'days')}"


def _plain(said: str) -> str:
    return shortened(" ".join(default_redactor().text(said).split()), _LONGEST)
