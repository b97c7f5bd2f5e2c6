"""How long a rollout stands still, by a clock of the test's own."""

from dataclasses import replace

from runbooks.diagnosis import Snapshot
from runbooks.release.rollout_watch import Standstill
from tests.support import snapshots

DEADLINE, LAG = 100, 10


def rolling(ready: int = 0, **changes: object) -> Snapshot:
    made = snapshots.snapshot()
    deployment = replace(made.deployment, progress_deadline=DEADLINE, ready=ready, **changes)
    return replace(made, deployment=deployment)


def looked(*looks: tuple[float, Snapshot]) -> list[bool]:
    clock = iter([at for at, _ in looks])
    standstill = Standstill(lambda: next(clock))
    return [standstill.exceeds(snapshot, LAG) for _, snapshot in looks]


def test_it_is_over_after_the_deadline_and_what_kubernetes_may_be_late() -> None:
    assert looked((0, rolling()), (DEADLINE, rolling()), (110, rolling()), (111, rolling())) == [False] * 3 + [True]


def test_each_pod_that_gets_ready_begins_it_anew() -> None:
    assert looked((0, rolling()), (109, rolling(1)), (218, rolling(2)), (329, rolling(2))) == [False] * 3 + [True]


def test_nothing_counts_before_there_is_a_new_replica_set() -> None:
    """`Recreate` begins with the end of the old pods, which may take as long as they are given to end."""
    before = replace(rolling(), new=None)
    assert looked((0, before), (500, before), (501, rolling()), (612, rolling())) == [False] * 3 + [True]


def test_nothing_counts_while_it_is_paused() -> None:
    paused = rolling(paused=True)
    assert looked((0, rolling()), (500, paused), (501, rolling()), (612, rolling())) == [False] * 3 + [True]
