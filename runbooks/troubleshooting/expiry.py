"""Certificates that have expired, that clients refuse, or that end within days."""

from runbooks.certificates.looking import FoundCertificate, look
from runbooks.certificates.settings import CertificateSettings
from runbooks.troubleshooting.case import Case
from runbooks.troubleshooting.findings import Confidence, Finding, RuleAnswer, ToDo, Trouble, not_configured
from runbooks.troubleshooting.rule import Rule
from runbooks.wording import counted

_HANDSHAKE = 2.5
"""Seconds: somebody waits for the answer."""


class Expiry(Rule):
    """Looks at what hosts serve, at the TLS Secrets that are configured, and at cert-manager's Certificates."""

    name = "certificates"
    permission = "fleet:read"
    seconds = 5.0

    async def look(self, case: Case) -> RuleAnswer:
        """Return those that are over, refused, or end within the days that the configuration calls urgent."""
        settings = case.find(CertificateSettings)
        if settings is None:
            return not_configured()
        quick = settings.model_copy(update={"seconds": min(settings.seconds, _HANDSHAKE)})
        seen = await look([each.place for each in case.places], case.environment, quick, case.now)
        if not seen.found and not seen.unknown:
            return not_configured()
        near = [each for each in seen.found if each.wrong or each.level == "urgent"]
        return RuleAnswer(
            found=tuple(_finding(each) for each in near),
            unknown=tuple(why.rstrip(".") for why in seen.unknown),
            details=counted(len(seen.found), "certificate"),
        )


def _finding(found: FoundCertificate) -> Finding:
    broken = found.level == "expired" or bool(found.problem)
    sure = Confidence.CERTAIN if broken else Confidence.LIKELY if found.level == "critical" else Confidence.POSSIBLE
    return Finding(
        kind=Trouble.CERTIFICATE,
        cause=f"The certificate of {found.where} {found.told}",
        evidence=(f"Issued by {found.issuer}.",) if found.issuer else (),
        confidence=sure,
        since=found.ends if found.level == "expired" else None,
        region=found.region,
        to_do=(
            ToDo(text="Renew it, then check that the server uses the new one"),
            ToDo(text="See all certificates", command="certs", label="Certificates"),
        ),
        explains=(Trouble.TARGETS, Trouble.ERRORS, Trouble.WEBSOCKET_DROPS, Trouble.METRIC, Trouble.ALERT)
        if broken
        else (),
    )
