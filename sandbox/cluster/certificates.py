"""A certificate for 127.0.0.1, made anew for each sandbox, since kubectl sends a token over TLS only.

The standard library speaks TLS but makes no certificates, so the few lines of elliptic curve (P-256, ECDSA with
SHA-256) and of DER that one self-signed certificate needs stand here. It guards nothing: it lives as long as the
sandbox, on the loopback address.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
_Point = tuple[int, int] | None
_SHORT_FORM = 0x80

_SEQUENCE, _SET, _INTEGER, _BITS, _OCTETS, _UTF8, _TIME, _BOOLEAN = 0x30, 0x31, 2, 3, 4, 12, 0x17, 1
_EC_PUBLIC_KEY = bytes.fromhex("06072a8648ce3d0201")
_P256 = bytes.fromhex("06082a8648ce3d030107")
_ECDSA_SHA256 = bytes.fromhex("06082a8648ce3d040302")
_COMMON_NAME = bytes.fromhex("0603550403")
_ALTERNATIVE_NAMES = bytes.fromhex("0603551d11")
_BASIC_CONSTRAINTS = bytes.fromhex("0603551d13")


@dataclass(frozen=True)
class Certificate:
    """Certificate and private key, both PEM."""

    certificate: str
    key: str


def self_signed(name: str = "sandbox") -> Certificate:
    secret = secrets.randbelow(_N - 1) + 1
    point = _times(secret, _G)
    assert point is not None
    public = b"\x04" + point[0].to_bytes(32, "big") + point[1].to_bytes(32, "big")
    body = _body(name, public)
    signed = _der(_SEQUENCE, body, _der(_SEQUENCE, _ECDSA_SHA256), _der(_BITS, b"\0", _signature(secret, body)))
    key = _der(
        _SEQUENCE,
        _integer(1),
        _der(_OCTETS, secret.to_bytes(32, "big")),
        _der(0xA0, _P256),
        _der(0xA1, _der(_BITS, b"\0", public)),
    )
    return Certificate(_pem("CERTIFICATE", signed), _pem("EC PRIVATE KEY", key))


def _body(name: str, public: bytes) -> bytes:
    now = datetime.now(UTC)
    who = _der(_SEQUENCE, _der(_SET, _der(_SEQUENCE, _COMMON_NAME, _der(_UTF8, name.encode()))))
    # Tags 2 and 7 of a general name: a DNS name, an IP address.
    names = _der(_SEQUENCE, _der(0x82, b"localhost"), _der(0x87, bytes((127, 0, 0, 1))))
    constraints = _der(_SEQUENCE, _der(_BOOLEAN, b"\xff"))
    extensions = _der(
        _SEQUENCE,
        _der(_SEQUENCE, _BASIC_CONSTRAINTS, _der(_BOOLEAN, b"\xff"), _der(_OCTETS, constraints)),
        _der(_SEQUENCE, _ALTERNATIVE_NAMES, _der(_OCTETS, names)),
    )
    return _der(
        _SEQUENCE,
        _der(0xA0, _integer(2)),
        _integer(secrets.randbits(64)),
        _der(_SEQUENCE, _ECDSA_SHA256),
        who,
        _der(_SEQUENCE, _time(now - timedelta(days=1)), _time(now + timedelta(days=365))),
        who,
        _der(_SEQUENCE, _der(_SEQUENCE, _EC_PUBLIC_KEY, _P256), _der(_BITS, b"\0", public)),
        _der(0xA3, extensions),
    )


def _signature(secret: int, message: bytes) -> bytes:
    digest = int.from_bytes(hashlib.sha256(message).digest(), "big")
    while True:
        nonce = secrets.randbelow(_N - 1) + 1
        point = _times(nonce, _G)
        assert point is not None
        r = point[0] % _N
        s = pow(nonce, -1, _N) * (digest + r * secret) % _N
        if r and s:
            return _der(_SEQUENCE, _integer(r), _integer(s))


def _plus(left: _Point, right: _Point) -> _Point:
    if left is None or right is None:
        return right if left is None else left
    if left[0] == right[0] and (left[1] + right[1]) % _P == 0:
        return None
    if left == right:
        slope = (3 * left[0] * left[0] - 3) * pow(2 * left[1], -1, _P) % _P
    else:
        slope = (right[1] - left[1]) * pow(right[0] - left[0], -1, _P) % _P
    x = (slope * slope - left[0] - right[0]) % _P
    return x, (slope * (left[0] - x) - left[1]) % _P


def _times(number: int, point: _Point) -> _Point:
    total: _Point = None
    while number:
        if number & 1:
            total = _plus(total, point)
        point = _plus(point, point)
        number >>= 1
    return total


def _der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    if size < _SHORT_FORM:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, _SHORT_FORM | len(length))) + length + content


def _integer(number: int) -> bytes:
    return _der(_INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def _time(moment: datetime) -> bytes:
    return _der(_TIME, moment.strftime("%y%m%d%H%M%SZ").encode())


def _pem(label: str, content: bytes) -> str:
    text = base64.encodebytes(content).decode()
    return f"-----BEGIN {label}-----\n{text}-----END {label}-----\n"
