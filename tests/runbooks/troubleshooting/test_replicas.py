"""A paused replica is one finding: how far it is behind follows from it, by whichever name."""

from runbooks.clients.postgres.replication import Replica, ReplicationState
from runbooks.database import replication
from runbooks.troubleshooting.asking import ranked
from runbooks.troubleshooting.databases import replicas
from runbooks.troubleshooting.findings import Confidence, Finding, Trouble, explains

LATE = Replica("walreceiver", "", "streaming", "async", 740 << 10, 33.0)
NUMBER = Finding(
    kind=Trouble.REPLICATION_LAG, cause="Replication lag: 660 s", confidence=Confidence.CERTAIN, measured=True
)


def state(*connected: Replica, recovering: bool = False, paused: bool = False) -> ReplicationState:
    return ReplicationState(
        recovering=recovering, unplayed=9000 if paused else 0, seconds=0.0, paused=paused, streaming=recovering,
        replicas=connected, slots=(),
    )  # fmt: skip


def roots(primary: ReplicationState, replica: ReplicationState) -> list[str]:
    found = replicas(replication.read({"primary": primary, "replica": replica})).found
    every = ranked([*found, NUMBER])
    return [each.cause.partition(",")[0] for each in every if not any(explains(cause, each) for cause in every)]


def test_how_far_a_paused_replica_is_behind_is_no_finding_of_its_own():
    paused = "The replica does not replay what it receives: somebody paused it"
    assert roots(state(LATE), state(recovering=True, paused=True)) == [paused]


def test_another_replica_that_is_late_or_one_that_is_not_paused_is():
    late = "Replica walreceiver is 740 KiB and 33 s behind"
    assert roots(state(LATE), state(recovering=True)) == [late]
    assert late in roots(state(LATE, LATE), state(recovering=True, paused=True))
