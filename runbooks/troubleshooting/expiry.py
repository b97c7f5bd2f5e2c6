"""Certificates that have expired, that clients refuse, or that end within days."""

from runbooks.certificates.looking import FoundCertificate, in_days, look, renewed
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
        quick = settings.model_copy(update={"seconds": min(settings.seconds, _HANDSHAKE * case.patience)})
        seen = await look([each.place for each in case.places], case.environment, quick, case.now)
        if not seen.found and not seen.unknown:
            return not_configured()
        near = [each for each in seen.found if each.wrong or each.level == "urgent"]
        return RuleAnswer(
            found=tuple(_finding(each, renewed(each, seen.found)) for each in near),
            unknown=tuple(why.rstrip(".") for why in seen.unknown),
            details=counted(len(seen.found), "certificate"),
        )


def _finding(found: FoundCertificate, newer: FoundCertificate | None) -> Finding:
    broken = found.level == "expired" or bool(found.problem)
    evidence = (f"Issued by {found.issuer}.",) if found.issuer else ()
    orders: tuple[ToDo, ...] = (ToDo(text="Renew it, then check that the server uses the new one"),)
    if newer is not None and newer.days is not None:
        has = f"the server of {found.where} still has the old one"
        evidence = (f"It was renewed in {newer.named} ({in_days(newer.days)} left); {has}.", *evidence)
        orders = (
            ToDo(
                text=f"Do not renew it again: install the certificate of {newer.named} on the server of {found.where}"
            ),
            ToDo(text="Reload the server, or import it into the load balancer and point its listener to it"),
        )
    return Finding(
        kind=Trouble.CERTIFICATE,
        cause=f"The certificate of {found.where} {found.told}",
        evidence=evidence,
        confidence=Confidence.CERTAIN,
        ahead=not found.wrong,
        since=found.ends if found.level == "expired" else None,
        region=found.region,
        to_do=(*orders, ToDo(text="See all certificates", command="certs", label="Certificates")),
        explains=(Trouble.TARGETS, Trouble.ERRORS, Trouble.WEBSOCKET_DROPS, Trouble.METRIC, Trouble.ALERT)
        if broken
        else (),
    )
