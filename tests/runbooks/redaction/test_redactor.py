"""Nothing planted leaves, in whatever clothes; what an engineer needs stays; twice is once; it fails closed."""

import base64
import json
import random
import re
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from runbooks.redaction.marks import MARK
from runbooks.redaction.redactor import Ignored, PrivateKind, RedactionFailed, Redactor, default_redactor
from sandbox.cluster import logs

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
AWS_ID, AWS_SECRET = "AKIA" + "IOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
GITHUB = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"
SLACK = "xoxb-" + "123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx"
RANDOM = "Zm9vYmFyMTIzNDU2Nzg5MFFX7hQ2"
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7\nq1w2e3r4t5y6u7i8\n-----END RSA PRIVATE KEY-----"


def redact(text: str) -> str:
    return Redactor().text(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        # secrets by their own form
        (f"token {JWT} seen", "token [jwt 1] seen"),
        (f"id={AWS_ID}.", "id=[aws key 1]."),
        (f"cloned with {GITHUB}", "cloned with [github token 1]"),
        (f"posting as {SLACK}", "posting as [slack token 1]"),
        ("xapp-1-A0123456789-1234567890-abcdef0123456789", "[slack token 1]"),
        (f"key:\n{KEY}\nend", "key:\n[private key 1]\nend"),
        (json.dumps({"k": KEY}), '{"k": "[private key 1]"}'),
        (KEY[:50], "[private key 1]"),
        (f"seen {RANDOM} there", "seen [token 1] there"),
        (f"x {AWS_SECRET} y", "x [token 1] y"),
        # secrets behind a cue
        ("Authorization: Bearer abc.def-123_4567", "Authorization: Bearer [secret 1]"),
        ("auth ok bearer 0123456789abcdef", "auth ok bearer [bearer token 1]"),
        ("curl -H 'Basic dXNlcjpwYXNzd29yZA=='", "curl -H 'Basic [basic credential 1]'"),
        ("Cookie: session=abc; theme=dark", "Cookie: [secret 1]"),
        ("url=postgres://user:hunter2@db:5432/emr", "url=postgres://user:[password 1]@db:5432/emr"),
        ("redis://:hunter2@cache:6379", "redis://:[password 1]@cache:6379"),
        ("postgres://u:p@ss/w@db:5432/emr", "postgres://u:[password 1]@db:5432/emr"),
        ("postgres%3A%2F%2Fu%3Ahunter2%40db", "postgres%3A%2F%2Fu%3A[password 1]%40db"),
        ('{"url": "postgres:\\/\\/u:hunter2@db"}', '{"url": "postgres:\\/\\/u:[password 1]@db"}'),
        ("DB_PASSWORD=hunter2 DB_USER=emr", "DB_PASSWORD=[password 1] DB_USER=emr"),
        ('{"password": "a b\\"c", "user": "x"}', '{"password": "[password 1]", "user": "x"}'),
        ('"{\\"api_key\\": \\"q1w2\\"}"', '"{\\"api_key\\": \\"[secret 1]\\"}"'),
        (json.dumps(json.dumps({"password": 'a"b\\', "x": 1})), '"{\\"password\\": \\"[password 1]\\", \\"x\\": 1}"'),
        (json.dumps({"password": "ends in \\", "x": "y"}), '{"password": "[password 1]", "x": "y"}'),
        ('{"client_secret":12345678}', '{"client_secret":[secret 1]}'),
        ("password: hunter2\nuser: x", "password: [password 1]\nuser: x"),
        ("password:\n  hunter2\nuser: x", "password:\n  [password 1]\nuser: x"),
        ("?token=abc1&page=2", "?token=[token 1]&page=2"),
        ("Password=ab;cd,ef;Host=db", "Password=[password 1];Host=db"),
        ("<password>hunter2</password>", "<password>[password 1]</password>"),
        ("--password hunter2 --env production", "--password [password 1] --env production"),
        ("--api-key='x y' go", "--api-key='[secret 1]' go"),
        ('the password is "open sesame" now', 'the password is "[password 1]" now'),
        ("passwordless; password hunter2.", "passwordless; password [password 1]."),
        ("next=%2F%3Fpassword%3Dhunter2%26x%3D1", "next=%2F%3Fpassword%3D[password 1]%26x%3D1"),
        # patient data
        ("ssn 123-45-6789", "ssn [ssn 1]"),
        ("SSN: 123456789.", "SSN: [ssn 1]."),
        ("ssn\n912-34-5678", "ssn\n[ssn 1]"),
        ("saw 123-45-6789 there", "saw [ssn 1] there"),
        ("saw 123\u201345\u20136789 there", "saw [ssn 1] there"),
        ("saw 123%2D45%2D6789 there", "saw [ssn 1] there"),
        ("MRN 1234567", "MRN [mrn 1]"),
        ("mrn=A-1234567;", "mrn=[mrn 1];"),
        ("MRN\n1234567", "MRN\n[mrn 1]"),
        ('{"mrn":"1234567","n":1}', '{"mrn":"[mrn 1]","n":1}'),
        ("medical record number is 12-34-56", "medical record number is [mrn 1]"),
        ("patient_id=1234567", "patient_id=[mrn 1]"),
        ("GET /fhir/Patient/1234567/Observation 200", "GET /fhir/Patient/[mrn 1]/Observation 200"),
        ("Patient%2F1234567", "Patient%2F[mrn 1]"),
        ("call (206) 555-0123 or 206.555.0199", "call [phone 1] or [phone 2]"),
        ("call +1 206-555-0123, +44 20 7946 0958", "call [phone 1], [phone 2]"),
        ("phone: 2065550123", "phone: [phone 1]"),
        ("phone (206) 555-0123 rang", "phone [phone 1] rang"),
        ("phone: +1 (206) 555-0123", "phone: [phone 1]"),
        ("the phone (2065550123) rang", "the phone ([phone 1]) rang"),
        ("to maria.lopez+x@mail.example.org now", "to [e-mail 1] now"),
        ("maria%40example.org", "[e-mail 1]"),
        ("sync failed for patient Maria Lopez MRN 1234567", "sync failed for patient [name 1] MRN [mrn 1]"),
        ("patient María José de la Cruz-O'Brien, bed 4", "patient [name 1], bed 4"),
        ("Pt. Lopez was moved", "Pt. [name 1] was moved"),
        ("patient=Maria%20Lopez&x=1", "patient=[name 1]&x=1"),
        ('name="Maria Lopez" x', 'name="[name 1]" x'),
        ('{"patientName":"maria lopez"}', '{"patientName":"[name 1]"}'),
        ("first_name=maria last_name=lopez", "first_name=[name 1] last_name=[name 2]"),
        ("patient Maria\nLopez left", "patient [name 1] left"),
        ("seen by Mrs. Adeyemi", "seen by Mrs. [name 1]"),
        ("DOB: 01/02/1980", "DOB: [birth date 1]"),
        ('"birthDate": "1980-02-01"', '"birthDate": "[birth date 1]"'),
        ("PatientName=LOPEZ^MARIA, PatientID=4471203", "PatientName=[name 1], PatientID=[mrn 1]"),
        ("patient LOPEZ^MARIA^A, dob 19570312", "patient [name 1], dob [birth date 1]"),
        ("DOB: 12-Mar-1957 M", "DOB: [birth date 1] M"),
        ("DOB 12-MAR-57, dob=12MAR1957", "DOB [birth date 1], dob=[birth date 2]"),
        ("admitted 12-Mar-2026 at", "admitted [date 1] at"),
        ("visit 12 marks 8, procedure 3 decode 12", "visit 12 marks 8, procedure 3 decode 12"),
        ("born on 3 May 1971 in", "born on [birth date 1] in"),
        (
            "PID|1||1234567^^^GEN^MR||Lopez^Maria||19800102|F|||742 Elm St^^X^IL^62704||(217)555-0199|||S||99887766|123-45-6789",
            "PID|1||[mrn 1]||[name 1]||[birth date 1]|F|||[address 1]||[phone 1]|||S||[account number 1]|[ssn 1]",
        ),
        ('{"m":"MSH|x\\rNK1|1|Lopez^Juan|SPO\\rX"}', '{"m":"MSH|x\\rNK1|1|[name 1]|SPO\\rX"}'),
        (
            '{"name":[{"use":"official","family":"lopez","given":["maria","ann"]}]}',
            '{"name":[{"use":"official","family":"[name 1]","given":["[name 2]","[name 3]"]}]}',
        ),
        (
            '{"address":[{"line":["7 elm"],"city":"x y"}],"telecom":[{"system":"email","value":"ask me"}]}',
            '{"address":[{"line":["[address 1]"],"city":"[address 2]"}],"telecom":[{"system":"email","value":"[phone 1]"}]}',
        ),
        ("lives at 742 Evergreen Terrace, Springfield, IL 62704. Stable.", "lives at [address 1]. Stable."),
        ("to 12 Main St Apt 4 now", "to [address 1] now"),
        ("from Springfield, IL 62704-1234.", "from [address 1]."),
        ("admitted on 2026-01-03, discharge date: 01/05/2026", "admitted on [date 1], discharge date: [date 2]"),
        ("a 93-year-old, age: 101", "a [age 1]-year-old, age: [age 2]"),
        ("member id: ABC123456789", "member id: [health plan id 1]"),
        ("account number 12345678", "account number [account number 1]"),
        ("card 4111 1111 1111 1111", "card [account number 1]"),
        ("iban GB82 WEST 1234 5698 7654 32", "iban [account number 1]"),
        ("driver's license D1234567", "driver's license [licence number 1]"),
        ("1HGCM82633A004352 stolen", "[vehicle id 1] stolen"),
        ("pacemaker serial number PM-998877", "pacemaker serial number [device id 1]"),
        ("accession number 20261103-0042", "accession number [record number 1]"),
        ("client_ip=203.0.113.9", "client_ip=[ip address 1]"),
        ("X-Forwarded-For: 198.51.100.7, 10.0.0.2", "X-Forwarded-For: [ip address 1], 10.0.0.2"),
        ('203.0.113.9 - - [24/Nov/2026:10:00:00] "GET"', '[ip address 1] - - [24/Nov/2026:10:00:00] "GET"'),
        ("https://www.facebook.com/maria.lopez.9", "[url 1]"),
        ("mother: Ana Lopez", "mother: [name 1]"),
        ("Lopez, Maria (MRN 1234567)", "[name 1] (MRN [mrn 1])"),
        ("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUA", "data:image/png;base64,[picture 1]"),
        ("fingerprint_template=AbCd1234EfGh", "fingerprint_template=[biometric 1]"),
    ],
)
def test_what_is_private_becomes_a_mark(text: str, wanted: str) -> None:
    assert redact(text) == wanted


STAYS = [
    "SELECT count(*) FROM patients WHERE ward = 3 GROUP BY ward; UPDATE patients SET ward = 4; SELECT 1 FROM patients JOIN stays",
    "etcd member id 8e9e05c52164694d lost its leader",
    "listen tcp: address already in use: 0.0.0.0:3001",
    "remote_addr=10.0.3.7 x-forwarded-for: 192.168.1.4, 10.0.0.2",
    "token expired on 2026-11-24, seen on 3 of 12 nodes, visit count 3",
    "account id 123456789012, group_id=1000, policy=always, case 12",
    '{"address":"10.0.0.1:5432","name":["a","b"],"identifier":"backend"}',
    '{"name":[{"name":"backend","image":"x"}],"metadata":{"name":"backend"}}',
    "license: Apache-2.0, certificate expires in 90 days, age: 12",
    "1712345678123456 4111111111111112 Plate 7",
    "admission webhook denied the request at 12:00",
    "retry after 91 s, 100 years of uptime",
    "backend-7c9f8d6b5-x2lqp",
    "omnicare/omnicare-backend-canary-7c9f8d6b5-x2lqp",
    "ghcr.io/omnicare/backend:v2.0.0@sha256:" + "3f9ac1b7" * 8,
    "commit 1a410efbd13591db07496601ebc7a059dd55cfe9",
    "containerd://" + "0123456789abcdef" * 4,
    "request 550e8400-e29b-41d4-a716-446655440000",
    "run production.deploy.00ff17c3a9b2d4e5 digest 4c1f92ab",
    "2026-11-24T11:20:00.123456Z and 2026-11-24 11:20:00,123 +0200",
    "1712345678.123456",
    "13345224609.738474920.8088930838d88f008e0",
    "v2.0.0-rc.1 took 1m30s, 250ms, 3/3 ready, 71 MB",
    "10.0.3.7:5432 172.16.254.1/32 fe80::1",
    'Failed to pull image "ghcr.io/omnicare/backend:v2.0.0-bad": manifest unknown',
    "Back-off restarting failed container backend in pod backend-7c9f8d6b5-x2lqp_omnicare(550e8400-e29b-41d4-a716-446655440000)",
    'MountVolume.SetUp failed for volume "db" : secret "omnicare-db" not found',
    "secretName: omnicare-db",
    "imagePullSecrets: [{name: registry}]",
    "valueFrom: {secretKeyRef: {name: omnicare-db, key: password}}",
    "couldn't fetch token: forbidden",
    "password: ***",
    "DATABASE_PASSWORD=${DATABASE_PASSWORD}",
    '"token": null, "password": ""',
    'password authentication failed for user "omnicare_prod_user"',
    "the password was changed",
    "Bearer authentication required",
    "Basic authentication failed",
    "io.omnicare.sync.HorizontalPodAutoscalerReconciliationException2 at line 20",
    "AbstractSingletonProxyFactoryBeanV2Implementation",
    "name: backend",
    "name=Backend Rollout",
    "patient Sync Failed",
    "patients found: 12, Patient/$everything, patient record not found",
    "900-12-3456 000-12-3456 666-12-3456 123-00-4567 123-45-0000",
    "backend-123-45-6789 and 206-555-01234",
    "http://host:8080/path?x=a@b",
    "git@github.com:omnicare/backend.git",
    "postgres://omnicare_prod_user@db.example.org:5432/emr",
    "U024BE7LH in C061EG9SL",
    "actor=dr.lopez resource=Observation/1853",
    "GET /patients HTTP/1.1",
    "patient Sync_State Search/all",
    "pt 12 of 20",
    "200 ms Elapsed",
    "token_type=none max_tokens=4096",
    "<!channel> <https://example.org|link>",
    "🟢 v2.0.0 läuft — 3 von 3 bereit…",
]


@pytest.mark.parametrize("text", STAYS)
def test_what_an_engineer_needs_stays(text: str) -> None:
    result = Redactor().redact(text)
    assert (result.text, dict(result.counts)) == (text, {})


def test_a_text_without_a_hit_is_handed_back_as_it_is() -> None:
    text = "websocket connection opened client=61\n" * 1000
    data = text.encode()
    assert Redactor().redact(text).text is text
    assert Redactor().redact_bytes(data).data is data


def test_counts_say_how_many_of_which_kind() -> None:
    counts = Redactor().redact("MRN 1234567, MRN 7654321, patient Maria Lopez").counts
    assert counts == {PrivateKind.MRN: 2, PrivateKind.NAME: 1}


# ---- one answer ----


def test_the_same_value_has_the_same_mark_in_all_texts_of_an_answer() -> None:
    answer = Redactor().scope()
    assert answer.text("MRN 1234567 and MRN 7654321") == "MRN [mrn 1] and MRN [mrn 2]"
    assert answer.text("mrn=7654321, patient Maria Lopez") == "mrn=[mrn 2], patient [name 1]"
    assert answer.text("patient MARIA? patient Maria  Lopez, (206) 555-0123").endswith("patient [name 1], [phone 1]")
    assert answer.text("206-555-0123") == "[phone 1]"


def test_another_answer_counts_anew() -> None:
    redactor = Redactor()
    assert redactor.text("MRN 1234567") == redactor.text("MRN 7654321") == "MRN [mrn 1]"


def test_numbers_go_on_behind_those_of_an_earlier_pass() -> None:
    assert redact("MRN 7654321 beside MRN [mrn 3]") == "MRN [mrn 4] beside MRN [mrn 3]"


# ---- JSON values ----


def test_a_json_value_stays_json_and_its_keys_are_cues() -> None:
    value = {
        "password": 'has " and , in it',
        "patient": {"family": "Lopez", "given": ["Maria", "José"], "mrn": 1234567, "active": True},
        "pods": ["backend-7c9f8d6b5-x2lqp", 3, None, 1.5],
        "MRN 1234567": "said of MRN 1234567",
        "token": None,
    }
    assert Redactor().json(value) == {
        "password": "[password 1]",
        "patient": {"family": "[name 1]", "given": ["[name 2]", "[name 3]"], "mrn": "[mrn 1]", "active": True},
        "pods": ["backend-7c9f8d6b5-x2lqp", 3, None, 1.5],
        "MRN [mrn 1]": "said of MRN [mrn 1]",
        "token": None,
    }


# ---- the values of Secrets that the bot has read ----

KNOWN = 'c0rrect/horse "battery"+stäple'


def _wrapped() -> list[tuple[str, str]]:
    aligned = [base64.b64encode(b"x" * before + KNOWN.encode() + b"yz").decode() for before in range(4)]
    return [
        ("plain", f"got {KNOWN}!"),
        ("json", json.dumps({"x": KNOWN})),
        ("json, not ascii", json.dumps({"x": KNOWN}, ensure_ascii=False)),
        ("json twice", json.dumps(json.dumps({"x": KNOWN}))),
        ("url", quote(KNOWN, safe="")),
        ("url, slashes", quote(KNOWN)),
        ("form", quote_plus(KNOWN)),
        (
            "url, lower case",
            quote(KNOWN, safe="").replace("%2F", "%2f").replace("%2B", "%2b").replace("%C3%A4", "%c3%a4"),
        ),
        ("base64", base64.b64encode(KNOWN.encode()).decode()),
        ("base64, for urls", base64.urlsafe_b64encode(KNOWN.encode()).decode()),
        *((f"base64 behind {at}", each) for at, each in enumerate(aligned)),
        ("hex", KNOWN.encode().hex()),
        ("broken line", KNOWN[:7] + "\n" + KNOWN[7:]),
        ("broken base64", aligned[0][:20] + "\r\n" + aligned[0][20:]),
        ("html", "c0rrect/horse &quot;battery&quot;+stäple"),
        ("inside a cue's value", f"password={KNOWN}"),
    ]


@pytest.mark.parametrize(("how", "text"), _wrapped())
def test_a_known_secret_is_hidden_in_every_form(how: str, text: str) -> None:
    redactor = Redactor()
    redactor.learn([KNOWN.encode() + b"\n"])
    result = redactor.redact(text).text
    assert "[secret 1]" in result
    for piece in (KNOWN[:7], KNOWN[-6:], KNOWN.encode().hex()[:12], "c0rrect", "battery"):
        assert piece not in result


def test_what_is_too_short_or_everywhere_is_ignored_with_the_reason() -> None:
    redactor = Redactor()
    assert redactor.learn([b"5432", b"", b"production", b"hunter22", b"x" * 20_000]) == {
        Ignored.SHORT: 2,
        Ignored.PUBLIC: 1,
        Ignored.LONG: 1,
    }
    assert redactor.text("production 5432 hunter22") == "production 5432 [secret 1]"


def test_a_longer_secret_wins_over_one_that_it_contains() -> None:
    redactor = Redactor()
    redactor.learn([b"hunter22"])
    redactor.learn([b"hunter22-and-more"])
    assert redactor.text("hunter22-and-more, hunter22") == "[secret 1], [secret 2]"


def test_a_key_in_several_lines_is_known_by_each_of_them() -> None:
    redactor = Redactor()
    lines = ["abcdefghijklmnopqrstuvwx", "yzabcdefghijklmnopqrstuv"]
    redactor.learn(["\n".join(lines).encode()])
    assert redactor.text(f"only {lines[1]} here") == "only [secret 1] here"


def test_nothing_of_what_is_known_shows_in_its_repr() -> None:
    redactor = Redactor()
    redactor.learn([b"hunter22"])
    scope = redactor.scope()
    scope.text("MRN 1234567 hunter22")
    assert "hunter22" not in repr(redactor) + repr(scope) + str(vars(type(redactor)))
    assert "1234567" not in repr(scope)


def test_the_process_has_one_redactor() -> None:
    assert default_redactor() is default_redactor()


# ---- failing closed ----


class _Broken(Redactor):
    def known(self) -> Any:
        raise RuntimeError("the text was: MRN 1234567")


@pytest.mark.parametrize("method", ["redact", "redact_bytes", "text", "json", "finds_nothing"])
def test_whatever_goes_wrong_no_text_leaves_and_none_is_in_the_error(method: str) -> None:
    given_value: Any = b"MRN 1234567" if method in ("redact_bytes", "finds_nothing") else "MRN 1234567"
    with pytest.raises(RedactionFailed) as failed:
        getattr(_Broken(), method)(given_value)
    assert "1234567" not in str(failed.value)
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__


def test_what_is_no_text_and_no_json_fails() -> None:
    with pytest.raises(RedactionFailed):
        Redactor().json({"x": object()})
    with pytest.raises(RedactionFailed):
        Redactor().redact(None)  # type: ignore[arg-type]


# ---- the log of the sandbox's cluster ----

_PLANTED = re.compile(
    r"(?<=patient )[A-Z][a-z]+ [A-Z][a-z]+|(?<=/Patient/)\d+|(?<=MRN )\d+|(?<=mrn=)\d+|(?<=SSN )[\d-]+|hunter2\d"
    r"|(?<=Bearer )\S+|[\w.]+@example\.com|(?<=phone )[\d-]+"
)


@pytest.mark.parametrize("lines", [logs._backend, logs._frontend])
def test_of_a_clusters_log_exactly_what_was_planted_is_gone(lines: Any) -> None:
    rng = random.Random(7)
    text = "\n".join(
        f"2026-11-24T11:20:{at % 60:02}.{at:06}Z backend-7c9f8d6b5-x2lqp {lines(rng)}" for at in range(5000)
    )
    planted = set(_PLANTED.findall(text))
    result = Redactor().redact(text)
    assert MARK.sub(b"*", result.text.encode()).decode() == _PLANTED.sub("*", text)
    assert not [value for value in planted if value in result.text]
    assert sum(result.counts.values()) == len(_PLANTED.findall(text)) > 0


@pytest.mark.parametrize(
    ("came", "left"),
    [
        ("last_name=van der Berg status=ok", "last_name=[name 1] status=ok"),
        ("surname: de la Cruz, given", "surname: [name 1], given"),
        ("surname=von%20der%20Heide&x=1", "surname=[name 1]&x=1"),
        ("last_name: de la cruz", "last_name: [name 1]"),
        ("client: 203.0.113.9, server: _", "client: [ip address 1], server: _"),
        ("[client 203.0.113.9:5000] refused", "[client [ip address 1]:5000] refused"),
        ("remote=/203.0.113.9:5000", "remote=/[ip address 1]:5000"),
        ('{"peer":"2001:db8::7"}', '{"peer":"[ip address 1]"}'),
    ],
)
def test_a_surname_goes_with_its_small_words_and_a_peers_public_address_goes(came: str, left: str) -> None:
    assert Redactor().text(came) == left
    assert Redactor().text(left) == left


@pytest.mark.parametrize(
    "text",
    [
        "peer=10.0.0.3:5432",
        "remote: 192.168.1.4",
        "[client 10.0.0.3:5000]",
        "client: v1.31.2",
        "server: 203.0.113.9",
        "the client 203.0.113.9",
        "remote: Counting objects: 10",
        "peer: 10:15:33",
    ],
)
def test_what_only_looks_like_a_peers_public_address_stays(text: str) -> None:
    assert Redactor().text(text) == text


@pytest.mark.parametrize(
    "cue", ["wrong MRN", "phone:", "dob:", "last visit", "reading password:", "token =", "first_name:"]
)
@pytest.mark.parametrize(
    "record",
    [
        "2026-11-24T14:02:31.123456789Z ok",
        "2026-11-24 14:02:31 INFO ok",
        "2026-11-24T14:02:31,5+01:00 [WARN] ok",
        "ERROR ok",
    ],
)
def test_a_cue_that_ends_a_line_takes_nothing_of_the_record_that_follows(cue: str, record: str) -> None:
    assert Redactor().text(f"{cue}\n{record}") == f"{cue}\n{record}"
    assert Redactor().text(f"{cue}\n{record} MRN 1234567") == f"{cue}\n{record} MRN [mrn 1]"


@pytest.mark.parametrize(
    ("came", "left"),
    [
        ("password:\nhunter22x", "password:\n[password 1]"),
        ("dob:\n1957-03-12", "dob:\n[birth date 1]"),
        ("last visit\n2026-11-24 14:02:31 at noon", "last visit\n[date 1] at noon"),
    ],
)
def test_a_value_alone_below_its_cue_goes(came: str, left: str) -> None:
    assert Redactor().text(came) == left
