"""Statements as they may be shown: no literal survives, in whatever way it is written; names stay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.kit.sql import HIDDEN, masked


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("SELECT * FROM patients WHERE mrn = $1", "select * from patients where mrn = $1"),
        ("SELECT 'Maria Lopez', E'it\\'s Maria', 12345.6e3", f"select {HIDDEN}, {HIDDEN}, ?"),
        ("SELECT $$Maria$$, $t$ Maria $x$ Lopez $t$, $2", f"select {HIDDEN}, {HIDDEN}, $2"),
        ("SELECT U&'d\\0061t', B'01', X'1F', N'Maria'", f"select {HIDDEN}, {HIDDEN}, {HIDDEN}, {HIDDEN}"),
        ("CREATE ROLE x PASSWORD 'hunter2hunter2'", f"create role x password {HIDDEN}"),
        (
            'SELECT a.col2, "Name Of" FROM t2 /* by /* for Maria */ Lopez */ -- Maria\nWHERE n>.5',
            'select a.col2, "Name Of" from t2 where n>?',
        ),
        ("SELECT 'O''Brien', name FROM t", f"select {HIDDEN}, name from t"),
        (
            "SELECT a FROM t WHERE id = 1 GROUP BY 1, 2 ORDER BY 2 DESC, 1 LIMIT 5",
            "select a from t where id = ? group by 1, 2 order by 2 desc, 1 limit ?",
        ),
        ("SELECT a FROM t ORDER BY f(3), 42", "select a from t order by f(?), ?"),
        # where it can't be told how it ends, everything behind it goes
        ("SELECT 'it\\'s Maria Lopez', 5 FROM t", f"select {HIDDEN}"),
        ("SELECT 'Maria Lopez", f"select {HIDDEN}"),
        ('SELECT "Maria Lopez', f"select {HIDDEN}"),
        ("SELECT $$Maria Lopez", f"select {HIDDEN}"),
        ("SELECT 1 /* Maria Lopez", "select ?"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert masked(text) == shown


PLANTED = "Zq7Planted"


@given(
    before=st.text("abc ,()=<>;\n", max_size=12),
    after=st.text("abc ,()=<>;\n'\"$-/*\\", max_size=12),
    how=st.sampled_from(
        ["'{}'", "E'\\\\{}'", "$${}$$", "$q${}$q$", "/* {} */", "-- {}\n", "U&'{}'", "'a''{}'", "x'{}'"]
    ),
)
def test_no_planted_literal_survives_whatever_stands_around_it(before: str, after: str, how: str) -> None:
    assert PLANTED.lower() not in masked(f"{before} {how.format(PLANTED)} {after}").lower()


@given(st.text(max_size=80))
def test_it_never_fails_and_never_grows_beyond_bounds(text: str) -> None:
    assert len(masked(text)) <= 4 * len(text) + len(HIDDEN)


@given(st.integers(min_value=0, max_value=10**12))
def test_no_number_survives(number: int) -> None:
    assert masked(f"SELECT * FROM t WHERE mrn = {number}") == "select * from t where mrn = ?"
