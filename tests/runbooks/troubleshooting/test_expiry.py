"""`diagnose` on certificates: named where one is about to end or refused, quiet where all are well."""

from pathlib import Path

import pytest

from runbooks.certificates.settings import CertificateSettings, TlsHost
from runbooks.troubleshooting.asking import Diagnosed, diagnose
from runbooks.troubleshooting.expiry import Expiry
from runbooks.troubleshooting.findings import Confidence
from sandbox.outside.certificates import TlsHosts
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
    ("days", "words", "confidence"),
    [
        (12, "expires in 12 days", Confidence.POSSIBLE),
        (5, "expires in 5 days", Confidence.LIKELY),
        (-2, "expired 2 days ago", Confidence.CERTAIN),
    ],
)
async def test_one_that_ends_soon_is_named_the_surer_the_less_time_is_left(
    days: int, words: str, confidence: Confidence, tmp_path: Path
):
    (finding,) = (await said(tmp_path, days)).findings
    assert words in finding.cause
    assert finding.confidence is confidence
    assert finding.to_do[-1].command == "certs"


async def test_one_that_clients_refuse_is_a_cause_and_a_host_that_is_gone_was_not_looked_at(tmp_path: Path):
    (finding,) = (await said(tmp_path, 60, names=("other.example",))).findings
    assert "is for other names" in finding.cause
    assert finding.confidence is Confidence.CERTAIN
    settings = CertificateSettings(hosts=(TlsHost(host=HOST, port=1, connect="127.0.0.1"),))
    async with case({CertificateSettings: settings}) as asked:
        found = await diagnose(asked, (Expiry(),))
    assert found.unknown[0][0] == "certificates"
    assert not found.findings
