"""The table `[environments.NAME.certificates]`: which hosts are asked, which Secrets are read, and how many days ahead is soon."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from runbooks.kit.targets import Frozen

HostName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9]([-a-zA-Z0-9.]{0,251}[a-zA-Z0-9])?$")]
SecretName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]


class TlsHost(Frozen):
    """A host that serves TLS."""

    host: HostName
    """The name that clients ask for (SNI), and that the certificate must be for."""
    port: Annotated[int, Field(ge=1, le=65535)] = 443
    """The port that serves TLS."""
    connect: HostName | None = None
    """The address that is connected to instead, such as the load balancer behind a CDN."""

    @property
    def shown(self) -> str:
        """`omnicare-health.com`, `omnicare-health.com:8443`."""
        return self.host if self.port == 443 else f"{self.host}:{self.port}"  # noqa: PLR2004 - HTTPS

    @property
    def by_hand(self) -> str:
        """The line that shows who the certificate is for and until when, quoted for a shell; the patterns leave no other signs.

        `</dev` would be read as the end of an XML element, whose text is withheld.
        """
        asked = f"openssl s_client -connect {self.connect or self.host}:{self.port} -servername {self.host}"
        return f"{asked} < /dev/null 2>/dev/null | openssl x509 -noout -subject -issuer -enddate"


class CertificateSettings(Frozen):
    """Which certificates are checked, besides those of https health URLs and of cert-manager, which always are."""

    hosts: tuple[TlsHost, ...] = Field(default=(), max_length=50)
    """Hosts whose certificates are taken by a TLS handshake, besides those of the services' health URLs."""
    secrets: tuple[SecretName, ...] = Field(default=(), max_length=50)
    """TLS Secrets of the environment's namespace. Only `tls.crt` is read; the bot's account needs `get` on each of them."""
    authorities: Path | None = None
    """A PEM file of your own certificate authorities, trusted besides the system's."""
    days: tuple[Annotated[int, Field(ge=1, le=365)], ...] = (30, 14, 7)
    """Days before expiry from which a certificate counts as soon, urgent and critical."""
    seconds: Annotated[float, Field(gt=0, le=30)] = 4.0
    """Time limit for one handshake."""

    @model_validator(mode="after")
    def _three_falling(self) -> Self:
        if len(self.days) != 3 or list(self.days) != sorted(set(self.days), reverse=True):  # noqa: PLR2004 - as documented
            raise ValueError("days: give three numbers, the largest first, such as [30, 14, 7]")
        return self
