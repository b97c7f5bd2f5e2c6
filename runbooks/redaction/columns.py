"""What a database column's name says of its values: the words that schemas use for people, and what a value alone tells.

Used by `runbooks.redaction.sql`. A name is looked up without its case and its joints: `first_name`, `FirstName` and `p."first-name"` are
one column.
"""

import re
from functools import lru_cache

from runbooks.redaction.rules import Kind

_WORDS: dict[Kind, str] = {
    Kind.NAME: """firstname lastname middlename fullname patientname givenname givennames familyname surname forename maidenname previousname
        preferredname nickname mothersmaidenname mothername fathername spousename guarantorname subscribername insuredname contactname
        emergencycontact fname lname given family patientfirst patientlast patientfirstname patientlastname providername physicianname""",
    Kind.BIRTH_DATE: "dob birthdate dateofbirth birthday patientdob patientbirthdate bornon",
    Kind.SSN: "ssn socialsecuritynumber socialsecurity socialsecurityno patientssn",
    Kind.MRN: "mrn patientid patientmrn patientnumber patientno patientidentifier medicalrecordnumber medicalrecordno medicalrecord chartnumber chartno",
    Kind.PHONE: "phone phonenumber telephone telephonenumber mobile mobilephone mobilenumber cell cellphone homephone workphone fax faxnumber tel",
    Kind.EMAIL: "email emailaddress contactemail patientemail",
    Kind.ADDRESS: """addressline addressline1 addressline2 address1 address2 homeaddress mailingaddress patientaddress street street1 street2
        streetaddress streetname housenumber city town zip zipcode postalcode postcode""",
    Kind.PLAN: "memberid membernumber subscriberid subscribernumber policynumber policyno insuranceid insurancenumber healthplanid medicareid medicaidid",
    Kind.ACCOUNT: "accountnumber accountno patientaccount iban cardnumber creditcard",
    Kind.LICENCE: "driverslicense driverslicence driverlicense licensenumber licencenumber passport passportnumber",
    Kind.RECORD: "accessionnumber encounterid encounternumber visitid visitnumber claimid claimnumber specimenid",
    Kind.DATE: "admissiondate admitdate dischargedate dateofservice deathdate dateofdeath visitdate appointmentdate admittedat dischargedat",
    Kind.PASSWORD: "password passwd passwordhash passphrase pwd",
    Kind.TOKEN: "token accesstoken refreshtoken sessiontoken apitoken",
    Kind.SECRET: "secret clientsecret apikey secretkey",
}  # fmt: skip
_KIND_OF = {word.encode(): kind for kind, words in _WORDS.items() for word in words.split()}
_BESIDE_A_PERSON = {
    b"name": Kind.NAME,
    b"first": Kind.NAME,
    b"last": Kind.NAME,
    b"address": Kind.ADDRESS,
    b"state": Kind.ADDRESS,
    b"county": Kind.ADDRESS,
}
"""What these hold is told by the columns beside them."""
_TELL = frozenset({Kind.NAME, Kind.BIRTH_DATE, Kind.SSN, Kind.MRN})
_JOINTS = re.compile(rb"[^a-z0-9]++")
_IDENTIFIER = re.compile(rb"[A-Za-z_][\w-]*+")
_PERSONS = re.compile(
    rb"(?i:patient|person|people|guarantor|subscriber|next_?of_?kin|demographic|contacts?\b|practitioner)"
)
_LONGEST = 80


@lru_cache(maxsize=4096)
def kind_of(column: bytes) -> Kind | None:
    """By its own name; of an expression (`lower(last_name::text)`) by the first name in it that tells."""
    for word in _IDENTIFIER.findall(column[-_LONGEST:]):
        if (kind := _KIND_OF.get(_JOINTS.sub(b"", word.lower()))) is not None:
            return kind
    return None


def columns(names: list[bytes]) -> list[Kind | None]:
    """What each holds; where one tells who somebody is, `name` and `address` beside it do so too."""
    kinds = [kind_of(name) for name in names]
    if _TELL.isdisjoint(kinds):
        return kinds
    return [
        kind or _BESIDE_A_PERSON.get(_JOINTS.sub(b"", name.lower())) for name, kind in zip(names, kinds, strict=True)
    ]


def of_people(table: bytes) -> bool:
    """The table's name says that its rows are people."""
    return _PERSONS.search(table) is not None


_NONE = re.compile(
    rb"(?i:|null|none|nil|undefined|true|false|t|f|default|\d{1,3}|\?|\$\d{1,3}|%\(?\w{0,40}\)?s|[:@]\w{1,40}|[a-z_]{2,40}\([^)]{0,40}\)|current_\w{1,20}"
    rb"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\[[a-z -]{3,24} \d{1,6}\])"
)


def says_nothing(value: bytes) -> bool:
    """Nothing, a placeholder, a small number, a function, a UUID, a mark."""
    return _NONE.fullmatch(value) is not None


_DATE = re.compile(rb"\d{4}-\d\d?-\d\d?.{0,24}|\d\d?/\d\d?/\d{2,4}")


def kind_by_value(value: bytes) -> Kind:
    """Of a value whose column is not known."""
    if b"@" in value:
        return Kind.EMAIL
    if _DATE.fullmatch(value):
        return Kind.DATE
    return Kind.RECORD if any(byte in b"0123456789" for byte in value) else Kind.NAME
