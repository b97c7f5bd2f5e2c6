"""`diagnose`, as people see it: nothing where nothing is wrong, then the cause with what came before it."""

from tests.support.worlds import AUDITOR, ON_CALL, OUTSIDER, Story


async def test_nothing_is_wrong_and_then_the_cause_and_the_deploy_before_it_are_named(here: Story):
    said = await here.answer(ON_CALL, "diagnose", "production: nothing is wrong")
    assert "you need the permission" not in said
    for each in (
        "🟢",
        "No problem found in: Kubernetes API, pods and rollouts (6 ready pods)",
        "not configured, so not checked",
        "diagnose --env production",
    ):
        assert each in said
    run = await here.deployed("v2.1.0-crash", ends="stopped")
    said = await here.answer(ON_CALL, "diagnose backend", "production: backend: the container")
    for each in (
        "🔴",
        "keeps starting and exiting",
        "exit code 1",
        "What to do",
        "logs backend",
        "Roll backend back to v1.2.0",
        "rollback backend --env production",
        "still serve",
    ):
        assert each in said
    lines = await here.answer(ON_CALL, "diagnose backend --kubectl", "Commands for your own terminal")
    assert "kubectl logs backend-" in lines
    assert "-c backend --previous --tail=100 -n omnicare-prod" in lines
    short = run.split(".")[2][:4].upper()
    assert f"Deploy v2.1.0-crash to production (failed), by Maya, run {short}" in said
    asked = [event for event in here.events() if event.command == "diagnose"]
    assert [event.details["arguments"] for event in asked] == [
        {"env": "production"},
        {"service": "backend", "env": "production"},
        {"service": "backend", "env": "production", "kubectl": True},
    ]
    assert "Last error: " in said
    said = await here.answer(
        AUDITOR,
        "diagnose backend --env production",
        "Not checked, because you need the permission logs:read: log lines.",
    )
    assert "production: backend: the container keeps starting and exiting" in said
    for each in (
        "permission database:read: database and connection pool.",
        "permission sync:read: offline sync and WebSocket connections.",
    ):
        assert each in said
    assert "Last error: " not in said
    await here.type(OUTSIDER, "/omnicare diagnose")
    await here.whispered(OUTSIDER, "not listed")
