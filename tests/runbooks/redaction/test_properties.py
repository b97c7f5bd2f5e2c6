"""What holds for every text: redacting twice changes nothing, planted values survive in no wrapper, anything passes or fails closed."""

import base64
import json
from urllib.parse import quote

from hypothesis import example, given, settings
from hypothesis import strategies as st

from runbooks.redaction.redactor import Redactor
from tests.runbooks.redaction.test_redactor import AWS_ID, AWS_SECRET, GITHUB, JWT, KEY, RANDOM, SLACK, STAYS, redact

# ---- properties ----

_FRAGMENTS = st.sampled_from(
    [
        *[
            "password",
            "token",
            "secret",
            "MRN",
            "patient",
            "name",
            "SSN",
            "phone",
            "dob",
            "Bearer",
            "Basic",
            "--password",
            "family",
        ],
        *[
            "=",
            ": ",
            ":",
            " ",
            "\n",
            '"',
            "'",
            "\\",
            '\\"',
            "%20",
            "%3D",
            "://",
            "@",
            ",",
            ";",
            "&",
            "[",
            "]",
            "{",
            "}",
            "(",
            "<",
            ">",
            "/",
            "-",
            "+",
        ],
        *[
            "hunter2",
            "1234567",
            "123-45-6789",
            "206-555-0123",
            "Maria",
            "Lopez",
            "maria@example.org",
            "1980-02-01",
            "Patient/1234567",
        ],
        *[
            JWT,
            AWS_ID,
            GITHUB,
            SLACK,
            RANDOM,
            AWS_SECRET,
            KEY,
            KEY[:60],
            "[mrn 1]",
            "[name 2]",
            "[password 1]",
            "[secret 1]",
            "ü",
            "李",
            "—",
        ],
        *[
            "postgres://u:hunter2@db",
            "dXNlcjpwYXNz",
            "known-value-1",
            base64.b64encode(b"known-value-1").decode(),
            "null",
            "***",
        ],
    ]
)
_TEXTS = st.lists(_FRAGMENTS | st.text(max_size=6), max_size=14).map("".join)


def _knowing() -> Redactor:
    redactor = Redactor()
    redactor.learn([b"known-value-1"])
    return redactor


KNOWING = _knowing()


@settings(max_examples=1500, deadline=None)
@given(_TEXTS)
@example("password=[password 1]")
@example("patient Maria Lopez Chen Wei Olu Berg")
def test_redacting_twice_changes_nothing(text: str) -> None:
    once = KNOWING.text(text)
    assert KNOWING.text(once) == once


@settings(max_examples=1000, deadline=None)
@given(_TEXTS)
def test_the_values_that_have_a_form_of_their_own_never_survive(text: str) -> None:
    for planted in (JWT, GITHUB, SLACK, "known-value-1"):
        assert planted not in KNOWING.text(f"{text} {planted} {text}")


_VALUES = st.from_regex(r"[a-z]{3}[0-9][A-Za-z0-9!#$%*_.~-]{4,16}[A-Za-z0-9]", fullmatch=True)


@settings(max_examples=500, deadline=None)
@given(_VALUES, st.sampled_from(["password", "DB_PASSWORD", "api_key", "clientSecret", "access_token"]))
def test_a_value_behind_a_cue_survives_in_no_wrapper(value: str, cue: str) -> None:
    wrappers = [
        f"{cue}={value}",
        f"{cue}: {value}",
        f"x {cue} = '{value}' y",
        json.dumps({"a": 1, cue: value, "b": 2}),
        json.dumps(json.dumps({cue: value})),
        json.dumps({"log": f"line one\n{cue}={value}\nline three"}),
        f"{cue}:\n  {value}\nnext: 1",
        f"https://host/path?{cue}={quote(value, safe='')}&x=1",
        quote(f"{cue}={value}&x=1", safe=""),
        f"<{cue}>{value}</{cue}>",
    ]
    for text in wrappers:
        result = redact(text)
        assert value not in result, text
        assert quote(value, safe="") not in result, text


@settings(max_examples=300, deadline=None)
@given(st.integers(10**6, 10**7), st.sampled_from(["Maria Lopez", "Ahmed Haddad", "Olu Adeyemi", "José Núñez"]))
def test_a_patient_survives_in_no_wrapper(mrn: int, person: str) -> None:
    line = f"sync failed for patient {person} MRN {mrn} SSN 123-45-6789: conflict"
    for text in (
        line,
        json.dumps({"message": line}),
        json.dumps({"message": line}, ensure_ascii=False),
        line.replace(" ", "\n"),
        json.dumps(line.replace(" ", "\n"), ensure_ascii=False),
        line.replace(" ", "%20"),
        line.replace(" ", "+"),
    ):
        result = redact(text)
        assert str(mrn) not in result, text
        assert "123-45-6789" not in result, text
        if person.isascii() or "\\u" not in text:
            assert not any(word in result for word in person.split()), (text, result)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(STAYS), min_size=1, max_size=6), st.sampled_from([" ", "\n", " | ", ", "]))
def test_look_alikes_stay_side_by_side_too(texts: list[str], between: str) -> None:
    harmless = [text for text in texts if not text.endswith((":", "name", "token"))]
    whole = "\n".join(harmless) if between == "\n" else between.join(harmless[:1])
    assert redact(whole) == whole


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_pass_or_are_redacted_never_raise(data: bytes) -> None:
    once = KNOWING.redact_bytes(b"MRN 1234567 " + data).data
    assert b"1234567 " not in once
    assert KNOWING.redact_bytes(once).data == once


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_any_text_stays_text(text: str) -> None:
    assert isinstance(redact(text), str)
