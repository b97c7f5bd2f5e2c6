"""A stream that is taken up again goes on behind its last line: nothing twice, nothing lost, whatever the clock says."""

from hypothesis import given
from hypothesis import strategies as st

from runbooks.logs.resuming import Resuming

BEGUN = "2026-01-01T10:00:00.000000000Z"
WORDS = b"failed to watch log file: too many open files"


def _line(minute: int, number: int) -> bytes:
    return b"2026-01-01T10:%02d:00.%09dZ entry %d" % (minute, number, number)


def _old(number: int) -> bytes:
    return b"2026-01-01T09:00:00.%09dZ entry %d" % (number, number)


@given(st.lists(st.integers(0, 59), max_size=30), st.integers(0, 30), st.integers(1, 40), st.integers(1, 7))
def test_lines_come_once_and_all_where_the_tail_reaches_back(minutes: list[int], broken: int, tail: int, part: int):
    lines = [_line(minute, number) for number, minute in enumerate(minutes)]
    stream = Resuming()
    stream.connect(tail)
    before = min(broken, len(lines))
    given_out = stream.fresh(lines[:before])
    stream.connect(tail)
    again = lines[max(0, before + 1 - tail) :]  # the known line is the oldest of the tail
    for start in range(0, len(again), part):
        given_out += stream.fresh(again[start : start + part])
    given_out += stream.end()
    assert given_out == (lines if before else again)


def test_of_a_rotated_log_all_lines_are_new():
    stream = Resuming()
    stream.connect(10)
    assert stream.fresh([_line(30, 0)]) == [_line(30, 0)]
    stream.connect(10)
    assert stream.fresh([_line(10, 1), _line(31, 2)]) == []
    assert stream.pause() == []
    assert stream.pause() == [_line(10, 1), _line(31, 2)]
    assert stream.fresh([_line(5, 3)]) == [_line(5, 3)]
    assert not stream.gap


def test_a_tail_that_does_not_reach_the_known_line_leaves_a_gap():
    stream = Resuming()
    stream.connect(2)
    stream.fresh([_line(1, 0)])
    stream.connect(2)
    assert stream.fresh([_line(1, 4), _line(1, 5)]) == []
    assert stream.fresh([_line(1, 6)]) == [_line(1, 4), _line(1, 5), _line(1, 6)]
    assert stream.gap


def test_what_was_written_before_one_began_to_follow_is_passed_over():
    stream = Resuming(BEGUN)
    stream.connect(1)
    assert stream.fresh([_old(1)]) == []
    assert stream.fresh([_old(2)]) == [_old(2)], "the clock was set back: it came all the same"
    stream.connect(10)
    assert stream.fresh([_old(1), _old(2), _old(3)]) == [_old(3)]


def test_a_line_that_was_cut_when_the_stream_broke_is_known_again():
    stream = Resuming()
    stream.connect(1)
    stream.fresh([_line(1, 12)[:-1]])
    stream.connect(10)
    assert stream.fresh([_line(1, 11), _line(1, 12), _line(1, 13)]) == [_line(1, 13)]


def test_the_nodes_own_sentence_is_given_once_until_it_says_something_else():
    stream = Resuming()
    stream.connect(1)
    assert stream.fresh([WORDS, WORDS]) == [WORDS]
    stream.connect(1)
    assert stream.fresh([WORDS, _line(1, 1), WORDS]) == [_line(1, 1), WORDS]
