"""What a field's own name says of its value, whatever format the field is written in: JSON, YAML, XML, CSV, a table.

A name is looked up without its case and its joints, so `first_name`, `FirstName` and `first-name` are one field. What a name alone does
not tell (`value`, `text`, `start`) its surroundings do: `FieldContext` is what is known of the structure that the field stands in.
"""

import re
from collections.abc import Mapping
from enum import Enum, auto
from functools import lru_cache
from typing import Any

from runbooks.redaction.checks import is_placeholder
from runbooks.redaction.marks import MARK, PrivateKind, without_forged


class FieldContext(Enum):
    """What a field stands in."""

    NONE = auto()
    NAME = auto()
    PLACE = auto()
    CONTACT = auto()
    IDENTIFIER = auto()
    PERIOD = auto()
    CODED = auto()
    REFERENCE = auto()
    PICTURE = auto()
    UNSEEN = auto()
    """The beginning was not read: it could be any of these."""
    DATA = auto()
    """A Secret's `data`, or a ConfigMap's: which of them stands behind it, so a value's own form decides."""
    SEALED = auto()
    """A Secret's `stringData`, or its `data` where its kind was read before."""


_FIELDS: dict[PrivateKind, str] = {
    PrivateKind.NAME: """firstname lastname middlename fullname patientname givenname givennames familyname surname forename maidenname
        previousname preferredname nickname mothersmaidenname mothername fathername spousename guarantorname subscribername insuredname
        membername contactname emergencycontact emergencycontactname nextofkin fname lname patientfirst patientlast patientfirstname
        patientlastname nameofpatient physicianname providername attendingphysician referringphysician""",
    PrivateKind.BIRTH_DATE: "dob birthdate dateofbirth birthday birthtime patientdob patientbirthdate bornon",
    PrivateKind.SSN: "ssn socialsecuritynumber socialsecurity socialsecurityno ssnumber patientssn",
    PrivateKind.MRN: "mrn patientid patientmrn patientnumber patientno patientidentifier medicalrecordnumber medicalrecordno medicalrecord chartnumber chartno",
    PrivateKind.PHONE: """phone phonenumber telephone telephonenumber mobile mobilephone mobilenumber cell cellphone homephone workphone
        contactphone emergencyphone fax faxnumber tel phone1 phone2""",
    PrivateKind.EMAIL: "email emailaddress mailaddress contactemail patientemail",
    PrivateKind.ADDRESS: """address address1 address2 addressline addressline1 addressline2 homeaddress mailingaddress patientaddress street
        street1 street2 streetaddress streetaddressline streetname housenumber city town zip zipcode postalcode postcode""",
    PrivateKind.PLAN: """memberid membernumber subscriberid subscribernumber policynumber policyno insuranceid insurancenumber healthplanid
        medicareid medicaidid medicarenumber groupnumber""",
    PrivateKind.ACCOUNT: "accountnumber accountno patientaccount patientaccountnumber iban cardnumber creditcard",
    PrivateKind.LICENCE: "driverslicense driverslicence driverlicense licensenumber licencenumber passport passportnumber",
    PrivateKind.RECORD: "accessionnumber accession encounterid encounternumber visitid visitnumber claimid claimnumber specimenid",
    PrivateKind.DATE: """admissiondate admitdate dischargedate dateofservice servicedate deathdate dateofdeath deceaseddatetime effectivedatetime
        effectiveinstant issued authoredon recordeddate onsetdatetime abatementdatetime performeddatetime occurrencedatetime visitdate
        appointmentdate admissiontime dischargetime admittedat dischargedat asserteddate""",
    PrivateKind.IP: "clientip patientip userip",
    PrivateKind.PASSWORD: "passwordhash",
}  # fmt: skip
_KIND_OF = {name.encode(): kind for kind, names in _FIELDS.items() for name in names.split()}
_IN_A_PERSONS_TABLE = {
    b"name": PrivateKind.NAME, b"first": PrivateKind.NAME, b"last": PrivateKind.NAME, b"given": PrivateKind.NAME, b"family": PrivateKind.NAME, b"middle": PrivateKind.NAME,
    b"patient": PrivateKind.NAME, b"mother": PrivateKind.NAME, b"provider": PrivateKind.NAME, b"physician": PrivateKind.NAME, b"state": PrivateKind.ADDRESS,
    b"county": PrivateKind.ADDRESS, b"admitted": PrivateKind.DATE, b"discharged": PrivateKind.DATE, b"admission": PrivateKind.DATE, b"discharge": PrivateKind.DATE,
    b"died": PrivateKind.DATE, b"visit": PrivateKind.DATE, b"notes": PrivateKind.NARRATIVE, b"note": PrivateKind.NARRATIVE, b"comment": PrivateKind.NARRATIVE,
    b"comments": PrivateKind.NARRATIVE, b"diagnosis": PrivateKind.NARRATIVE, b"account": PrivateKind.ACCOUNT, b"patientaddress": PrivateKind.ADDRESS,
}  # fmt: skip
_A_NAME = {b"given", b"family"}
"""Together they are a person's; each alone is a word."""
_SECRET = re.compile(
    rb"(?:pass(?:word|wd|phrase|code)?|pwd|secret|token|api_?key|access_?key(?:_?id)?|(?:private|signing|encryption|account|shared|storage)_?key"
    rb"|credentials?|authorization|cookie|connection_?string|session_?(?:id|key))(?:_?(?:key|value|[0-9]{1,3}))?"
)
_JOINTS = re.compile(rb"[^a-z0-9\x80-\xff]++")
_HUMP = re.compile(rb"(?<=[a-z0-9])(?=[A-Z])")
_LONGEST = 80


@lru_cache(maxsize=8192)
def plain(key: bytes) -> bytes:
    """The field's name without its prefix, its case and its joints."""
    return _JOINTS.sub(b"", key[:_LONGEST].rsplit(b":", 1)[-1].lower())


@lru_cache(maxsize=8192)
def kind_of(key: bytes) -> PrivateKind | None:
    """By the field's own name alone."""
    if len(key) > _LONGEST:
        return None
    kind = _KIND_OF.get(plain(key))
    return secret_kind(key) if kind is None and is_secret(key) else kind


def secret_kind(name: bytes) -> PrivateKind:
    """As the line patterns call it."""
    words = name.lower()
    if b"pass" in words or b"pwd" in words:
        return PrivateKind.PASSWORD
    return PrivateKind.TOKEN if b"token" in words else PrivateKind.SECRET


@lru_cache(maxsize=8192)
def is_secret(key: bytes) -> bool:
    """`DB_PASSWORD`, `vendorToken`; neither `secretName` nor `max_tokens`."""
    words = _JOINTS.sub(b"_", _HUMP.sub(b"_", key[:_LONGEST]).lower()).strip(b"_").split(b"_")
    return any(_SECRET.fullmatch(b"_".join(words[-count:])) is not None for count in (1, 2, 3)) or words[-1].endswith(
        (b"password", b"passwd", b"secret", b"token", b"apikey")
    )


def cue_of(key: str, around: Mapping[Any, Any]) -> str:
    """What says what stands under the key: of `{"name": "DB_PASSWORD", "value": …}` it is the name."""
    if key in ("value", "Value"):
        for name in ("name", "key", "Name", "Key"):
            found = around.get(name)
            if isinstance(found, str) and is_secret(found[:_LONGEST].encode(errors="replace")):
                return found[:_LONGEST]
    return key


def columns(names: list[bytes]) -> list[PrivateKind | None]:
    """What a table's columns hold; where one of them tells who somebody is, an ambiguous one (`name`, `notes`) does so too."""
    kinds = [kind_of(name.strip(b" \t\"'")) for name in names]
    called = {plain(name.strip(b" \t\"'")) for name in names}
    if called >= _A_NAME or any(
        kind not in (None, PrivateKind.SECRET, PrivateKind.IP, PrivateKind.ADDRESS) for kind in kinds
    ):
        return [
            kind or _IN_A_PERSONS_TABLE.get(plain(name.strip(b" \t\"'")))
            for name, kind in zip(names, kinds, strict=True)
        ]
    return kinds


_CONTEXTS = {
    **dict.fromkeys((b"name", b"humanname"), FieldContext.NAME),
    **dict.fromkeys((b"address", b"addr", b"birthplace"), FieldContext.PLACE),
    **dict.fromkeys((b"telecom", b"contactpoint"), FieldContext.CONTACT),
    b"identifier": FieldContext.IDENTIFIER,
    b"photo": FieldContext.PICTURE,
    **dict.fromkeys((b"period", b"effectiveperiod", b"performedperiod", b"onsetperiod", b"billableperiod"), FieldContext.PERIOD),
    **dict.fromkeys(
        (
            b"code", b"coding", b"category", b"type", b"maritalstatus", b"clinicalstatus", b"verificationstatus", b"interpretation",
            b"bodysite", b"method", b"class", b"relationship", b"language", b"valuecodeableconcept", b"meta",
        ),
        FieldContext.CODED,
    ),
    **dict.fromkeys(
        (
            b"subject", b"patient", b"performer", b"author", b"participant", b"individual", b"practitioner", b"recorder", b"asserter",
            b"requester", b"generalpractitioner", b"managingorganization", b"beneficiary", b"subscriber", b"provider", b"actor",
        ),
        FieldContext.REFERENCE,
    ),
    b"data": FieldContext.DATA,
    b"stringdata": FieldContext.SEALED,
}  # fmt: skip
_STAYS_IN = (
    FieldContext.NAME,
    FieldContext.PLACE,
    FieldContext.CONTACT,
    FieldContext.IDENTIFIER,
    FieldContext.PICTURE,
    FieldContext.DATA,
    FieldContext.SEALED,
)


def context_of(key: bytes, outer: FieldContext, *, of_secret: bool = False) -> FieldContext:
    """Of what stands under this key; `of_secret`: in what says that it is a Kubernetes Secret."""
    found = _CONTEXTS.get(plain(key))
    if found is FieldContext.DATA and of_secret:
        return FieldContext.SEALED
    if found is None:
        return outer if outer in _STAYS_IN or outer is FieldContext.CODED else FieldContext.NONE
    return found


_NAME_PARTS = frozenset((b"given", b"family", b"text", b"prefix", b"suffix", b"middle", b"first", b"last"))
_PLACE_PARTS = frozenset((b"line", b"text", b"district", b"state", b"county", b"city", b"country"))
_UNDER = {
    FieldContext.NAME: (_NAME_PARTS, PrivateKind.NAME),
    FieldContext.PLACE: (_PLACE_PARTS, PrivateKind.ADDRESS),
    FieldContext.CONTACT: (frozenset((b"value",)), PrivateKind.PHONE),
    FieldContext.IDENTIFIER: (frozenset((b"value",)), PrivateKind.MRN),
    FieldContext.PERIOD: (frozenset((b"start", b"end")), PrivateKind.DATE),
    FieldContext.REFERENCE: (frozenset((b"display",)), PrivateKind.NAME),
    FieldContext.PICTURE: (frozenset((b"data", b"url")), PrivateKind.PICTURE),
}
_BASE64 = re.compile(
    rb"(?:[A-Za-z0-9+/]{4}){2,}+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?|(?:[A-Za-z0-9+/]{4})?(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)"
)
_PATIENT = re.compile(rb"(?:[A-Za-z]++/(?<!Patient/))*+Patient/\S++")
_CODE = re.compile(rb"[a-z][a-z-]{0,40}|[A-Z]{1,4}|-?\d{1,6}(?:\.\d{1,12})?|(?:https?|urn):\S*+|true|false")
_DATED = re.compile(rb"\d{4}-\d\d(?:-\d\d(?:T[\d:.+Z-]*+)?)?|\d{8}(?:\d{2,6}(?:[+-]\d{4})?)?")
_UUID = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NARRATIVE = frozenset(
    (
        b"div",
        b"note",
        b"comment",
        b"conclusion",
        b"valuestring",
        b"patientinstruction",
        b"description",
        b"authorstring",
        b"title",
    )
)
_CODED_KEYS = frozenset(
    (
        b"resourcetype",
        b"system",
        b"code",
        b"use",
        b"status",
        b"unit",
        b"version",
        b"url",
        b"contenttype",
        b"display",
        b"lastupdated",
        b"versionid",
    )
)
_LEAST_DIGITS = 5


def says_secret(key: bytes, value: bytes) -> bool:
    """`kind: Secret`."""
    return key == b"kind" and value == b"Secret"


AMBIGUOUS = frozenset((b"value", b"reference", b"id", b"url", *_NARRATIVE)).union(
    *(names for names, _ in _UNDER.values())
)
"""Names of fields that alone say nothing: what they stand in does."""


_EMPTY_MEMBERS = re.compile(rb"(?:null|true|false)(?:,[ ]?\"[\w.-]{1,60}\":[ ]?(?:null|true|false|\"\"))*+,?")
"""`null, "password": ""`: what follows a key of JSON that stands in YAML, where nothing is in any of them."""


def judge(key: bytes, context: FieldContext, value: bytes, *, clinical: bool = False) -> PrivateKind | None:
    """What the value under this key in this context tells, or None where it may be seen.

    In a clinical document (`clinical`) only what is a code, a measured number or an address of a definition stays.
    """
    value = without_forged(value)
    if is_placeholder(value) or MARK.fullmatch(value) is not None or _EMPTY_MEMBERS.fullmatch(value) is not None:
        return None
    name = plain(key)
    under = _UNDER.get(context)
    if under is not None and name in under[0]:
        if context is FieldContext.CONTACT and b"@" in value:
            return PrivateKind.EMAIL
        return (
            None if _CODE.fullmatch(value) and context is FieldContext.IDENTIFIER and value[:1].isalpha() else under[1]
        )
    if context is FieldContext.UNSEEN and name in AMBIGUOUS and not _CODE.fullmatch(value):
        return PrivateKind.NARRATIVE
    if context is FieldContext.SEALED:
        return PrivateKind.SECRET
    if context is FieldContext.DATA:
        return PrivateKind.SECRET if _BASE64.fullmatch(value) or is_secret(key) else None
    if name == b"reference" and _PATIENT.fullmatch(value):
        return PrivateKind.MRN
    if name in (b"given", b"family"):
        return PrivateKind.NAME if _is_capitalised(value) or clinical else None
    kind = kind_of(key)
    if kind is not None:
        return kind if _plausible(kind, name, value) else None
    return _clinical(name, context, value) if clinical else None


def _clinical(name: bytes, context: FieldContext, value: bytes) -> PrivateKind | None:
    if _UUID.fullmatch(value) or (name in _CODED_KEYS and context is not FieldContext.REFERENCE):
        return None
    if name == b"id":
        return PrivateKind.RECORD if any(48 <= sign <= 57 for sign in value) else None  # noqa: PLR2004 - ASCII digits
    if _DATED.fullmatch(value):
        return None if name in (b"value", b"code") else PrivateKind.DATE
    if name in _NARRATIVE:
        return PrivateKind.NARRATIVE
    if context is FieldContext.CODED or _CODE.fullmatch(value):
        return None
    return PrivateKind.NARRATIVE


def _is_capitalised(value: bytes) -> bool:
    return (value[:1].isupper() or value[:1] >= b"\x80") and not value.startswith(b"IPv")


def _plausible(kind: PrivateKind, name: bytes, value: bytes) -> bool:
    """`"address": "10.0.0.7"` and `"phone": true` tell nobody."""
    match kind:
        case PrivateKind.ADDRESS if name == b"address":
            return b" " in value and any(value[at : at + 1].isalpha() for at in range(min(len(value), 200)))
        case PrivateKind.PHONE:
            return sum(48 <= sign <= 57 for sign in value) >= _LEAST_DIGITS  # noqa: PLR2004 - ASCII digits
        case PrivateKind.EMAIL:
            return b"@" in value
        case PrivateKind.DATE | PrivateKind.BIRTH_DATE:
            return any(48 <= sign <= 57 for sign in value)  # noqa: PLR2004 - ASCII digits
        case _:
            return True
