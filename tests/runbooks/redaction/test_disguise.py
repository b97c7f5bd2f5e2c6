"""What a text wears hides nothing: colours, signs without width, other blanks and digits, escapes; and what need not go keeps its colours."""

import itertools
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbooks.redaction.disguise import plain, readings
from runbooks.redaction.redactor import KnownSecrets, Redactor
from tests.runbooks.redaction.test_redactor import RANDOM, STAYS, redact
from tests.support.steps import steps_of

RED, BOLD, OFF = "\x1b[31m", "\x1b[01;31m\x1b[K", "\x1b[0m"

Disguise = Callable[[str], str]


def _between(sign: str) -> Disguise:
    return sign.join


def _each(written: Callable[[str], str]) -> Disguise:
    return lambda text: "".join(map(written, text))


def _wide(sign: str) -> str:
    return chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" else "\N{IDEOGRAPHIC SPACE}"


DISGUISES: dict[str, Disguise] = {
    "a colour around it": lambda text: f"{RED}{text}{OFF}",
    "a colour around each half, as `grep --color` does": lambda text: f"{text[:4]}{BOLD}{text[4:8]}\x1b[m\x1b[K{text[8:]}",
    "a colour for each sign": _each(lambda sign: f"\x1b[38;5;{ord(sign)}m{sign}"),
    "a colour escaped by JSON": lambda text: json.dumps(f"{text[:5]}{RED}{text[5:]}{OFF}"),
    "a colour as terminals show it": lambda text: text[:5] + "\N{SYMBOL FOR ESCAPE}[31m" + text[5:],
    "a colour by the one sign for escape and bracket": lambda text: text[:5] + "\x9b1m" + text[5:],
    "a link of a terminal": lambda text: f"{text[:5]}\x1b]8;;https://host/\x1b\\{text[5:]}\x1b]8;;\x07",
    "spaces without width": _between("\N{ZERO WIDTH SPACE}"),
    "soft hyphens": _between("\N{SOFT HYPHEN}"),
    "byte order marks": _between("\N{ZERO WIDTH NO-BREAK SPACE}"),
    "tags and variation selectors": _between("\ufe0f\U000e0020"),
    "strokes through it": _between("\N{COMBINING LONG STROKE OVERLAY}"),
    "NUL bytes": _between("\0"),
    "overstriking": _each(lambda sign: f"{sign}\b{sign}"),
    "no-break spaces": lambda text: text.replace(" ", "\N{NO-BREAK SPACE}"),
    "narrow no-break spaces": lambda text: text.replace(" ", "\N{NARROW NO-BREAK SPACE}"),
    "no-break hyphens": lambda text: text.replace("-", "\N{NON-BREAKING HYPHEN}"),
    "full width": _each(_wide),
    "mathematical digits": _each(lambda sign: chr(0x1D7CE + int(sign)) if sign.isdigit() else sign),
    "Arabic digits": _each(lambda sign: chr(0x660 + int(sign)) if sign.isdigit() else sign),
    "Thai digits": _each(lambda sign: chr(0xE50 + int(sign)) if sign.isdigit() else sign),
    "all of it escaped for JSON": _each(lambda sign: f"\\u{ord(sign):04x}"),
    "the same in JSON in JSON": _each(lambda sign: f"\\\\u{ord(sign):04X}"),
    "signs escaped for HTML in JSON": _each(lambda sign: sign if sign.isalnum() or sign == " " else f"\\u{ord(sign):04x}"),
    "hexadecimal escapes": _each(lambda sign: f"\\x{ord(sign):02x}"),
    "octal escapes": _each(lambda sign: f"\\{ord(sign):03o}"),
    "HTML's references": _each(lambda sign: f"&#{ord(sign)};"),
    "HTML's references, hexadecimal": _each(lambda sign: f"&#x{ord(sign):X};"),
    "percent signs for all": _each(lambda sign: f"%{ord(sign):02X}"),
    "percent signs twice": lambda text: quote(quote(text, safe=""), safe=""),
}  # fmt: skip
PLANTED = {
    "patient MRN 1234567 seen": ("1234567",),
    "SSN 123-45-6789": ("123-45-6789", "6789"),
    "call 206-555-0123 now": ("206-555-0123", "0123"),
    "password=hunter2x": ("hunter2x",),
    f"seen {RANDOM} there": (RANDOM,),
    "postgres://emr:hunter2x@db:5432/emr": ("hunter2x",),
}


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("text", PLANTED)
def test_nothing_leaves_in_disguise(text: str, disguise: str) -> None:
    worn = DISGUISES[disguise](text)
    left = redact(f"INFO {worn} ok")
    for value in PLANTED[text]:
        for seen in (
            left,
            plain(left.encode()).decode(),
            *(reading.data.decode() for reading in readings(left.encode())),
        ):
            assert value not in seen, (worn, left)
    assert redact(left) == left


@pytest.mark.parametrize(("text", "wanted"), [
    (f"{RED}ERROR{OFF} for MRN {BOLD}1234567{OFF}: conflict", f"{RED}ERROR{OFF} for MRN {BOLD}[mrn 1]{OFF}: conflict"),
    (f"MRN{OFF}1234567", f"MRN{OFF}[mrn 1]"),
    ("MRN\\u200b1234567", "MRN\\u200b[mrn 1]"),
    ("SSN \\123-45-6789", "SSN [ssn 1]"),
    ("\x1b]2;patient MRN 1234567\x07 ok", "[mrn 1] ok"),
    ('{"msg":"\\u001b[32minfo\\u001b[39m: MRN 1234567"}', '{"msg":"\\u001b[32minfo\\u001b[39m: MRN [mrn 1]"}'),
    ("MRN 123\u200b4567, MRN 1234567", "MRN [mrn 1], MRN [mrn 1]"),
    ("password\\u003dhunter2x\\u0026page\\u003d2", "password\\u003d[password 1]\\u0026page\\u003d2"),
    ("patient Jos\\u00e9 N\\u00fa\\u00f1ez MRN 1234567", "patient [name 1] MRN [mrn 1]"),
    ("patient Jos\\303\\251 Lopez seen", "patient [name 1] seen"),
    ("mail ana\\u0040example.org", "mail [e-mail 1]"),
    ("password=“hunter2x y”", "password=“[password 1]”"),
    ("Authorization: Bearer 'abc.def-123_4567'", "Authorization: Bearer '[secret 1]'"),
    ('auth with bearer "0123456789abcdef"', 'auth with bearer "[bearer token 1]"'),
])  # fmt: skip
def test_only_the_value_goes_and_the_rest_stays_as_it_came(text: str, wanted: str) -> None:
    assert redact(text) == wanted


@pytest.mark.parametrize("text", STAYS)
@pytest.mark.parametrize(
    "worn", ["{}", RED + "{}" + OFF, "\N{NO-BREAK SPACE}{}\N{ZERO WIDTH SPACE}", "“{}”", "\\u001b[1m{}\\u001b[0m"]
)
def test_what_stays_stays_in_colours_too(text: str, worn: str) -> None:
    if not text.endswith((":", "name", "token")):
        assert redact(worn.format(text)) == worn.format(text)


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_known_secret_leaves_in_none(disguise: str) -> None:
    redactor = Redactor()
    redactor.learn([b"correct-horse-battery"])
    worn = DISGUISES[disguise]("correct-horse-battery")
    for scope in (redactor.scope(), KnownSecrets(redactor)):
        assert not scope.finds_nothing(worn.encode())
        left = scope.text(f"x {worn} y")
        assert "horse" not in plain(left.encode()).decode(), left


def test_a_key_in_disguise_is_still_a_cue() -> None:
    assert Redactor().json({"pass\u200bword": "some thing", "count": 7}) == {
        "pass\u200bword": "[password 1]",
        "count": 7,
    }
    assert Redactor().json({"password": "some\u200b thing"}) == {"password": "[password 1]"}


_SIGNS = st.sampled_from([RED, OFF, "\u200b", "\u00ad", "\0", "\u2060", "\\u001b[1m", "\x1b[K"])


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), _SIGNS), max_size=12))
def test_signs_anywhere_in_a_line_hide_no_value(places: list[tuple[int, str]]) -> None:
    text = "patient MRN 1234567 SSN 123-45-6789 end"
    for at, sign in sorted(places, reverse=True):
        text = text[:at] + sign + text[at:]
    left = redact(text)
    seen = plain(left.encode()).decode()
    assert "1234567" not in seen, (text, left)
    assert "6789" not in seen, (text, left)
    assert redact(left) == left


_ANY: Any = st.lists(
    st.sampled_from([RED, OFF, "\u200b", "\u00a0", "\\u0041", "\\x4", "%41", "&#65;", "&amp;", "\uff11", "MRN ", "1234567", "ü", "\n", "\b", "\\ud83d\\ude00", "\\303\\251"])
    | st.text(max_size=3),
    max_size=12,
).map("".join)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(_ANY)
def test_each_byte_that_is_read_stands_somewhere_in_the_text_as_it_came(text: str) -> None:
    came = text.encode(errors="surrogatepass")
    for reading in readings(came):
        spans = [reading.span(at, at + 1) for at in range(len(reading.data))]
        assert all(0 <= start < end <= len(came) for start, end in spans)
        assert all(one[0] <= other[0] for one, other in itertools.pairwise(spans))
        for (start, end), byte in zip(spans, reading.data, strict=True):
            assert end - start > 1 or came[start] == byte or byte == 0x20


@settings(max_examples=500, deadline=None)
@given(_ANY)
def test_twice_is_once_in_disguise_too(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


def test_a_long_coloured_text_takes_linear_time() -> None:
    line = f"{RED}INFO{OFF} MRN {BOLD}1234567{OFF} \\u001b[1mx \x1b]8;;{'a' * 300}\n"

    few, many = (steps_of(lambda lines=lines: redact(line * lines)) for lines in (500, 2_000))
    assert "1234567" not in redact(line * 500)
    assert many < few * 5, (few, many)
