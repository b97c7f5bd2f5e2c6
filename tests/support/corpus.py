"""A labelled corpus for redaction: seven kinds of text, made with a seed, each with what must go and what must stay.

Everybody in it is invented. What must stay are look-alikes that an engineer needs: pods, digests, request ids, times of log lines,
versions, addresses of the cluster.
"""

import base64
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta

from runbooks.redaction.redactor import PrivateKind

SOURCES = ("application log", "FHIR JSON", "HL7 v2", "clinical note", "SQL", "stack trace", "Kubernetes")

_FAMILY = [
    "Lopez",
    "Adeyemi",
    "Kowalski",
    "O'Brien",
    "Nguyen",
    "Haddad",
    "Lindqvist",
    "Okafor",
    "Petrov",
    "Yamada",
    "García",
    "Müller",
    "Fernández",
    "Rossi",
    "Andersson",
]
_GIVEN = [
    "Maria",
    "José",
    "Amina",
    "Piotr",
    "Siobhán",
    "Linh",
    "Omar",
    "Astrid",
    "Chinedu",
    "Irina",
    "Kenji",
    "Lucía",
    "Jürgen",
    "Ana",
    "Giulia",
    "Erik",
]
_STREETS = ("Evergreen Terrace", "Main Street", "Old Mill Road", "Lakeview Drive", "N. Pine Ave", "Harbor Blvd")
_CITIES = (
    ("Springfield", "IL", "62704"),
    ("Seattle", "WA", "98101"),
    ("New Haven", "CT", "06510"),
    ("El Paso", "TX", "79901"),
)
_MAIL = ("example.org", "mail.example.com", "clinic.example.net")
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"


@dataclass
class Item:
    """One text: values that must not be in what leaves, by kind, and words that must still be in it."""

    source: str
    text: str
    private: list[tuple[PrivateKind, str]] = field(default_factory=list)
    stays: list[str] = field(default_factory=list)


class Person:
    """Somebody who does not exist."""

    def __init__(self, rng: random.Random) -> None:
        self.given, self.family = rng.choice(_GIVEN), rng.choice(_FAMILY)
        self.name = f"{self.given} {self.family}"
        self.mrn = str(rng.randint(1_000_000, 9_999_999))
        self.ssn = f"{rng.randint(101, 665)}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}"
        self.born = date(1930, 1, 1) + timedelta(days=rng.randint(0, 30000))
        self.admitted = date(2026, 1, 1) + timedelta(days=rng.randint(0, 300))
        self.phone = f"({rng.randint(201, 989)}) {rng.randint(201, 999)}-{rng.randint(1000, 9999)}"
        self.email = f"{_plain(self.given)}.{_plain(self.family)}{rng.randint(1, 99)}@{rng.choice(_MAIL)}"
        self.street = f"{rng.randint(10, 9999)} {rng.choice(_STREETS)}"
        self.city, self.state, self.zip = rng.choice(_CITIES)
        self.address = f"{self.street}, {self.city}, {self.state} {self.zip}"
        self.plan = f"{''.join(rng.choices(_LETTERS, k=3))}{rng.randint(10_000_000, 99_999_999)}"
        self.account = str(rng.randint(100_000_000, 999_999_999))
        self.licence = f"{rng.choice(_LETTERS)}{rng.randint(1_000_000, 9_999_999)}"
        self.device = f"PM-{rng.randint(100_000, 999_999)}"
        self.visit = f"V{rng.randint(1_000_000, 9_999_999)}"
        self.ip = f"203.0.113.{rng.randint(1, 254)}"
        self.age = rng.randint(90, 104)
        self.picture = base64.b64encode(rng.randbytes(60)).decode()
        self.vin = _vin(rng)


def _plain(name: str) -> str:
    return name.lower().translate(str.maketrans("áéíóúüñ'", "aeiouun_"))


def _vin(rng: random.Random) -> str:
    """With a right check digit (49 CFR 565.15)."""
    values = dict(
        zip(
            "ABCDEFGHJKLMNPRSTUVWXYZ",
            (1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 7, 9, 2, 3, 4, 5, 6, 7, 8, 9),
            strict=True,
        )
    )
    signs = list("1" + "".join(rng.choices(_LETTERS + "0123456789", k=16)))
    weights = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
    rest = sum((int(s) if s.isdigit() else values[s]) * w for s, w in zip(signs, weights, strict=True)) % 11
    signs[8] = "X" if rest == 10 else str(rest)
    return "".join(signs)


class Fleet:
    """What an engineer needs, and looks alike."""

    def __init__(self, rng: random.Random) -> None:
        word = "".join(rng.choices("bcdfghjklmnpqrstvwxz2456789", k=5))
        self.pod = f"backend-{rng.getrandbits(36):09x}-{word}"
        self.digest = f"sha256:{rng.getrandbits(256):064x}"
        self.request = f"{rng.getrandbits(32):08x}-{rng.getrandbits(16):04x}-4{rng.getrandbits(12):03x}-a{rng.getrandbits(12):03x}-{rng.getrandbits(48):012x}"
        self.at = f"2026-11-{rng.randint(1, 28):02}T{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:07.{rng.randint(0, 999):03}Z"
        self.version = f"v{rng.randint(1, 3)}.{rng.randint(0, 9)}.{rng.randint(0, 20)}"
        self.inside = f"10.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}:5432"
        self.took = f"{rng.randint(2, 900)}ms"
        self.member = f"member id {rng.getrandbits(64):016x}"
        self.all = (self.pod, self.request, self.at, self.version, self.inside, self.took)


def _log(rng: random.Random, who: Person, fleet: Fleet) -> Item:
    told: list[tuple[str, list[tuple[PrivateKind, str]]]] = [
        (f"sync failed for patient {who.name} MRN {who.mrn}", [(PrivateKind.NAME, who.name), (PrivateKind.MRN, who.mrn)]),
        (f"login client_ip={who.ip} user={who.email}", [(PrivateKind.IP, who.ip), (PrivateKind.EMAIL, who.email)]),
        (f"eligibility check member id: {who.plan} account number {who.account}", [(PrivateKind.PLAN, who.plan), (PrivateKind.ACCOUNT, who.account)]),
        (f"GET /fhir/Patient/{who.mrn}/Observation encounter_id={who.visit}", [(PrivateKind.MRN, who.mrn), (PrivateKind.RECORD, who.visit)]),
        (f"paired pacemaker serial number {who.device} phone: {who.phone}", [(PrivateKind.DEVICE, who.device), (PrivateKind.PHONE, who.phone)]),
        (f"photo upload data:image/png;base64,{who.picture}", [(PrivateKind.PICTURE, who.picture)]),
        (f"sms sent to +1 {who.phone}", [(PrivateKind.PHONE, who.phone)]),
        (f"batch of {rng.randint(2, 400)} observations, {fleet.member}, group_id=1000, policy=always", []),
    ]  # fmt: skip
    said, private = rng.choice(told)
    if rng.random() < 0.5:
        line = json.dumps(
            {"time": fleet.at, "level": "warn", "msg": said, "requestId": fleet.request, "took": fleet.took}
        )
        return Item("application log", line, private, [fleet.at, fleet.request, fleet.took])
    line = f"{fleet.at} WARN [{fleet.pod}] {said} request={fleet.request} db={fleet.inside} took={fleet.took} build={fleet.version}"
    return Item("application log", line, private, [*fleet.all, *([fleet.member] if not private else [])])


def _fhir(rng: random.Random, who: Person, fleet: Fleet) -> Item:
    patient = {
        "resourceType": "Patient",
        "id": fleet.request,
        "meta": {"versionId": "3", "lastUpdated": fleet.at},
        "identifier": [{"use": "usual", "system": "urn:oid:1.2.36.146", "value": who.mrn}],
        "active": True,
        "name": [{"use": "official", "family": who.family, "given": [who.given]}],
        "telecom": [{"system": "phone", "value": who.phone}, {"system": "email", "value": who.email}],
        "gender": "female",
        "birthDate": who.born.isoformat(),
        "address": [{"use": "home", "line": [who.street], "city": who.city, "postalCode": who.zip}],
        "photo": [{"contentType": "image/png", "data": who.picture}],
    }
    if rng.random() < 0.3:
        patient["deceasedDateTime"] = who.admitted.isoformat()
    text = json.dumps(patient, ensure_ascii=rng.random() < 0.3, indent=rng.choice([None, 2]))
    if rng.random() < 0.3:
        text = json.dumps({"level": "error", "body": text}, ensure_ascii=False)
    private = [
        (PrivateKind.MRN, who.mrn), (PrivateKind.PHONE, who.phone), (PrivateKind.EMAIL, who.email), (PrivateKind.BIRTH_DATE, who.born.isoformat()),
        (PrivateKind.ADDRESS, who.street), (PrivateKind.ADDRESS, who.zip), (PrivateKind.PICTURE, who.picture), (PrivateKind.NAME, who.family),
    ]  # fmt: skip
    if "deceasedDateTime" in patient:
        private.append((PrivateKind.DATE, who.admitted.isoformat()))
    return Item("FHIR JSON", text, private, [fleet.request, fleet.at, "official", "Patient", "female"])


def _hl7(rng: random.Random, who: Person, fleet: Fleet) -> Item:
    end = rng.choice(["\r", "\n", "\\r"])
    message = [
        f"MSH|^~\\&|OMNI|GENERAL|LAB|GENERAL|20261124112007||ADT^A01|{fleet.request}|P|2.5",
        f"PID|1||{who.mrn}^^^GEN^MR||{who.family}^{who.given}^^||{who.born:%Y%m%d}|F|||{who.street}^^{who.city}^{who.state}^{who.zip}||{who.phone}|||M||{who.account}|{who.ssn}|{who.licence}",
        f"NK1|1|{who.family}^Ana|SPO|{who.street}|{who.phone}",
        f"PV1|1|I|2000^2012^01||||004777^ATTEND||||||||||||{who.visit}|||||||||||||||||||||||||{who.admitted:%Y%m%d}",
        f"IN1|1|PPO|1|Insurer|||||||||||||||||||||||||||||||{who.plan}",
    ]
    private = [
        (PrivateKind.MRN, who.mrn), (PrivateKind.NAME, f"{who.family}^{who.given}"), (PrivateKind.BIRTH_DATE, f"{who.born:%Y%m%d}"), (PrivateKind.ADDRESS, who.street),
        (PrivateKind.PHONE, who.phone), (PrivateKind.ACCOUNT, who.account), (PrivateKind.SSN, who.ssn), (PrivateKind.LICENCE, who.licence), (PrivateKind.RECORD, who.visit),
        (PrivateKind.DATE, f"{who.admitted:%Y%m%d}"),
    ]  # fmt: skip
    return Item("HL7 v2", end.join(message), private, ["ADT^A01", "20261124112007", fleet.request, "PPO"])


def _note(rng: random.Random, who: Person, fleet: Fleet) -> Item:
    born = rng.choice([f"{who.born:%m/%d/%Y}", who.born.isoformat(), f"{who.born:%d %b %Y}"])
    seen = rng.choice([f"{who.admitted:%m/%d/%Y}", who.admitted.isoformat()])
    told: list[tuple[str, list[tuple[PrivateKind, str]]]] = [
        (f"Patient {who.name}, DOB {born}, was admitted on {seen} with chest pain.", [(PrivateKind.NAME, who.name), (PrivateKind.BIRTH_DATE, born), (PrivateKind.DATE, seen)]),
        (f"{who.family}, {who.given} (MRN {who.mrn}) lives at {who.address}.", [(PrivateKind.NAME, who.family), (PrivateKind.MRN, who.mrn), (PrivateKind.ADDRESS, who.street), (PrivateKind.ADDRESS, who.zip)]),
        (f"The {who.age}-year-old was discharged {seen}. SSN {who.ssn}.", [(PrivateKind.AGE, str(who.age)), (PrivateKind.DATE, seen), (PrivateKind.SSN, who.ssn)]),
        (f"Emergency contact: {who.name}, phone {who.phone}, fax {who.phone}.", [(PrivateKind.NAME, who.name), (PrivateKind.PHONE, who.phone)]),
        (f"Pacemaker serial number {who.device}; driver's license {who.licence}; VIN {who.vin}.", [(PrivateKind.DEVICE, who.device), (PrivateKind.LICENCE, who.licence), (PrivateKind.VEHICLE, who.vin)]),
        (f"Health plan id {who.plan}, account no. {who.account}, see https://www.facebook.com/{_plain(who.given)}.{who.mrn}", [(PrivateKind.PLAN, who.plan), (PrivateKind.ACCOUNT, who.account), (PrivateKind.URL, f"{_plain(who.given)}.{who.mrn}")]),
    ]  # fmt: skip
    said, private = rng.choice(told)
    return Item(
        "clinical note",
        f"{said} BP 120/80, 37.1 C, 5 mg twice daily, {fleet.version}.",
        private,
        ["120/80", "37.1 C", "5 mg", fleet.version],
    )


def _sql(rng: random.Random, who: Person, fleet: Fleet) -> Item:
    told: list[tuple[str, list[tuple[PrivateKind, str]]]] = [
        (f"UPDATE patients SET phone = '{who.phone}', email='{who.email}' WHERE mrn = '{who.mrn}'", [(PrivateKind.PHONE, who.phone), (PrivateKind.EMAIL, who.email), (PrivateKind.MRN, who.mrn)]),
        (f"SELECT * FROM people WHERE first_name = '{who.given}' AND ssn = '{who.ssn}'", [(PrivateKind.NAME, who.given), (PrivateKind.SSN, who.ssn)]),
        (f"INSERT INTO stays (visit_id, date_of_birth) VALUES (1, 2) -- visit_id={who.visit} date_of_birth={who.born.isoformat()}", [(PrivateKind.RECORD, who.visit), (PrivateKind.BIRTH_DATE, who.born.isoformat())]),
        ("SELECT count(*) FROM observations WHERE created_at > now() - interval '90 days' LIMIT 250", []),
    ]  # fmt: skip
    said, private = rng.choice(told)
    return Item("SQL", f"{fleet.at} LOG: duration: {fleet.took} statement: {said}", private, [fleet.at, fleet.took])


def _trace(rng: random.Random, who: Person, fleet: Fleet) -> Item:
    told: list[tuple[str, list[tuple[PrivateKind, str]]]] = [
        (
            f"Error: version conflict for patient {who.name} (MRN {who.mrn})",
            [(PrivateKind.NAME, who.name), (PrivateKind.MRN, who.mrn)],
        ),
        (
            f"ValidationError: phone '{who.phone}' of patient_id={who.mrn}",
            [(PrivateKind.PHONE, who.phone), (PrivateKind.MRN, who.mrn)],
        ),
        (f"connect ECONNREFUSED {fleet.inside}", []),
    ]
    said, private = rng.choice(told)
    lines = [
        said,
        "    at SyncWorker.apply (/app/dist/sync/worker.js:214:17)",
        f"    at process {fleet.request}",
        f"    at build {fleet.version}",
    ]
    return Item("stack trace", "\n".join(lines), private, ["worker.js:214:17", fleet.request, fleet.version])


def _kubernetes(rng: random.Random, who: Person, fleet: Fleet) -> Item:
    told = [
        f'Failed to pull image "ghcr.io/omnicare/backend:{fleet.version}@{fleet.digest}": manifest unknown',
        f"Readiness probe failed: Get http://{fleet.inside}/health: connection refused",
        f"Back-off restarting failed container backend in pod {fleet.pod}_omnicare-prod({fleet.request})",
        f"etcd {fleet.member} lost leader, address already in use: {fleet.inside}",
    ]
    said = rng.choice(told)
    words = (fleet.version, fleet.digest, fleet.inside, fleet.pod, fleet.request, fleet.member)
    return Item("Kubernetes", said, [], [word for word in words if word in said])


_MAKERS: dict[str, Callable[[random.Random, Person, Fleet], Item]] = dict(
    zip(SOURCES, (_log, _fhir, _hl7, _note, _sql, _trace, _kubernetes), strict=True)
)


def corpus(*, seed: int = 1, each: int = 150) -> Iterator[Item]:
    """So many items of each source; the same for the same seed."""
    rng = random.Random(seed)
    for source in SOURCES:
        for _ in range(each):
            yield _MAKERS[source](rng, Person(rng), Fleet(rng))


@dataclass
class Score:
    """How much of what was planted was taken out, kind by kind, and how much of what must stay did."""

    planted: dict[PrivateKind, int] = field(default_factory=dict)
    hidden: dict[PrivateKind, int] = field(default_factory=dict)
    must_stay: int = 0
    stayed: int = 0
    misses: list[str] = field(default_factory=list)

    def take(self, item: Item, redacted: str) -> None:
        for kind, value in item.private:
            self.planted[kind] = self.planted.get(kind, 0) + 1
            gone = value not in redacted
            self.hidden[kind] = self.hidden.get(kind, 0) + gone
            if not gone:
                self.misses.append(f"{item.source}: {kind} {value!r} in {redacted[:300]!r}")
        for word in item.stays:
            self.must_stay += 1
            kept = word in redacted
            self.stayed += kept
            if not kept:
                self.misses.append(f"{item.source}: lost {word!r} in {redacted[:300]!r}")

    def recall(self, kind: PrivateKind) -> float:
        return self.hidden.get(kind, 0) / self.planted[kind]

    @property
    def kept(self) -> float:
        """The share of the look-alikes that stayed."""
        return self.stayed / self.must_stay


def scored(redact: Callable[[str], str], *, seed: int = 1, each: int = 150) -> Score:
    """The whole corpus, through somebody's redaction."""
    score = Score()
    for item in corpus(seed=seed, each=each):
        score.take(item, redact(item.text))
    return score
