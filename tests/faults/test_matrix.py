"""Every step of a deploy and of a rollback with every fault of the cluster's API and of Slack's: once at each step, all in one run.

Such a fault passes, so both end as they should; the cluster was changed once, each message stands once, each event is written once.
"""

from collections import Counter

import pytest

from sandbox.cluster.resources import CONFIG_MAP
from sandbox.outside.registry import digest_of
from tests.faults.steps import DEPLOY, EDIT, EDITS, POST, POSTS, READ, ROLLBACK, WATCH, WRITE, Step
from tests.faults.wires import Changes, Wires, approvable
from tests.support.interference import How
from tests.support.worlds import APPROVER, DEPLOYED, ON_CALL, SERVICES, Story

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

ONCE = 240.0
"""Seconds of patience for a run that meets a fault at each of its steps."""

EVERYWHERE = frozenset({READ, WRITE, WATCH, POST, EDIT})
FITS = {
    How.DELAY: EVERYWHERE - {WATCH},
    How.LOST: EVERYWHERE,
    How.UNHEARD: EVERYWHERE,
    How.SILENT: EVERYWHERE,
    How.BUSY: EVERYWHERE,
    How.BROKEN: EVERYWHERE,
    How.BROKEN_AFTER: EVERYWHERE,
    How.CUT: EVERYWHERE,
    How.NONSENSE: EVERYWHERE,
    How.CONFLICT: frozenset({WRITE}),
    How.GONE: frozenset({READ, WATCH}),
    How.GONE_LATER: frozenset({WATCH}),
}


HURRIED = frozenset({"evidence: looking", "evidence: a pod's log"})
"""Evidence has 2.5 s in all: where looking at it is met with silence, its writing may never come. `test_lasting` has that."""


def fitting(how: How, steps: list[Step]) -> list[Step]:
    """Where such an answer can come, and what comes after it still does."""
    return [step for step in steps if step.kind in FITS[how] and not (how is How.SILENT and step.name in HURRIED)]


@pytest.mark.parametrize("how", list(FITS), ids=lambda how: how.name)
async def test_a_fault_at_every_step_passes_and_nothing_is_done_or_said_twice(wires: Wires, how: How):
    here, changes = wires.here, Changes(wires.here)

    wires.plant("deploy", fitting(how, [*DEPLOY, *POSTS]), how)
    run = await approvable(here, "deploy v2.0.0")
    await here.press(APPROVER, "approve", run)
    await here.says(run, "v2.0.0 runs in production", "result", seconds=ONCE)
    await here.ended_with(run, "v2.0.0 runs in production")
    wires.all_struck()
    assert changes.images == {(service, "v2.0.0"): 1 for service in SERVICES}
    all_is_as_after(here, run, "v2.0.0")
    assert Counter(here.event_names(run)) == Counter(map(str, DEPLOYED))

    wires.plant("rollback", fitting(how, [*ROLLBACK, *EDITS]), how)
    back = await approvable(here, "rollback", ON_CALL)
    await here.press(ON_CALL, "approve", back)
    await here.says(back, "Back on v1.2.0 in production", "result", seconds=ONCE)
    await here.ended_with(back, "Back on v1.2.0 in production")
    wires.all_struck()
    assert changes.images == {(service, version): 1 for service in SERVICES for version in ("v2.0.0", "v1.2.0")}
    assert changes.raised == changes.lowered == dict.fromkeys(SERVICES, 1)
    all_is_as_after(here, back, "v1.2.0")
    assert [(each.version, each.verdict) for each in here.releases()] == [("v1.2.0", "unproven"), ("v2.0.0", "bad")]
    assert evidence_of(here, back) == 1


def all_is_as_after(here: Story, run: str, version: str) -> None:
    """It runs, once, and everybody was told so, once."""
    for service in SERVICES:
        assert here.pod_digests(service) == {digest_of(service, version)}
        assert here.deployment(service)["spec"]["strategy"]["rollingUpdate"]["maxSurge"] != "100%"
    assert [each.version for each in here.releases() if each.run == run] == [version]
    assert here.environment().run is None
    assert here.environment().undecided is None
    assert set(here.said(run)) == {"head", "plan", "approval", "progress", "result"}
    here.nothing_was_said_twice(run)
    here.nothing_is_written_twice(run)
    assert here.event_names(run)[-1] == "run:succeeded"


def evidence_of(here: Story, run: str) -> int:
    kept = here.world.cluster.store.all(CONFIG_MAP, "omnicare-bot")
    return sum(each["metadata"]["name"].startswith("evidence-") and each["data"]["run"] == run for each in kept)
