"""Public certificates: read from PEM or DER, and taken from a server by a TLS handshake. No private key is ever parsed here.

A handshake is made with verification first, so its answer says whether a client would trust the server. Where it is refused, a second
one takes the certificate as it is, to say why.
"""

import asyncio
import base64
import contextlib
import os
import re
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from runbooks.kit.errors import TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Frozen
from runbooks.wording import listed

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
_BASE64 = re.compile(rb"[A-Za-z0-9+/=\s]{1,60000}")
_NAMES = 50
_LONGEST = 100
_SELF_SIGNED, _EXPIRED, _NOT_YET, _UNKNOWN_ISSUER, _INCOMPLETE, _OTHER_NAME = (18, 19), 10, 9, 20, 21, 62
"""OpenSSL's numbers of what is wrong with a certificate."""


class CertificateView(Frozen):
    """What a certificate says of itself."""

    subject: str
    """Its common name; empty where it has none."""
    issuer: str
    names: tuple[str, ...]
    """The host names and addresses that it is for."""
    begins: datetime
    ends: datetime
    self_signed: bool


class NotACertificate(ValueError):
    """What should be a certificate can't be read as one."""


class ServedCertificate(Frozen):
    """What a server shows in a TLS handshake."""

    certificate: CertificateView
    refused: str = ""
    """Why a client refuses it, as the end of a sentence about it; empty where it is trusted for the host."""


class CertificateChain(Frozen):
    """The certificates of a PEM text, in their order: the server's own first."""

    blocks: tuple[CertificateView | None, ...]
    """None: one that can't be read."""

    @property
    def own(self) -> CertificateView | None:
        """The server's own."""
        return self.blocks[0]

    @property
    def first_to_end(self) -> CertificateView:
        """The one with which the chain ends, of those that can be read."""
        return min((each for each in self.blocks if each is not None), key=lambda each: each.ends)

    @property
    def unread(self) -> tuple[int, ...]:
        """The places of those that can't be read, from 1."""
        return tuple(place for place, each in enumerate(self.blocks, 1) if each is None)


def read_pem(content: bytes) -> CertificateChain:
    """Return the certificates of a PEM text. Raises NotACertificate where none can be read, which tells nothing of the content."""
    blocks = tuple(map(_block, content.split(_BEGIN)[1:]))
    if not any(blocks):
        raise NotACertificate("it holds no certificate that can be read")
    return CertificateChain(blocks=blocks)


def _block(part: bytes) -> CertificateView | None:
    """Return the certificate of what follows the begin of a block; None where it can't be read."""
    body, end, _ = part.partition(_END)
    if not end or not _BASE64.fullmatch(body):
        return None
    try:
        return read_der(base64.b64decode(body))
    except ValueError:
        return None


def read_der(content: bytes) -> CertificateView:
    """Return the certificate. Raises NotACertificate."""
    from cryptography import x509  # importing it takes a tenth of a second, and few commands need it

    try:
        return _view(x509.load_der_x509_certificate(content))
    except Exception:  # noqa: BLE001 - it is the server's, and each part is parsed only as it is read; the cause may quote it
        raise NotACertificate("it can't be read") from None


def _view(found: "Certificate") -> CertificateView:
    from cryptography import x509

    names: list[str] = []
    with contextlib.suppress(x509.ExtensionNotFound, ValueError):
        alternative = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names += alternative.get_values_for_type(x509.DNSName)
        names += [str(each) for each in alternative.get_values_for_type(x509.IPAddress)]
    return CertificateView(
        subject=_common_name(found.subject),
        issuer=_common_name(found.issuer),
        names=tuple(each[:_LONGEST] for each in names[:_NAMES]),
        begins=found.not_valid_before_utc,
        ends=found.not_valid_after_utc,
        self_signed=found.subject == found.issuer,
    )


def _common_name(name: object) -> str:
    from cryptography import x509

    assert isinstance(name, x509.Name), "a subject or an issuer"
    for oid in (x509.NameOID.COMMON_NAME, x509.NameOID.ORGANIZATION_NAME):
        if found := name.get_attributes_for_oid(oid):
            return str(found[0].value)[:_LONGEST]
    return ""


async def served(
    host: str, port: int, *, connect: str | None, authorities: Path | None, deadline: float
) -> ServedCertificate:
    """Return what the server shows for that host name; `connect`: the address that is asked, where it is not the host's own.

    Raises TemporaryError where there is no TLS at all, within `deadline` seconds.
    """
    try:
        async with asyncio.timeout(deadline):
            context = await asyncio.to_thread(_verifying, authorities)
            try:
                return ServedCertificate(certificate=await _leaf(context, connect or host, port, host))
            except ssl.SSLCertVerificationError as error:
                found = await _leaf(_blind(), connect or host, port, host)
                return ServedCertificate(
                    certificate=found, refused=_why(error.verify_code, error.verify_message, found)
                )
    except NotACertificate as error:
        raise _unanswered("shows a certificate that can't be read") from error
    except TimeoutError as error:
        raise _unanswered(f"did not finish a TLS handshake within {deadline:g} s") from error
    except ssl.SSLError as error:
        raise _unanswered(
            f"refused the TLS handshake ({(error.reason or 'unknown').lower().replace('_', ' ')})"
        ) from error
    except OSError as error:
        raise _unanswered(f"can't be reached ({_reason(error)})") from error


def _verifying(authorities: Path | None) -> ssl.SSLContext:
    """Return one that trusts the system's authorities and these. Loading them takes so long that it needs a thread."""
    context = ssl.create_default_context(cafile=str(authorities) if authorities else None)
    if authorities is not None:
        context.load_default_certs()
    return context


def _blind() -> ssl.SSLContext:
    """Return one that takes any certificate, and so needs no authorities."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def _leaf(context: ssl.SSLContext, address: str, port: int, host: str) -> CertificateView:
    _, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=host)
    try:
        found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        if not isinstance(found, bytes):
            raise NotACertificate("there is none")
        return read_der(found)
    finally:
        writer.transport.abort()  # closing would wait for the server to close too, which it may never do


def _why(code: int, message: str, found: CertificateView) -> str:
    if code == _EXPIRED:
        return "has expired"
    if code == _NOT_YET:
        return "is not valid yet"
    if code in _SELF_SIGNED:
        return (
            "is self-signed, so clients refuse it"
            if found.self_signed
            else "ends in an authority that clients don't know"
        )
    if code in (_UNKNOWN_ISSUER, _INCOMPLETE):
        return "is without its chain or from an unknown authority: the server does not send the issuer's certificate"
    if code == _OTHER_NAME:
        return f"is for other names ({listed(found.names, most=3)})"
    return f"is refused by clients ({message[:_LONGEST]})"


def _reason(error: OSError) -> str:
    """Return why there is no connection, without the address, which may be an internal one."""
    if isinstance(error, socket.gaierror):
        return "its name does not resolve"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ConnectionError):
        return "it closed the connection during the TLS handshake"
    return os.strerror(error.errno).lower() if error.errno else "no connection"


def _unanswered(what: str) -> TemporaryError:
    return TemporaryError(what, code=ReasonCode.TIMED_OUT)


def days_left(ends: datetime, now: datetime) -> int:
    """Return the whole days until then; below zero once it is over."""
    return (ends - now.astimezone(UTC)).days
