"""cert-manager's Certificates: the view and how it is read from Kubernetes' JSON."""

from dataclasses import dataclass

from runbooks.clients.kubernetes.fields import Json, fields, listed, stamp, text, texts


@dataclass(frozen=True, slots=True)
class ManagedCertificateView:
    """A Certificate of cert-manager."""

    name: str
    secret: str
    """The Secret that it is written into."""
    names: tuple[str, ...]
    issuer: str
    ends: str
    """When the present one expires; empty where none was issued."""
    renews: str
    """When it is to be renewed."""
    trouble: str
    """Why it is not ready, in cert-manager's words; empty where it is."""


def managed_certificate(item: Json) -> ManagedCertificateView:
    """Return the Certificate from Kubernetes' JSON."""
    spec, status = fields(item, "spec"), fields(item, "status")
    ready = next((each for each in listed(status, "conditions") if text(each, "type") == "Ready"), {})
    well = text(ready, "status") == "True"
    return ManagedCertificateView(
        name=text(fields(item, "metadata"), "name"),
        secret=text(spec, "secretName"),
        names=texts(spec, "dnsNames"),
        issuer=text(fields(spec, "issuerRef"), "name"),
        ends=stamp(status, "notAfter"),
        renews=stamp(status, "renewalTime"),
        trouble="" if well else text(ready, "message") or text(ready, "reason") or "it was never issued",
    )
