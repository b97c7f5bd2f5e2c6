"""`diagnose` on certificates: named where one is about to end or refused, quiet where all are well."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runbooks.certificates.looking import FoundCertificate, renewed
from runbooks.certificates.settings import CertificateSettings, TlsHost
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.troubleshooting.asking import Diagnosed, diagnose, ranked
from runbooks.troubleshooting.expiry import Expiry
from runbooks.troubleshooting.findings import Confidence
from sandbox.cluster import Cluster, seed_omnicare
from sandbox.outside.certificates import TLS_SECRET, TlsHosts, seed_secret
from tests.support.cases import case

HOST = "api.omnicare-health.com"


async def said(tmp_path: Path, days: int, *, names: tuple[str, ...] = (HOST,)) -> Diagnosed:
    hosts = TlsHosts()
    hosts.show(HOST, *hosts.authority.issue(names, days=days))
    authorities = tmp_path / "authority.pem"
    authorities.write_bytes(hosts.authority.pem)
    async with hosts.serve() as port:
        host = TlsHost(host=HOST, port=port, connect="127.0.0.1")
        settings = CertificateSettings(hosts=(host,), authorities=authorities)
        async with case({CertificateSettings: settings}) as asked:
            return await diagnose(asked, (Expiry(),))


async def test_certificates_that_are_good_for_weeks_are_found_well(tmp_path: Path):
    found = await said(tmp_path, 60)
    assert found.well == ("certificates (1 certificate)",)
    async with case({CertificateSettings: CertificateSettings()}) as asked:
        assert (await diagnose(asked, (Expiry(),))).not_configured == ("certificates",)


@pytest.mark.parametrize(
    ("days", "words", "ahead"),
    [(12, "expires in 12 days", True), (5, "expires in 5 days", False), (-2, "expired 2 days ago", False)],
)
async def test_one_that_ends_soon_is_certain_as_its_date_is_and_behind_present_trouble_until_it_is_critical(
    days: int, words: str, ahead: bool, tmp_path: Path
):
    (finding,) = (await said(tmp_path, days)).findings
    assert words in finding.cause
    assert finding.confidence is Confidence.CERTAIN
    assert finding.ahead is ahead
    assert finding.to_do[-1].command == "certs"
    now = finding.model_copy(update={"ahead": False, "confidence": Confidence.LIKELY, "cause": "now"})
    assert (ranked([finding, now])[0] is now) is ahead


@pytest.mark.parametrize(
    ("kept", "names", "expected"),
    [(62, (HOST,), True), (62, ("*.omnicare-health.com",), True), (62, ("other.example",), False), (5, (HOST,), False)],
)
def test_one_that_was_renewed_and_is_not_served_yet_is_told_from_one_that_was_not(
    kept: int, names: tuple[str, ...], expected: bool
):
    now = datetime(2026, 3, 1, tzinfo=UTC)
    old = FoundCertificate(where=HOST, host=HOST, ends=now + timedelta(days=5), days=5, level="critical", names=(HOST,))
    secret = FoundCertificate(
        where="Secret omnicare-tls", ends=now + timedelta(days=kept), days=kept, level="fine", names=names
    )
    assert (renewed(old, (old, secret)) is secret) is expected


async def test_a_certificate_that_the_cluster_has_anew_is_not_to_be_renewed_again(tmp_path: Path):
    hosts, cluster = TlsHosts(), Cluster()
    seed_omnicare(cluster)
    hosts.show(HOST, *hosts.authority.issue((HOST,), days=5))
    seed_secret(cluster, hosts, "omnicare-prod", days=62)
    authorities = tmp_path / "authority.pem"
    authorities.write_bytes(hosts.authority.pem)
    kubeconfig = tmp_path / "kubeconfig"
    async with hosts.serve() as port, cluster.serve():
        kubeconfig.write_text(cluster.kubeconfig("admin"))
        host = TlsHost(host=HOST, port=port, connect="127.0.0.1")
        settings = CertificateSettings(hosts=(host,), secrets=(TLS_SECRET,), authorities=authorities)
        async with (
            ClusterClient(kubeconfig=str(kubeconfig)) as client,
            case({CertificateSettings: settings}, cluster=client) as asked,
        ):
            (finding,) = (await diagnose(asked, (Expiry(),))).findings
    renewed_in = (
        f"It was renewed in Secret {TLS_SECRET} (62 days left); the server of {HOST}:{port} still has the old one."
    )
    assert finding.evidence[0] == renewed_in
    assert finding.to_do[0].text.startswith("Do not renew it again")


async def test_one_that_clients_refuse_is_a_cause_and_a_host_that_is_gone_was_not_looked_at(tmp_path: Path):
    (finding,) = (await said(tmp_path, 60, names=("other.example",))).findings
    assert "is for other names" in finding.cause
    assert finding.confidence is Confidence.CERTAIN
    settings = CertificateSettings(hosts=(TlsHost(host=HOST, port=1, connect="127.0.0.1"),))
    async with case({CertificateSettings: settings}) as asked:
        found = await diagnose(asked, (Expiry(),))
    assert found.unknown[0][0] == "certificates"
    assert not found.findings
