"""Reading is linear in the text, whatever it repeats: the patterns have a width, readers pay for looking ahead, and a long line is withheld.

Nothing here looks at a clock: what is counted are the lines of Python that run, and the bytes that readers look at beyond what they take.
"""

import re
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from runbooks.redaction.marks import PrivateKind
from runbooks.redaction.redactor import Redactor, _parts
from runbooks.redaction.rules import patterns, rules
from runbooks.redaction.text import LONGEST_LINE, ScannedText, TooDense, long_lines

WIDEST = 4096
"""Bytes that one search may look at beyond where it began."""


@pytest.mark.parametrize("name", list(rules()))
def test_every_pattern_has_a_greatest_width(name: str) -> None:
    _, widest = re._parser.parse(rules()[name]).getwidth()  # type: ignore[attr-defined]  # says exactly what is asked
    assert widest <= WIDEST


def test_every_rule_is_searched_in_one_group() -> None:
    numbers = [number for group in patterns().groups for number in group.numbers]
    assert sorted(numbers) == list(range(len(rules())))


def _lines_run(work: Callable[[], object]) -> int:
    """So many lines of this project's redaction run in it."""
    count = 0

    def line(_frame: FrameType, event: str, _arg: Any) -> Any:
        nonlocal count
        count += event == "line"
        return line

    def call(frame: FrameType, _event: str, _arg: Any) -> Any:
        return line if "redaction" in frame.f_code.co_filename else None

    before = sys.gettrace()
    sys.settrace(call)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def _steps(redactor: Redactor, text: bytes) -> int:
    return _lines_run(lambda: redactor.redact_bytes(text))


_HOSTILE = [
    b"PID|", b'"name":{', b'"address":[', b'"identifier":[{"value":', b'"name":{"address":{"identifier":{', b"eyJabcde.", b"eyJabcde", b"Patient/", b"basic+", b"Basic dXNlcjpwYXNz",
    b"-----BEGIN PRIVATE KEY-----", b'-----BEGIN PRIVATE KEY-----"-----END ', b"password=,", b"password='", b'password=\\"', b'password="\n', b"://a:", b"://a:b@", b"@",
    b"a.", b"a@a.", b"a@b.cc", b"\\", b"\\u00", b"%25", b"&amp;", b"\x1b[", b"\x1b]0;", b"[mrn 1]", b"[name 1]x", b"MRN: [mrn 1]", b"[mrn 1][mrn 1]7", b"AbCd1234", b"name=Maria ", b'"family":[',
    b"ZPI|", b"NTE|1||x", b"MSH#^~\\&#", b"MSH|", b'{"resourceType":"Patient",', b'{"note":"x","resourceType":"Patient"}', b'"{\\"resourceType\\":\\"P', b'{"vr":"PN","Value":["', b"{\\", b"{\\n",
    b"12 Main ", b"MRN ", b"[{", b'{"a":', b"Ab0/", b"Ab0-", b"xoxb-", b'"\\"', b'name\\":{', b"authorization: ", b"--password ", b"'\n\"",
    b"Duplicate entry '", b"Duplicate entry 'x' for key 'a'", b"varchar value 'x", b"rejected value [", b"[Parameters=[@p0='", b"[Parameters=[@p0='x', ", b"@p0=N'", b"@p0=''",
    b"CALL p('a',", b"CALL p(", b"SELECT patient('a', ", b"(VALUES (", b"(VALUES ('a'),", b"' AS first_name", b"'a' AS mrn,", b"EXEC a @b='", b"EXEC a 'x", b"EXEC a N'x', ",
    b"GB82 ", b"--pass ", b"Pwd={", b"password={;", b"jdbc:oracle:thin:a/", b"zip -P", b"ldapsearch -w", b"key:pass ", b'{ name = "DB_PASSWORD", value = "', b'pass="a" -> "', b'pass="" -> ',
    b"last_name=van ", b"surname: de la ", b"van der ", b"client=", b"peer: 203.0.113.9", b"[client ",
    b"OBX|1|TX|a||b c~", b"OBX|1|ST|a||1~", b"DG1|", b"N3*", b"N3*1 ", b" NM1*IL*1", b" DMG*D8*",
    b"_pass=4829", b"dup key: { a: ", b"\xc2\xab(", b"duplicate key value is (",
]  # fmt: skip
"""What attackers would repeat, besides what the patterns themselves say."""


@pytest.mark.parametrize("fragment", _HOSTILE)
def test_eight_times_the_text_costs_eight_times_the_steps(fragment: bytes) -> None:
    redactor = Redactor()
    redactor.redact_bytes(b"MRN 1234567")
    small, large = fragment * (1_000 // len(fragment) + 1), fragment * (8_000 // len(fragment) + 8)
    assert _steps(redactor, large) <= 12 * _steps(redactor, small) + 2_000


def _repeated() -> Iterator[st.SearchStrategy[bytes]]:
    for pattern in rules().values():
        yield st.from_regex(re.compile(pattern), fullmatch=True)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.one_of(*_repeated()) | st.sampled_from(_HOSTILE), min_size=1, max_size=3).map(b"".join),
    st.integers(0, 40),
)
@example(b'"name":\x0c[', 0)
@example(b"Key(\x00)=(dob\t0000-0-0", 0)
def test_what_a_pattern_finds_costs_no_more_where_it_is_repeated(hit: bytes, cut: int) -> None:
    """Whole, or cut at its end, so that it stays open. One pass: there are twelve at most.

    A reader gives up at some distance. Where that lies between two sizes, the cost leaps once; if it grew faster than the text,
    it would do so between the next two as well.
    """
    fragment = hit[:400][: max(1, min(len(hit), 400) - cut)]
    list(_parts(b"MRN 1234567"))

    def cost(size: int) -> int:
        data = fragment * (size // len(fragment) + 4)
        return _lines_run(lambda: list(_parts(data)))

    assert any(cost(4 * size) <= 6 * cost(size) + 2_000 for size in (3_000, 12_000))


@pytest.mark.parametrize("fragment", _HOSTILE)
def test_readers_look_at_each_byte_a_bounded_number_of_times(fragment: bytes) -> None:
    looked = []

    class Counting(ScannedText):
        def look(self, size: int) -> None:
            looked.append(size)
            super().look(size)

    data = fragment * (100_000 // len(fragment))
    list(_parts(data, Counting(data)))
    assert sum(looked) <= 16 * len(data) + (512 << 10)


class _Poor(ScannedText):
    """Looking ahead is dearer: no text is known that empties the purse."""

    def look(self, size: int) -> None:
        super().look(size << 10)


def test_where_looking_ahead_costs_too_much_the_rest_of_the_line_is_withheld_and_the_next_is_read() -> None:
    data = b"a MRN 7654321\n" + b'"name":[{"family":"Lopez","x":"%s"}] MRN 1\n' % (b"y" * 500) + b"b MRN 7654321"
    parts = list(_parts(data, _Poor(data)))
    assert [(part.withheld, data[part.start : part.end][:8]) for part in parts] == [
        (False, b"7654321"), (True, b'"name":['), (False, b"7654321"),
    ]  # fmt: skip
    assert data[parts[1].end :] == b"\nb MRN 7654321"


def test_a_purse_that_is_empty_fills_as_reading_goes_on() -> None:
    text = ScannedText(b"x" * (1 << 20))
    text.look(200 << 10)
    with pytest.raises(TooDense):
        text.look(200 << 10)
    text.at = 1 << 20
    text.look(200 << 10)


def test_a_line_that_is_too_long_is_withheld_with_a_sentence_and_its_neighbours_are_read() -> None:
    long = b"MRN 1234567 " * (LONGEST_LINE // 12 + 1)
    redacted = Redactor().redact_bytes(b"first MRN 1234567\n" + long + b"\nlast")
    text = redacted.data
    assert redacted.counts == {PrivateKind.MRN: 1, PrivateKind.WITHHELD: 1}
    said = b"[a line of %d bytes was withheld: lines are read up to %d bytes]" % (len(long), LONGEST_LINE)
    assert text == b"first MRN [mrn 1]\n" + said + b"\nlast"
    assert Redactor().redact_bytes(text).data == text


def test_a_long_line_without_a_hit_stays() -> None:
    data = b"ok " * LONGEST_LINE
    assert Redactor().redact_bytes(data).data is data


@pytest.mark.parametrize("over", [-1, 0, 1])
def test_the_bound_is_met_to_the_byte(over: int) -> None:
    line = b"x" * (LONGEST_LINE + over)
    for data in (line, line + b"\n", b"\n" + line, b"a\n" + line + b"\nb", line + b"\n" + line):
        found = [data[start:end] for start, end in long_lines(data)]
        assert found == ([line] * data.count(line) if over > 0 else [])
