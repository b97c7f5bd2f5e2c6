"""The marks that stand in the place of what was private: `[name 1]`."""

import re
from enum import StrEnum


class PrivateKind(StrEnum):
    """What a mark says was there; the value is how it is written in the mark."""

    SECRET = "secret"  # noqa: S105 - a name for what is hidden
    PASSWORD = "password"  # noqa: S105
    TOKEN = "token"  # noqa: S105
    JWT = "jwt"
    BEARER = "bearer token"
    BASIC = "basic credential"
    AWS = "aws key"
    GITHUB = "github token"
    SLACK = "slack token"
    PRIVATE_KEY = "private key"
    SSN = "ssn"
    MRN = "mrn"
    PHONE = "phone"
    EMAIL = "e-mail"
    NAME = "name"
    BIRTH_DATE = "birth date"
    DATE = "date"
    AGE = "age"
    ADDRESS = "address"
    RECORD = "record number"
    PLAN = "health plan id"
    ACCOUNT = "account number"
    LICENCE = "licence number"
    VEHICLE = "vehicle id"
    DEVICE = "device id"
    URL = "url"
    IP = "ip address"
    PICTURE = "picture"
    BIOMETRIC = "biometric"
    NARRATIVE = "narrative"
    WITHHELD = "withheld line"
    """No mark says it: a sentence stands in the place of such lines, and they are counted."""

    __hash__ = str.__hash__  # an Enum's own is a Python function, and a kind is looked up at each hit


_KINDS = b"|".join(re.escape(kind.value.encode()) for kind in PrivateKind if kind is not PrivateKind.WITHHELD)
MARK = re.compile(rb"\[(?:" + _KINDS + rb") \d{1,6}\]")
DONE = re.compile(rb"\[(?:" + _KINDS + rb")(?: \d{1,6})?\]")
"""A mark, with its number or, in the shape of many lines, without."""

_GOES_ON = rb"(?:[A-Za-z0-9]|[\xc3-\xdf][\x80-\xbf])"
MARKS = rb"(?:" + MARK.pattern + rb")+"
FORGED = MARKS + _GOES_ON
"""Marks and the letter or digit that follows without anything between: neither follows the mark of a whole value."""
_BEFORE = re.compile(MARKS + rb"[ ,;:._-]{0,4}(?=" + _GOES_ON + rb")")


def without_forged(value: bytes) -> bytes:
    """Return a field's value without marks that somebody typed before it, so that it does not pass for one that was redacted."""
    return _BEFORE.sub(b"", value) if b"[" in value else value
