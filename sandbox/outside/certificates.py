"""Hosts that serve TLS, and the certificates of an authority of the sandbox's own, made when it starts and gone when it ends."""

from __future__ import annotations

import asyncio
import base64
import ssl
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sandbox.cluster import Cluster
from sandbox.cluster.resources import SECRET, Json

TLS_SECRET = "omnicare-tls"  # noqa: S105 - a name
HOSTS = {"api.omnicare-health.com": 62, "omnicare-health.com": 75}
"""Each with the days that its certificate is still good for."""


class Authority:
    """Makes certificates that are trusted by whoever has its own."""

    def __init__(self, name: str = "OmniCare Sandbox CA") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        plain = self._builder(self._name, self._key.public_key(), timedelta(days=-400), timedelta(days=3000))
        constraint = x509.BasicConstraints(ca=True, path_length=None)
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        own = plain.add_extension(constraint, critical=True).add_extension(usage, critical=True)
        self._certificate = own.sign(self._key, hashes.SHA256())

    @property
    def pem(self) -> bytes:
        """Its own certificate."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, names: Sequence[str], *, days: float, begun: float = 30) -> tuple[bytes, bytes]:
        """Return a certificate and its key, both PEM: for these names, from so many days ago until so many days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
        # half a day more, so that the whole days that are left are as asked for
        plain = self._builder(subject, key.public_key(), timedelta(days=-begun), timedelta(days=days, hours=12))
        alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        made = plain.add_extension(alternative, critical=False).add_extension(issuer, critical=False)
        pem = made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        plain_key = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return pem, plain_key

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, begins: timedelta, ends: timedelta
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(subject_name=subject, issuer_name=self._name, public_key=key)
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now + begins)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        return builder.not_valid_after(now + ends)


class TlsHosts:
    """One server for all hosts, each with a certificate of its own by the name that is asked for."""

    def __init__(self) -> None:
        self.authority = Authority()
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._days: dict[str, int] = {}
        self.port = 0

    def show(self, host: str, certificate: bytes, key: bytes) -> None:
        """From now on the host shows that certificate."""
        with tempfile.TemporaryDirectory() as folder:  # the ssl module reads files only
            both = Path(folder) / "both.pem"
            both.write_bytes(certificate + key)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(both)
        self._contexts[host] = context

    def days(self, host: str) -> int:
        """Return how many days the host's certificate was made good for."""
        return self._days[host]

    def issue(self, host: str, days: int) -> None:
        """The host gets a new certificate, good for so many days."""
        self._days[host] = days
        self.show(host, *self.authority.issue([host], days=days))

    def renew(self) -> None:
        """Every host gets the certificate that it has at first."""
        for host, days in HOSTS.items():
            self.issue(host, days)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[int]:
        """Serve on 127.0.0.1 until the block ends; gives the port."""
        if not self._contexts:
            self.renew()
        front = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

        def choose(handshake: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
            found = self._contexts.get(name or "")
            if found is None:
                return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            handshake.context = found
            return None

        front.sni_callback = choose
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=front)
        async with server:
            self.port = server.sockets[0].getsockname()[1]
            yield self.port


def seed_secret(cluster: Cluster, hosts: TlsHosts, namespace: str, days: int = 62) -> None:
    """The ingress's Secret, made or written anew: the certificate that its hosts show."""
    certificate, key = hosts.authority.issue(list(HOSTS), days=days)
    data = {"tls.crt": base64.b64encode(certificate).decode(), "tls.key": base64.b64encode(key).decode()}
    if (found := cluster.store.get(SECRET, namespace, TLS_SECRET)) is not None:
        cluster.store.remove(SECRET, found)
    manifest: Json = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": TLS_SECRET, "namespace": namespace},
        "data": data,
    }
    cluster.create(manifest)
