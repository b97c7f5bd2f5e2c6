"""Sessions that wait for each other, as trees: each once, none lost, and never forever."""

from runbooks.clients.postgres.activity import ActiveSession
from runbooks.database.activity import Waits, trees


def runs(pid: int, *ahead: int, prepared: tuple[str, ...] = ()) -> ActiveSession:
    return ActiveSession(
        pid=pid,
        role="a",
        state="active",
        waits="",
        seconds=1,
        transaction=1,
        blocked_by=ahead,
        prepared=prepared,
        text="",
    )


def drawn(tree: Waits) -> object:
    return (tree.holder, *map(drawn, tree.behind)) if tree.behind else tree.holder


def test_each_waits_behind_the_one_that_gets_its_turn_last_before_it() -> None:
    assert list(map(drawn, trees([runs(1), runs(2, 1), runs(3, 1, 2), runs(4, 3, 1), runs(5, 1)]))) == [
        (1, (2, (3, 4)), 5)
    ]


def test_a_session_that_has_ended_and_a_prepared_transaction_can_be_what_others_wait_for() -> None:
    assert list(map(drawn, trees([runs(5, 99)]))) == [(99, 5)]
    found = trees([runs(6, prepared=("x",)), runs(7, 6), runs(8, 1), runs(1)])
    assert list(map(drawn, found)) == [("x", (6, 7)), (1, 8)], "the one with the most behind it first"
    assert found[0].session is None
    assert found[0].pids == (6, 7)


def test_a_ring_is_shown_once() -> None:
    assert list(map(drawn, trees([runs(1, 2), runs(2, 1)]))) == [(1, 2)]


def test_a_queue_in_which_each_waits_for_all_before_it_is_read_at_once() -> None:
    (tree,) = trees([runs(pid, *range(pid)) for pid in range(100)])
    assert len(tree.pids) == 99
