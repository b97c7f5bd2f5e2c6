"""What a pattern finds in a log, and what it must not give away."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.logs.blocks import LONGEST, Blocks, Window, is_stamped, sortable, stamp_of
from runbooks.logs.grouping import Grouping
from runbooks.logs.matching import MatchVerdict, Pattern, text_of
from runbooks.logs.newest import Newest
from runbooks.redaction.redactor import Redactor

BLOCK = b"2026-01-01T00:00:01Z ERROR one\n2026-01-01T00:00:02Z fine 2026\n2026-01-01T00:00:03Z one\n2026-01-01T00:00:04Z ERROR\n"


@pytest.mark.parametrize(
    ("grep", "expected"),
    [
        ("ERROR", [0, 3]),
        ("^one", [2]),
        ("one$", [0, 2]),
        ("^ERROR$", [3]),
        (r"\AERROR\z", [3]),
        (r"\bone\b", [0, 2]),
        ("2026", [1]),
        ("Z", []),
        (r"one\s+2026", []),
        ("[^x]+two", []),
        (r".*ERROR", [0, 3]),
        (r"\d", [1]),
        ("(?i)error", [0, 3]),
        ("", [0, 1, 2, 3]),
        ("nothing", []),
    ],
)
def test_a_pattern_sees_each_lines_text_and_nothing_else(grep: str, expected: list[int]):
    lines = BLOCK.splitlines()
    assert Pattern(grep).lines(BLOCK) == [lines[number] for number in expected]


TEXTS = st.text(st.sampled_from("abE RO1:-TZ.é"), max_size=12)
PATTERNS = st.sampled_from(
    [
        "a",
        "E",
        "^a",
        "b$",
        "1",
        "T",
        "Z ",
        "é",
        "a|b",
        "a.*b",
        "[^a]",
        r"\bE",
        r"a\s",
        "RO+",
        "(?i)e",
        "",
        ":",
        r"\z",
        r"\d$",
        "x",
    ]
)


@given(texts=st.lists(TEXTS, min_size=1, max_size=8), grep=PATTERNS)
def test_a_block_gives_what_line_by_line_gives(texts: list[str], grep: str):
    lines = [b"2026-01-01T00:00:0%d.123456789Z " % (number % 10) + text.encode() for number, text in enumerate(texts)]
    pattern = Pattern(grep)
    assert pattern.lines(b"".join(line + b"\n" for line in lines)) == [
        line for line in lines if pattern.matches(text_of(line))
    ]


@given(
    data=st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), max_size=20),
    cuts=st.lists(st.integers(0, 400), max_size=30),
    end=st.sampled_from([b"\n", b"\r\n"]),
)
def test_chunks_may_be_cut_anywhere(data: list[bytes], cuts: list[int], end: bytes):
    whole = b"".join(line + end for line in data)
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    blocks = Blocks()
    parts = [blocks.feed(whole[a:b]) for a, b in pairwise(places)]
    found = b"".join([*parts, blocks.rest()])
    assert all(part == b"" or part.endswith(b"\n") for part in parts)
    assert found == whole.replace(b"\r\n", b"\n").decode(errors="replace").encode()


def test_a_line_without_an_end_does_not_fill_the_memory_and_the_next_is_whole():
    blocks = Blocks()
    for _ in range(40):
        assert blocks.feed(b"x" * 65_536) == b""
    found = blocks.feed(b"xx\nnext\n")
    assert found == b"x" * LONGEST + b"\nnext\n"
    assert blocks.dropped == 40 * 65_536 + 2 - LONGEST


def test_bytes_that_are_no_text_are_matched_as_they_are_shown():
    blocks = Blocks()
    block = blocks.feed(b"2026-01-01T00:00:01Z caf\xe9 ERROR \xff\n")
    assert Pattern("caf.? ERROR .$").lines(block) == [block.rstrip(b"\n")]


@pytest.mark.parametrize(
    ("grep", "way"),
    [
        ("(?=x)", "look-ahead"),
        ("(?<!x)y", "look-ahead and look-behind"),
        (r"(a)\1", "Write the repeated part twice"),
        ("(", "round bracket"),
        ("[a", "square bracket"),
        ("a**", "repeats twice"),
        ("*a", "there is nothing before"),
        (r"a\Z", r"\z"),
        ("(?>a)", "atomic"),
        ("x" * 1001, "too long"),
    ],
)
def test_a_pattern_that_re2_refuses_is_a_sentence_with_the_way_out(grep: str, way: str):
    with pytest.raises(PermanentError) as caught:
        Pattern(grep)
    assert caught.value.code is ReasonCode.USAGE
    assert way in caught.value.message


def test_stamps_sort_as_times():
    stamps = [
        "2026-01-01T00:00:05.1Z",
        "2026-01-01T00:00:05Z",
        "2026-01-01T02:00:05.05+02:00",
        "2026-01-01T00:00:05.123456789Z",
    ]
    assert sorted(stamps, key=sortable) == [stamps[1], stamps[2], stamps[0], stamps[3]]
    assert stamp_of(stamps[2].encode() + b" text") == "2026-01-01T00:00:05.050000000Z"
    assert stamp_of(b"unable to retrieve container logs") == ""
    assert not is_stamped(b"no stamp here")


def test_a_window_keeps_each_line_by_its_own_time():
    window = Window("2026-01-01T00:00:02.000000000Z", "2026-01-01T00:00:03.000000000Z")
    assert window.within(BLOCK).splitlines() == BLOCK.splitlines()[1:3]
    assert window.within(BLOCK.splitlines()[1] + b"\n") == BLOCK.splitlines()[1] + b"\n"


# The newest lines

LINES = st.lists(st.lists(st.integers(0, 10**6), max_size=30).map(sorted), min_size=1, max_size=6)


@given(streams=LINES, most=st.integers(1, 40), part=st.integers(1, 7))
def test_the_newest_lines_of_all_streams_in_time_order(streams: list[list[int]], most: int, part: int):
    def line(at: int, stream: int, number: int) -> bytes:
        return b"2026-01-01T00:00:%02d.%06d000Z %d/%d" % (at // 10**6, at % 10**6, stream, number)

    newest = Newest(most)
    given_lines = [[line(at, s, n) for n, at in enumerate(stream)] for s, stream in enumerate(streams)]
    for start in range(0, 30, part):
        for source, lines in enumerate(given_lines):
            newest.offer(lines[start : start + part], source)
    found = newest.entries()
    merged = sorted(
        ((stamp_of(each), s, each) for s, lines in enumerate(given_lines) for each in lines), key=lambda e: e[:2]
    )
    assert newest.offered == len(merged)
    assert [entry[0] for entry in found] == [entry[0] for entry in merged[-most:]]
    for source in range(len(streams)):
        own = [entry[2] for entry in found if entry[1] == source]
        assert own == given_lines[source][len(given_lines[source]) - len(own) :]


def test_what_is_kept_is_bounded_in_bytes_too():
    newest = Newest(5000)
    for number in range(6000):
        newest.offer([b"2026-01-01T00:00:00.%09dZ " % number + b"x" * 20_000], 0)
    kept = newest.entries()
    assert sum(len(line) for _, _, line in kept) <= 6_000_000
    assert kept[-1][2].endswith(b"more)")
    assert newest.offered == 6000


# Nothing is given away

PRIVATE = b"2026-01-01T00:00:01Z ERROR sync failed for patient Maria Lopez MRN 1234567 SSN 123-45-6789: conflict\n"


@pytest.mark.parametrize(
    "grep",
    [
        "Maria", "Lopez", "1234567", r"123-45-\d+", "Maria|name", r"Maria|\[", r"Maria|patient .{8} MRN", r"Maria|patient \B",
        r"patient [A-Z][a-z]+ [A-Z]", r"MRN 1\d+", "Maria|x{7}", r"MRN \d{7}", "Maria|patient [^M]", r"patient (?:M[^a]|[^M])", r"patient [\x00-LN-\x{10ffff}]", r"Maria|patient (.{11}|.) MRN",
    ],
)  # fmt: skip
def test_a_pattern_finds_nothing_by_what_is_taken_out(grep: str):
    pattern = Pattern(grep)
    grouping = Grouping(pattern)
    found = pattern.lines(PRIVATE * 3)
    assert grouping.take(found, 0) == []
    groups = grouping.groups(10)
    assert (grouping.lines, groups.shapes, groups.levels) == (0, (), {})


@pytest.mark.parametrize(
    "grep",
    ["ERROR", "ERROR.*conflict", "conflict$", "^ERROR", "MRN", "sync .* SSN", "patient", "[^x]conflict", r"\bERROR\b"],
)
def test_a_pattern_that_needs_nothing_of_it_finds_the_line(grep: str):
    pattern = Pattern(grep)
    grouping = Grouping(pattern)
    found = pattern.lines(PRIVATE * 3)
    assert len(grouping.take(found, 0)) == 3
    (shape,) = grouping.groups(10).shapes
    assert shape.text == "ERROR sync failed for patient [name] MRN [mrn] SSN [ssn]: conflict"
    assert shape.count == 3


def test_digits_are_looked_at_where_the_pattern_means_them():
    lines = b"".join(
        b"2026-01-01T00:00:01Z GET /orders %d %dms\n" % (status, status // 3) for status in (200, 500, 503, 200)
    )
    pattern = Pattern(" 50[0-9] ")
    assert pattern.verdict(Redactor().redact_bytes(b"GET /orders 500 166ms").data) is MatchVerdict.EACH
    grouping = Grouping(pattern)
    assert len(grouping.take(pattern.lines(lines), 0)) == 2


def test_levels_that_are_numbers_stay_apart():
    lines = [b'2026-01-01T00:00:01Z {"level":%d,"msg":"hello %d"}' % (level, level) for level in (30, 50, 30, 40)]
    grouping = Grouping(None)
    grouping.take(lines, 0)
    assert {str(k): v for k, v in grouping.groups(9).levels.items()} == {"error": 1, "warn": 1, "info": 2}


def test_shapes_are_bounded_and_the_rarest_are_counted_together():
    grouping = Grouping(None)
    word = ["".join(chr(97 + number // 26**place % 26) for place in range(4)) for number in range(3000)]
    for start in range(0, 3000, 50):
        grouping.take([f"2026-01-01T00:00:01Z say {each}".encode() for each in word[start : start + 50]], 0)
    grouping.take([b"2026-01-01T00:00:02Z often"] * 10, 1)
    groups = grouping.groups(5)
    assert grouping.lines == 3010
    assert groups.shapes[0].text == "often"
    assert groups.rarer == 3010 - sum(shape.count for shape in groups.shapes)
