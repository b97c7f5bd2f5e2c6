"""Certificates as they are found: by a handshake, in a Secret, from cert-manager; and what is said of each."""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runbooks.certificates import looking
from runbooks.certificates.looking import Certificates, FoundCertificate, level_of, look
from runbooks.certificates.settings import CertificateSettings, TlsHost
from runbooks.clients.certificates import NotACertificate, read_der, read_pem
from runbooks.clients.kubernetes.cert_manager import managed_certificate
from runbooks.deployments.places import Place as RunPlace
from runbooks.kit.targets import Environment
from runbooks.redaction.shell import pasted
from sandbox.outside.certificates import Authority, TlsHosts
from tests.support.real import Place

API = "api.omnicare-health.com"
NOWHERE = Environment(name="production", namespace="emr", record_namespace="bot", services=())


def test_the_lines_for_several_hosts_are_shown_whole() -> None:
    lines = [TlsHost(host=host).by_hand for host in (API, "omnicare-health.com", "files.omnicare-health.com")]
    assert pasted(lines) == tuple(lines)


@pytest.fixture(scope="module")
def hosts() -> TlsHosts:
    return TlsHosts()


@asynccontextmanager
async def asked(
    hosts: TlsHosts, tmp_path: Path, *names: str, trusted: bool = True
) -> AsyncIterator[CertificateSettings]:
    authority = tmp_path / "authority.pem"
    authority.write_bytes((hosts.authority if trusted else Authority()).pem)
    async with hosts.serve() as port:
        yield CertificateSettings(
            hosts=tuple(TlsHost(host=name, port=port, connect="127.0.0.1") for name in names), authorities=authority
        )


async def looked(settings: CertificateSettings, environment: Environment = NOWHERE, *places: RunPlace) -> Certificates:
    return await look(places, environment, settings, datetime.now(UTC))


@pytest.mark.parametrize(
    ("days", "level"), [(90, "fine"), (30, "soon"), (14, "urgent"), (7, "critical"), (0, "critical"), (-1, "expired")]
)
def test_how_soon_is_said_by_the_days_that_are_configured(days: int, level: str):
    assert level_of(days, CertificateSettings()) == level
    assert level_of(days, CertificateSettings(days=(300, 200, 100))) == ("expired" if days < 0 else "critical")


async def test_what_a_host_serves_is_told_with_the_days_that_are_left(hosts: TlsHosts, tmp_path: Path):
    hosts.issue(API, 5)
    hosts.issue("omnicare-health.com", 75)
    async with asked(hosts, tmp_path, "omnicare-health.com", API) as settings:
        found = await looked(settings)
    assert [(each.days, each.level, each.problem) for each in found.found] == [(5, "critical", ""), (75, "fine", "")]
    assert found.found[0].where.startswith(API)
    assert found.found[0].issuer == "OmniCare Sandbox CA"
    assert not found.unknown


@pytest.mark.parametrize(
    ("names", "days", "trusted", "told"),
    [
        (["other.example"], 60, True, "is for other names (other.example)"),
        ([API], -3, True, "expired 3 days ago"),
        ([API], 60, False, "is without its chain or from an unknown authority"),
    ],
)
async def test_why_clients_refuse_a_certificate(
    hosts: TlsHosts, tmp_path: Path, names: list[str], days: int, trusted: bool, told: str
):
    hosts.show(API, *hosts.authority.issue(names, days=days))
    async with asked(hosts, tmp_path, API, trusted=trusted) as settings:
        (found,) = (await looked(settings)).found
    assert found.wrong
    assert found.told.startswith(told)


async def test_a_host_without_an_answer_is_unknown_and_hides_no_other(hosts: TlsHosts, tmp_path: Path):
    hosts.issue(API, 60)
    async with asked(hosts, tmp_path, API) as settings:
        dead = TlsHost(host="gone.example", port=1, connect="127.0.0.1")
        strange = TlsHost(host="strange.example", port=settings.hosts[0].port, connect="127.0.0.1")
        found = await looked(settings.model_copy(update={"hosts": (dead, strange, *settings.hosts)}))
    assert [each.days for each in found.found] == [60]
    assert [why.partition(" ")[0] for why in found.unknown] == ["gone.example:1", strange.shown]
    assert "can't be reached (connection refused)" in found.unknown[0]
    assert "TLS handshake" in found.unknown[1]


def test_what_is_no_certificate_is_refused_without_its_content():
    for content in (b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", b"secret words"):
        with pytest.raises(NotACertificate) as refused:
            read_pem(content)
        assert "secret" not in str(refused.value)


def damaged(certificate: bytes, before: bytes, after: bytes) -> bytes:
    """The certificate with other bytes; nobody looks at its signature."""
    der = ssl.PEM_cert_to_DER_cert(certificate.decode())
    assert before in der
    return der.replace(before, after)


TWO_OF_A_KIND = (bytes.fromhex("0603551d0e"), bytes.fromhex("0603551d11"))
"""The key's identifier becomes a second list of names."""


@pytest.mark.parametrize(("before", "after"), [TWO_OF_A_KIND, (b"\x0c\x17a", b"\x0c\x17\xff")], ids=["twice", "name"])
def test_one_whose_parts_can_not_be_read_can_not_be_read(hosts: TlsHosts, before: bytes, after: bytes):
    der = damaged(hosts.authority.issue([API], days=60)[0], before, after)
    with pytest.raises(NotACertificate):
        read_der(der)
    with pytest.raises(NotACertificate):
        read_pem(ssl.DER_cert_to_PEM_cert(der).encode())


async def test_a_server_that_is_silent_after_the_handshake_has_shown_its_certificate(hosts: TlsHosts, tmp_path: Path):
    certificate, key = hosts.authority.issue([API], days=60)
    (tmp_path / "both.pem").write_bytes(certificate + key)
    (tmp_path / "authority.pem").write_bytes(hosts.authority.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came, leaves = ssl.MemoryBIO(), ssl.MemoryBIO()
        talk = context.wrap_bio(came, leaves, server_side=True)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                came.write(data)
                with contextlib.suppress(ssl.SSLWantReadError):
                    talk.do_handshake()
                writer.write(leaves.read())
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        host = TlsHost(host=API, port=server.sockets[0].getsockname()[1], connect="127.0.0.1")
        found = await looked(CertificateSettings(hosts=(host,), authorities=tmp_path / "authority.pem"))
    assert ([each.days for each in found.found], found.unknown) == ([60], ())


async def test_only_the_certificate_of_a_secret_is_read(here: Place, hosts: TlsHosts):
    certificate, key = hosts.authority.issue([API], days=12)
    bad = ssl.DER_cert_to_PEM_cert(damaged(certificate, *TWO_OF_A_KIND)).encode()
    for name, content in (("tls", certificate), ("odd", b"nothing"), ("bad", bad)):
        data = {"tls.crt": base64.b64encode(content).decode(), "tls.key": base64.b64encode(key).decode()}
        manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": name},
            "data": data,
        }
        await here.create(f"/api/v1/namespaces/{here.namespace}/secrets", manifest)
    assert await here.cluster.public_certificate(here.namespace, "tls") == certificate
    settings = CertificateSettings(secrets=("tls", "odd", "bad", "missing"))
    found = await looked(settings, here.environment, RunPlace(here.environment, here.cluster))
    assert [(each.where, each.days, each.level) for each in found.found] == [("Secret tls", 12, "urgent")]
    assert found.unknown == (
        "Secret odd has no usable `tls.crt`: it holds no certificate that can be read.",
        "Secret bad has no usable `tls.crt`: it holds no certificate that can be read.",
        "Secret missing does not exist.",
    )


async def test_one_of_a_chain_that_can_not_be_read_is_named_and_the_others_still_tell_the_end(
    here: Place, hosts: TlsHosts
):
    own, above = (hosts.authority.issue([API], days=days)[0] for days in (60, 20))
    bad = ssl.DER_cert_to_PEM_cert(damaged(own, *TWO_OF_A_KIND)).encode()
    cut = above[: len(above) // 2] + b"\n"
    for name, content in (("middle", own + bad + above), ("own", cut + above + b"\x00" + cut)):
        data = {"tls.crt": base64.b64encode(content).decode(), "tls.key": ""}
        manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
        await here.create(f"/api/v1/namespaces/{here.namespace}/secrets", manifest)
    settings = CertificateSettings(secrets=("middle", "own"))
    found = await looked(settings, here.environment, RunPlace(here.environment, here.cluster))
    assert [(each.where, each.days, each.names) for each in found.found] == [
        ("Secret middle", 20, (API,)),
        ("Secret own", 20, ()),
    ]
    assert found.unknown == (
        "Certificate 2 of 3 in Secret middle can't be read, so the chain may end sooner than shown.",
        "Certificates 1 and 3 of 3 in Secret own can't be read, so the chain may end sooner than shown.",
    )


def managed(ready: str = "True", **status: str) -> FoundCertificate:
    condition = {"type": "Ready", "status": ready, "reason": "Failed", "message": "The order failed"}
    spec = {"secretName": "api-tls", "dnsNames": [API], "issuerRef": {"name": "letsencrypt"}}
    item = {"metadata": {"name": "api"}, "spec": spec, "status": {"conditions": [condition], **status}}
    return looking._of_manager(managed_certificate(item), "", CertificateSettings(), datetime.now(UTC))


def test_cert_managers_certificates_are_told_by_their_status():
    now = datetime.now(UTC)
    ends = (now + timedelta(days=40, hours=2)).isoformat()
    fine = managed(notAfter=ends, renewalTime=(now + timedelta(days=10)).isoformat())
    assert (fine.days, fine.level, fine.problem, fine.issuer) == (40, "fine", "", "letsencrypt")
    late = managed(notAfter=ends, renewalTime=(now - timedelta(days=3)).isoformat())
    assert late.problem == "should have been renewed 3 days ago"
    never = managed("False")
    assert (never.days, never.told) == (None, "is not ready: The order failed")


async def test_health_urls_are_asked_and_their_addresses_not_shown(hosts: TlsHosts):
    services = [
        {"name": name, "deployment": name, "container": name, "repository": name, "health_url": url}
        for name, url in (("backend", "https://127.0.0.1:1/health"), ("frontend", "http://inside.example/health"))
    ]
    environment = Environment.model_validate({**NOWHERE.model_dump(), "services": services})
    found = await looked(CertificateSettings(), environment)
    assert found.unknown == (
        "backend (health URL) can't be reached (connection refused), so its certificate is unknown.",
    )
    assert "inside.example" not in str(found.notes)
    assert found.notes[0].startswith("Frontend has a health URL without TLS")
