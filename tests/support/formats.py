"""Formats that a hospital's systems log, of invented people, made with a seed: each with what must go and what must stay.

Each is made as the programs write it that are known for it: `JSON.stringify(x, null, 2)`, `kubectl -o yaml`, HAPI's XML, psql, dcmdump,
pydicom, an X12 interchange, Node's `util.inspect`.
"""

import csv
import io
import json
import random
import textwrap
from collections.abc import Callable, Iterator
from datetime import date
from xml.sax.saxutils import escape, quoteattr

from runbooks.redaction.redactor import PrivateKind, Scope
from tests.support.corpus import Item, Person, Score

_DIAGNOSES = ("Type 2 diabetes", "Major depressive disorder", "Fracture of the left radius", "Hepatitis C, chronic")
_BEFORE = "2026-11-24 11:20:00 INFO  [main] c.o.Sync - batch 7 begins"
_AFTER = "2026-11-24 11:20:01 INFO  [main] c.o.Sync - batch 7 is done in 31ms"


def _patient(rng: random.Random, who: Person) -> tuple[dict[str, object], list[tuple[PrivateKind, str]]]:
    street = f"{rng.randint(1, 999)} Elderberry Row"
    phone = f"206-555-{rng.randint(1000, 9999)}"
    middle = rng.choice(("Tamsin", "Ignatius", "Wren"))
    born = date(rng.randint(1930, 2020), rng.randint(1, 12), rng.randint(1, 28)).isoformat()
    resource = {
        "resourceType": "Patient",
        "id": who.mrn + "7",
        "meta": {"versionId": "3", "lastUpdated": "2026-11-24T11:20:00.123Z"},
        "text": {"status": "generated", "div": f"<div>{who.name}, seen for {rng.choice(_DIAGNOSES)}</div>"},
        "identifier": [{"use": "usual", "system": "urn:oid:2.16.840.1.113883.19.5", "value": who.mrn}],
        "active": True,
        "name": [{"use": "official", "family": who.family, "given": [who.given, middle]}],
        "telecom": [{"system": "phone", "value": phone, "use": "home"}],
        "gender": "female",
        "birthDate": born,
        "address": [{"use": "home", "line": [street], "city": "Puyallup", "state": "WA", "postalCode": "98371"}],
        "maritalStatus": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "code": "M"}]
        },
        "generalPractitioner": [{"reference": "Practitioner/example", "display": f"Dr. {who.family}-Hale"}],
    }
    private = [
        (PrivateKind.RECORD, who.mrn + "7"), (PrivateKind.NAME, who.family), (PrivateKind.NAME, who.given), (PrivateKind.NAME, middle), (PrivateKind.MRN, who.mrn),
        (PrivateKind.PHONE, phone), (PrivateKind.BIRTH_DATE, born), (PrivateKind.ADDRESS, street), (PrivateKind.ADDRESS, "Puyallup"), (PrivateKind.ADDRESS, "98371"),
        (PrivateKind.NARRATIVE, "seen for"), (PrivateKind.NAME, "-Hale"),
    ]  # fmt: skip
    return resource, private


_STAYS = ["Patient", "official", "2.16.840.1.113883.19.5", "phone", "v3-MaritalStatus"]


def _fhir_json(rng: random.Random, who: Person) -> Item:
    resource, private = _patient(rng, who)
    text = json.dumps(resource, indent=rng.choice((2, 4)), ensure_ascii=False)
    before = rng.choice(("", "response body: ", "2026-11-24 11:20:00 DEBUG [http] <- 200 "))
    return Item("FHIR JSON, pretty-printed", before + text, private, [*_STAYS, '"active": true'])


def _fhir_on_one_line(rng: random.Random, who: Person) -> Item:
    resource, private = _patient(rng, who)
    text = json.dumps(resource, ensure_ascii=False, separators=rng.choice(((",", ":"), (", ", ": "))))
    for _ in range(rng.randint(0, 2)):
        text = json.dumps({"level": 30, "resource": text, "msg": "stored the resource"}, ensure_ascii=False)
    before = rng.choice(("", "2026-11-24 11:20:00 DEBUG [http] <- 200 "))
    return Item("FHIR JSON, on one line", before + text, private, [*_STAYS, "true"])


def _inspected(rng: random.Random, who: Person) -> Item:
    token = f"v{rng.randrange(16**9):x}"
    lines = [
        "{", "  level: 'warn',", "  attempt: 3,", "  patient: {", f"    given: [ '{who.given}' ],",
        f"    lastName: {json.dumps(who.family, ensure_ascii=False)},", f"    mrn: {who.mrn}", "  },", f"  apiToken: '{token}',",
        "  service: 'backend'", "}",
    ]  # fmt: skip
    private = [
        (PrivateKind.NAME, who.given),
        (PrivateKind.NAME, who.family),
        (PrivateKind.MRN, who.mrn),
        (PrivateKind.TOKEN, token),
    ]
    return Item(
        "an object as Node prints it", "\n".join(lines), private, ["attempt: 3", "level: 'warn'", "service: 'backend'"]
    )


def _xml_lines(key: str, value: object, depth: int) -> Iterator[str]:
    pad = "  " * depth
    if isinstance(value, list):
        for each in value:
            yield from _xml_lines(key, each, depth)
    elif isinstance(value, dict):
        yield f"{pad}<{key}>"
        for name, each in value.items():
            yield from _xml_lines(name, each, depth + 1)
        yield f"{pad}</{key}>"
    elif key == "div":
        yield f'{pad}<div xmlns="http://www.w3.org/1999/xhtml">{escape(str(value)[5:-6])}</div>'
    else:
        said = str(value).lower() if isinstance(value, bool) else str(value)
        yield f"{pad}<{key} value={quoteattr(said)}/>"


def _fhir_xml(rng: random.Random, who: Person) -> Item:
    resource, private = _patient(rng, who)
    inner = [line for key, value in resource.items() if key != "resourceType" for line in _xml_lines(key, value, 1)]
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<Patient xmlns="http://hl7.org/fhir">', *inner, "</Patient>"]
    text = rng.choice(("\n", "")).join(lines)
    return Item(
        "FHIR XML", text, [(kind, escape(value)) for kind, value in private], [*_STAYS, '<active value="true"/>']
    )


def _ccda(rng: random.Random, who: Person) -> Item:
    street, diagnosis = f"{rng.randint(1, 999)} Elderberry Row", rng.choice(_DIAGNOSES)
    born = f"{rng.randint(1930, 2020)}0312"
    phone = f"tel:+1-206-555-{rng.randint(1000, 9999)}"
    text = f"""\
        <?xml version="1.0"?>
        <ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
          <typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/>
          <title>Discharge summary of {escape(who.name)}</title>
          <effectiveTime value="20261124112000+0000"/>
          <recordTarget>
            <patientRole>
              <id extension="{who.mrn}" root="2.16.840.1.113883.19.5.99999.2"/>
              <addr use="HP">
                <streetAddressLine>{street}</streetAddressLine>
                <city>Puyallup</city><state>WA</state>
                <postalCode>98371</postalCode>
              </addr>
              <telecom value="{phone}" use="HP"/>
              <patient>
                <name use="L">
                  <given>{escape(who.given)}</given>
                  <family>
                    {escape(who.family)}
                  </family>
                </name>
                <administrativeGenderCode code="F" codeSystem="2.16.840.1.113883.5.1"/>
                <birthTime value="{born}"/>
              </patient>
            </patientRole>
          </recordTarget>
          <component><structuredBody><component><section>
            <code code="11450-4" codeSystem="2.16.840.1.113883.6.1"/>
            <text>
              <table><tbody>
                <tr><td>{diagnosis}</td>
                <td>since spring</td></tr>
              </tbody></table>
            </text>
            <entry><observation classCode="OBS" moodCode="EVN"><value xsi:type="PQ" value="7.2" unit="mmol/L"/></observation></entry>
          </section></component></structuredBody></component>
        </ClinicalDocument>"""
    lines = textwrap.dedent(text)
    if rng.random() < 0.5:
        lines = "".join(line.strip() for line in lines.split("\n"))
    private = [
        (PrivateKind.NAME, escape(who.given)), (PrivateKind.NAME, escape(who.family)), (PrivateKind.MRN, who.mrn), (PrivateKind.ADDRESS, street),
        (PrivateKind.ADDRESS, "Puyallup"), (PrivateKind.ADDRESS, "98371"), (PrivateKind.PHONE, phone), (PrivateKind.BIRTH_DATE, born), (PrivateKind.NARRATIVE, diagnosis),
        (PrivateKind.NARRATIVE, "since spring"), (PrivateKind.DATE, "20261124112000+0000"),
    ]  # fmt: skip
    return Item(
        "C-CDA XML", lines, private, ["2.16.840.1.113883.6.1", "11450-4", "mmol/L", 'value="7.2"', "observation"]
    )


def _x12(rng: random.Random, who: Person) -> Item:
    family, given = who.family.upper(), who.given.upper()
    separator, end = rng.choice((("*", "~"), ("|", "~"), ("*", "'")))
    born = f"{rng.randint(1930, 2020)}0312"
    policy = f"W{rng.randint(10**8, 10**9 - 1)}"
    isa = f"ISA*00*          *00*          *ZZ*{'SUBMITTER':15}*ZZ*{'RECEIVER':15}*261124*1120*^*00501*{rng.randint(0, 10**9 - 1):09}*0*P*:"
    segments = [
        isa, "GS*HC*SUBMITTER*RECEIVER*20261124*1120*1*X*005010X222A1", "ST*837*0021*005010X222A1", "BHT*0019*00*244579*20261124*1023*CH",
        "HL*2*1*22*0", "SBR*P*18*2222-SJ******CI", f"NM1*IL*1*{family}*{given}****MI*{policy}", "N3*236 N ELDERBERRY ROW",
        "N4*PUYALLUP*WA*98371", f"DMG*D8*{born}*F", f"CLM*{who.mrn}*100***11:B:1*Y*A*Y*I", "HI*ABK:E119*ABF:F330", "LX*1",
        "SV1*HC:99213*40*UN*1***1", "DTP*472*D8*20261003", "SE*14*0021", "GE*1*1", f"IEA*1*{isa[90:99]}",
    ]  # fmt: skip
    joint = rng.choice(("", "\n"))
    text = joint.join(segment.replace("*", separator) + end for segment in segments)
    private = [
        (PrivateKind.NAME, family), (PrivateKind.NAME, f"{separator}{given}{separator}"), (PrivateKind.PLAN, policy), (PrivateKind.ADDRESS, "ELDERBERRY"),
        (PrivateKind.ADDRESS, "PUYALLUP"), (PrivateKind.BIRTH_DATE, born), (PrivateKind.MRN, who.mrn), (PrivateKind.DATE, "20261003"), (PrivateKind.NARRATIVE, "E119"),
    ]  # fmt: skip
    return Item("X12 837", text, private, [])


def _dicom(rng: random.Random, who: Person) -> Item:
    name = f"{who.family}^{who.given}".replace("'", "")
    uid = f"1.3.6.1.4.1.{rng.randint(1000, 99999)}.{rng.randrange(10**12)}"
    born = f"{rng.randint(1930, 2020)}0312"
    accession = f"ACC{rng.randint(10**5, 10**6)}"
    rows = [
        ("0008", "0016", "UI", "=CTImageStorage", "SOPClassUID"), ("0008", "0018", "UI", uid, "SOPInstanceUID"),
        ("0008", "0020", "DA", "20261103", "StudyDate"), ("0008", "0050", "SH", accession, "AccessionNumber"),
        ("0008", "0060", "CS", "CT", "Modality"), ("0008", "0090", "PN", f"Hale^{who.given}", "ReferringPhysicianName"),
        ("0008", "1030", "LO", "Elbow after fall", "StudyDescription"), ("0010", "0010", "PN", name, "PatientName"),
        ("0010", "0020", "LO", who.mrn, "PatientID"), ("0010", "0030", "DA", born, "PatientBirthDate"),
        ("0010", "0040", "CS", "F", "PatientSex"), ("0010", "1040", "LO", "236 Elderberry Row", "PatientAddress"),
        ("0018", "0050", "DS", "0.625", "SliceThickness"), ("0028", "0010", "US", "512", "Rows"),
    ]  # fmt: skip
    if rng.random() < 0.5:
        said = [
            f"({group},{element}) {vr} {value if vr == 'US' or value[0] == '=' else f'[{value}]':40} # {len(value):3}, 1 {label}"
            for group, element, vr, value, label in rows
        ]
    else:
        said = [
            f"({group}, {element}) {label:35} {vr}: {value if vr == 'US' else repr(value.removeprefix('='))}"
            for group, element, vr, value, label in rows
        ]
        said[0] = "(0008, 0016) SOP Class UID                       UI: CT Image Storage"
    private = [
        (PrivateKind.RECORD, uid), (PrivateKind.DATE, "20261103"), (PrivateKind.RECORD, accession), (PrivateKind.NAME, f"Hale^{who.given}"), (PrivateKind.NAME, name),
        (PrivateKind.NARRATIVE, "Elbow after fall"), (PrivateKind.MRN, who.mrn), (PrivateKind.BIRTH_DATE, born), (PrivateKind.ADDRESS, "236 Elderberry"),
    ]  # fmt: skip
    return Item("DICOM header dump", "\n".join(said), private, ["CT", "0.625", "512", "Modality", "Rows"])


def _people(rng: random.Random, who: Person) -> list[dict[str, str]]:
    second = Person(rng)
    return [
        {
            "id": str(number),
            "first_name": each.given,
            "last_name": each.family,
            "dob": f"{rng.randint(1930, 2020)}-03-12",
            "mrn": each.mrn,
            "status": "active",
            "notes": "seen for a fall",
        }
        for number, each in enumerate((who, second), start=1)
    ]


def _told(rows: list[dict[str, str]]) -> list[tuple[PrivateKind, str]]:
    kinds = {
        "first_name": PrivateKind.NAME,
        "last_name": PrivateKind.NAME,
        "dob": PrivateKind.BIRTH_DATE,
        "mrn": PrivateKind.MRN,
        "notes": PrivateKind.NARRATIVE,
    }
    return [(kind, row[column]) for row in rows for column, kind in kinds.items()]


def _csv(rng: random.Random, who: Person) -> Item:
    rows = _people(rng, who)
    rows[0]["notes"] = 'seen, she said, for "a\nfall"' if rng.random() < 0.3 else "seen for a fall"
    said = io.StringIO()
    writer = csv.DictWriter(said, list(rows[0]), lineterminator="\n", delimiter=rng.choice((",", ";", "\t")))
    writer.writeheader()
    writer.writerows(rows)
    private = [(kind, value.split("\n")[0].replace('"', '""')) for kind, value in _told(rows)]
    return Item("CSV with a header row", said.getvalue().rstrip("\n"), private, ["first_name", "active"])


def _psql(rng: random.Random, who: Person) -> Item:
    rows = _people(rng, who)
    widths = {key: max(len(key), *(len(row[key]) for row in rows)) for key in rows[0]}
    lines = [
        " " + " | ".join(key.center(width) for key, width in widths.items()) + " ",
        "-" + "-+-".join("-" * width for width in widths.values()) + "-",
        *(" " + " | ".join(row[key].ljust(width) for key, width in widths.items()) for row in rows),
        "(2 rows)",
    ]
    return Item("psql, aligned", "\n".join(lines), _told(rows), ["first_name", "active", "(2 rows)"])


def _psql_expanded(rng: random.Random, who: Person) -> Item:
    rows = _people(rng, who)
    lines: list[str] = []
    for number, row in enumerate(rows, start=1):
        lines.append(f"-[ RECORD {number} ]----------------")
        lines += [f"{key:10} | {value}" for key, value in row.items()]
    return Item("psql, expanded", "\n".join(lines), _told(rows), ["first_name", "active", "RECORD 2"])


def _mysql(rng: random.Random, who: Person) -> Item:
    rows = _people(rng, who)
    widths = {key: max(len(key), *(len(row[key]) for row in rows)) for key in rows[0]}
    rule = "+" + "+".join("-" * (width + 2) for width in widths.values()) + "+"
    lines = [
        rule, "| " + " | ".join(key.ljust(width) for key, width in widths.items()) + " |", rule,
        *("| " + " | ".join(row[key].ljust(width) for key, width in widths.items()) + " |" for row in rows), rule,
    ]  # fmt: skip
    return Item("a table of MySQL's", "\n".join(lines), _told(rows), ["first_name", "active"])


def _yaml(rng: random.Random, who: Person) -> Item:
    secret, second = f"pw{rng.randrange(16**6):06x}", f"k{rng.randrange(16**6):06x}"
    text = f"""\
        spec:
          replicas: 3
          template:
            spec:
              containers:
              - name: backend
                image: ghcr.io/omnicare/backend:v1.2.0
                env:
                - name: DB_PASSWORD
                  value: {secret}
                - name: LOG_LEVEL
                  value: debug
          vendorToken: |
            {second}-a
            {second}-b
          contact:
            given:
            - {who.given}
            family: {who.family}"""
    private = [
        (PrivateKind.PASSWORD, secret),
        (PrivateKind.TOKEN, f"{second}-a"),
        (PrivateKind.TOKEN, f"{second}-b"),
        (PrivateKind.NAME, who.given),
        (PrivateKind.NAME, who.family),
    ]
    return Item(
        "YAML", textwrap.dedent(text), private, ["replicas: 3", "value: debug", "backend:v1.2.0", "name: DB_PASSWORD"]
    )


def _configured(rng: random.Random, who: Person) -> Item:
    secret = f"pw{rng.randrange(16**6):06x}"
    text = f"""\
        <beans>
          <bean id="source" class="org.example.Pool">
            <property name="url" value="jdbc:postgresql://db:5432/emr"/>
            <property name="password" value="{secret}"/>
            <property
              name="apiToken"
              value="{secret}-t"/>
            <vendorToken>
              {secret}-v
            </vendorToken>
            <lastName>{escape(who.family)}</lastName>
            <maxSize>20</maxSize>
          </bean>
        </beans>"""
    private = [
        (PrivateKind.PASSWORD, f'"{secret}"'),
        (PrivateKind.TOKEN, f"{secret}-t"),
        (PrivateKind.TOKEN, f"{secret}-v"),
        (PrivateKind.NAME, escape(who.family)),
    ]
    return Item(
        "XML of a configuration",
        textwrap.dedent(text),
        private,
        ["org.example.Pool", "<maxSize>20</maxSize>", "jdbc:postgresql://db:5432/emr"],
    )


def _environment(rng: random.Random, _who: Person) -> Item:
    secret = f"pw{rng.randrange(16**6):06x}"
    value = {"kind": "Pod", "env": [{"name": "DB_PASSWORD", "value": secret}, {"name": "LOG_LEVEL", "value": "debug"}]}
    text = json.dumps(value, indent=rng.choice((None, 2)), separators=rng.choice(((",", ":"), (", ", ": "))))
    return Item("an environment as JSON", text, [(PrivateKind.PASSWORD, secret)], ["debug", "DB_PASSWORD", "Pod"])


def _key(rng: random.Random, _who: Person) -> Item:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    body = ["".join(rng.choices(letters, k=64)) for _ in range(12)] + [
        "".join(rng.choices(letters, k=rng.choice((6, 14, 30)))) + "=="
    ]
    lines = ["-----BEGIN PRIVATE KEY-----", *body, "-----END PRIVATE KEY-----"]
    return Item("a private key", "\n".join(lines), [(PrivateKind.PRIVATE_KEY, line) for line in body], [])


_MAKERS: tuple[Callable[[random.Random, Person], Item], ...] = (
    _fhir_json, _inspected, _fhir_xml, _ccda, _x12, _dicom, _csv, _psql, _psql_expanded, _mysql, _yaml, _configured, _environment, _key,
    _fhir_on_one_line,
)  # fmt: skip


def formats(*, seed: int = 1, each: int = 40) -> Iterator[Item]:
    """So many texts of each format; the same for the same seed."""
    rng = random.Random(seed)
    for make in _MAKERS:
        for _ in range(each):
            item = make(rng, Person(rng))
            item.text = f"{_BEFORE}\n{item.text}\n{_AFTER}"
            item.stays += [_BEFORE[20:], _AFTER[20:]]
            yield item


def unremarkable(*, seed: int = 1, each: int = 100) -> Iterator[str]:
    """Lines that look like a block's and are none, or are of one that tells nobody: all of them must stay as they are."""
    rng = random.Random(seed)
    for _ in range(each):
        number = rng.randint(2, 500)
        yield f"2026-11-24 11:20:00 INFO {number} items in List<String>, at Worker.<init>(Worker.java:{number})"
        yield json.dumps(
            {"level": "info", "spec": {"replicas": number, "ports": [{"name": "http", "value": number}]}}, indent=2
        )
        yield f"metadata:\n  name: backend\n  labels:\n    app: backend\nspec:\n  replicas: {number}"
        yield f" Schema |   Name   | Owner \n--------+----------+-------\n public | sync{number} | emr\n(1 row)"
        yield f"name,count,p99\nbackend,{number},31\nfrontend,{number},12"
        yield f"server {{\n  listen {number};\n  location / {{\n    proxy_pass http://backend;\n  }}\n}}"
        yield f'<configuration>\n  <appender name="console" class="Console"/>\n  <level>{number}</level>\n</configuration>'
        yield f'Traceback (most recent call last):\n  File "app.py", line {number}, in handle\n    raise ValueError({number})\nValueError: {number}'
        yield f"web_1 | GET /healthz {number}\nweb_1 | GET /readyz {number}"
        yield f"goroutine {number} [running]:\nmain.main()\n\t/app/main.go:{number} +0x1d"


Stream = Callable[[Scope, str, random.Random], str]


def streamed(scope: Scope, text: str, rng: random.Random) -> str:
    """The text as a kubelet streams it, stamped and cut anywhere, through what a log passes: blocks first, then each line by itself."""
    from runbooks.logs.blocks import Blocks
    from runbooks.logs.matching import text_of

    came = "".join(
        f"2026-11-24T11:20:00.{number:09}Z {line}\n" for number, line in enumerate(text.split("\n"))
    ).encode()
    blocks, lines = Blocks(), scope.lines()
    out = bytearray()
    at = 0
    while at < len(came):
        size = rng.choice((1, 7, 64, 500, 4096))
        out += lines.feed(blocks.feed(came[at : at + size]))
        at += size
    out += lines.feed(blocks.rest()) + lines.end()
    return "\n".join(scope.redact_bytes(text_of(line)).data.decode() for line in bytes(out).splitlines())


def scored_by_format(redact: Callable[[str], str], *, seed: int = 1, each: int = 40) -> dict[str, Score]:
    """Format → how much went and how much stayed."""
    scores: dict[str, Score] = {}
    for item in formats(seed=seed, each=each):
        scores.setdefault(item.source, Score()).take(item, redact(item.text))
    return scores
