"""The night, as both its tests begin it: v1.2.0 ran well, a deploy hangs at one of three pods, production is locked, one person is awake."""

from tests.support.worlds import APPROVER, ON_CALL, REQUESTER, Story

HANGING = "v2.1.0-hang"
LOCK = "lock --env production --reason clinic-go-live"


async def falls(here: Story) -> str:
    """The run that hangs. Those who asked for it and approved it have gone to bed."""
    run = await here.ask(f"deploy {HANGING}", who=REQUESTER)
    await here.press(APPROVER, "approve", run)
    await here.says(run, "1/3 new pods ready", "progress")
    await here.until(lambda: here.new_pods("backend", HANGING) == 1, "one new pod is ready, and no other becomes so")
    outcome = await here.type(ON_CALL, f"/omnicare {LOCK}")
    assert outcome.ok, outcome.error
    await here.until(lambda: here.environment().freeze, "production is locked")
    return run


def morning(here: Story) -> None:
    """What must hold afterwards."""
    from sandbox.outside.registry import digest_of
    from tests.support.worlds import SERVICES

    for service in SERVICES:
        assert here.pod_digests(service) == {digest_of(service, "v1.2.0")}
        assert here.tag(service) == "v1.2.0"
    record = here.environment()
    assert record.run is None
    assert record.undecided is None
    assert record.freeze is not None, "the lock was passed, and stands"
    verdicts = {(release.version, release.verdict) for release in here.releases()}
    assert (HANGING, "bad") in verdicts
    assert here.chain_holds()
