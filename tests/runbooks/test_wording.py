"""Whatever a value is, the words for it fit into a sentence: empty, one, very many, very long, no number, markup."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.wording import (
    age,
    age_since,
    by_count,
    cited,
    counted,
    duration,
    headed,
    listed,
    measured,
    short_digest,
    short_id,
    shortened,
    size,
)

SECONDS = st.one_of(st.floats(), st.integers(-(10**18), 10**18).map(float))
COUNTS = st.integers(0, 10**12)


@given(COUNTS)
def test_a_noun_agrees_with_its_count(count: int):
    said = counted(count, "line")
    assert said.endswith(" line") == (count == 1)
    assert int(said.split()[0].replace(",", "")) == count
    assert counted(count, "entry", "entries").endswith(by_count(count, "entry", "entries"))


@given(st.lists(st.text(max_size=8), max_size=9), st.one_of(st.none(), st.integers(1, 4)))
def test_a_list_is_never_empty_and_names_whoever_has_a_name(names: list[str], most: int | None):
    said = listed(names, "or", most=most)
    known = [name for name in names if name.strip()]
    assert said.strip()
    shown = known if most is None else known[:most]
    assert all(name in said for name in shown)
    assert (said == "none") == (known in ([], ["none"]))
    if most is not None and len(known) > most:
        assert said.endswith(f" or {len(known) - most} more")


@given(SECONDS)
def test_a_duration_has_units_that_grow_and_no_sign(seconds: float):
    for said in (duration(seconds), age(seconds)):
        assert said == "an unknown time" or re.fullmatch(
            r"\d+ s|\d+ min( \d+ s)?|\d+ h( \d+ min)?|[\d,]+ days", said
        ), said
        assert not said.startswith("1 days")


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_what_is_older_is_not_told_as_younger(one: int, other: int):
    units = {"s": 1, "min": 60, "h": 3600, "days": 86400}

    def told(said: str) -> int:
        number, unit = said.split()
        return int(number.replace(",", "")) * units[unit]

    assert (told(age(one)) <= told(age(other))) or one > other
    assert told(age(one)) <= one


@given(st.one_of(st.floats(), st.integers(-10, 2**60).map(float)))
def test_a_size_is_a_short_number_with_a_unit(count: float):
    said = size(count)
    assert said == "an unknown size" or re.fullmatch(r"\d+(\.\d)? ([KMGT]iB|B)", said), said


@given(st.text(max_size=200), st.integers(1, 60))
def test_what_is_shortened_keeps_within_its_bound_and_shows_it(text: str, most: int):
    said = shortened(text, most)
    assert len(said) <= most
    assert said == text if len(text) <= most else said.endswith("…")


def test_a_cut_after_what_is_hidden_shows_one_ellipsis() -> None:
    assert shortened("update encounters set status = '…' where id = ?", 34) == "update encounters set status = '…"


@given(st.text(max_size=200), st.integers(2, 60))
def test_cited_words_are_one_visible_piece_of_code(text: str, most: int):
    said = cited(text, most)
    inside = said[1:-1] if said.startswith("`") else ""
    assert said == "an empty text" or (said[0] == said[-1] == "`" and inside.strip())
    assert len(said) <= max(most + 2, len("an empty text"))
    assert "`" not in inside
    assert all(sign.isprintable() for sign in said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "an empty text"),
        ("\u200b\u2060", "an empty text"),
        ("a\n`b`", "`a 'b'`"),
        ("x" * 60, f"`{'x' * 39}…`"),
        ("v2.0.0", "`v2.0.0`"),
    ],
)
def test_what_is_cited_of_odd_words(text: str, said: str):
    assert cited(text) == said


@pytest.mark.parametrize(
    ("seconds", "whole", "rough"),
    [
        (-3, "0 s", "0 s"),
        (59.4, "59 s", "59 s"),
        (72, "1 min 12 s", "1 min"),
        (3600, "1 h", "1 h"),
        (7500, "2 h 5 min", "2 h"),
        (86_400, "24 h", "24 h"),
        (172_800, "2 days", "2 days"),
        (10**10, "115,740 days", "115,740 days"),
        (float("nan"), "an unknown time", "an unknown time"),
    ],
)
def test_durations_as_people_say_them(seconds: float, whole: str, rough: str):
    assert (duration(seconds), age(seconds)) == (whole, rough)


def test_an_age_is_counted_from_now():
    now = datetime(2026, 1, 2, tzinfo=UTC)
    assert age_since(now - timedelta(minutes=5), now) == "5 min"
    assert age_since(now + timedelta(minutes=5), now) == "0 s"


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ("production.deploy.7kq2abcdefghi", "7KQ2"),
        ("production.deploy.7kq2abc.run", "7KQ2"),
        ("7KQ2", "7KQ2"),
        ("", ""),
    ],
)
def test_a_run_is_named_by_what_people_type(run: str, said: str):
    assert short_id(run) == said


def test_a_digest_is_named_by_its_first_digits():
    assert short_digest("sha256:" + "ab" * 32) == "ab" * 6
    assert short_digest("ab" * 32, 8) == "ab" * 4
    assert short_digest("") == ""


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (0.0213, "%", "0.0213 %"),
        (112.4, "ms", "112 ms"),
        (1240.4, "ms", "1,240 ms"),
        (3, "", "3"),
        (-2500, "", "-2,500"),
        (1e300, "s", "1e+300 s"),
    ],
)
def test_a_measured_value_has_three_digits_and_no_exponent_where_people_count(
    value: float, unit: str, said: str
) -> None:
    assert measured(value, unit) == said


@pytest.mark.parametrize(
    ("name", "said"),
    [("db kill", "DB kill"), ("cdn invalidate", "CDN invalidate"), ("pid", "PID"), ("dry run", "Dry run"), ("", "")],
)
def test_a_heading_keeps_initials_large(name: str, said: str) -> None:
    assert headed(name) == said
