"""`secret rotate`: new values that nobody types or sees, and new pods that read them."""

import base64
import copy
from pathlib import Path

from sandbox.cluster.resources import SECRET
from tests.support.worlds import APPROVER, ON_CALL, PRODUCTION, REQUESTER, Story, story


def _value(here: Story) -> bytes:
    found = here.world.cluster.store.get(SECRET, PRODUCTION, "backend-secret")
    return base64.b64decode(found["data"]["JWT_SECRET"])


def _everything_said(here: Story) -> str:
    slack = here.slack
    private = [each for person in slack.people for each in slack.ephemerals(person)]
    state = here.world.folder / "state"
    kept = "".join(path.read_bytes().decode(errors="replace") for path in state.glob("*.sqlite*"))
    return kept + "".join(f"{each.text}{each.blocks}" for each in (*here.messages(), *private))


async def test_a_new_value_is_made_written_and_shown_nowhere_and_the_pods_that_read_it_are_new(here: Story):
    before, pods = _value(here), {pod.name for pod in here.world.cluster.pods(PRODUCTION)}
    run = await here.ask("secret rotate jwt", who=ON_CALL)
    await here.says(run, "a new random value", "plan")
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "jwt has a new value in production")
    after = _value(here)
    assert after != before
    assert len(after) == 64
    now = [pod for pod in here.world.cluster.pods(PRODUCTION) if pod.deployment == "backend" and pod.ready]
    assert not pods & {pod.name for pod in now}
    assert {pod.version for pod in now} == {"v1.2.0"}
    kept = [pod.name for pod in here.world.cluster.pods(PRODUCTION) if pod.deployment == "frontend"]
    assert set(kept) <= pods
    said = _everything_said(here)
    assert before.decode() not in said
    assert after.decode() not in said
    assert base64.b64encode(after).decode() not in said


async def test_what_is_not_configured_or_not_there_is_refused_before_anybody_is_asked(here: Story):
    run = await here.ask("secret rotate database", who=ON_CALL)
    await here.says(run, "There is no rotation database in production", "result")
    store = here.world.cluster.store
    store.remove(SECRET, store.get(SECRET, PRODUCTION, "backend-secret"))
    run = await here.ask("secret rotate jwt", who=REQUESTER)
    await here.says(run, "does not exist", "result")
    assert not [event for event in here.events() if event.name == "approval:asked"]


async def test_a_value_is_read_from_aws_once_it_is_approved_and_shown_nowhere(tmp_path: Path):
    async with story(tmp_path / "world", parts=("secrets",)) as here:
        await here.inside()
        run = await here.ask("secret rotate jwt-from-aws", who=ON_CALL)
        await here.says(run, "read from AWS once this is approved", "plan")
        before = _value(here)
        await here.press(APPROVER, "approve", run)
        await here.ended_with(run, "jwt-from-aws has a new value in production")
        after = _value(here)
        assert after.decode().startswith("from-aws-")
        said = _everything_said(here)
        assert before.decode() not in said
        assert after.decode() not in said
        assert base64.b64encode(after).decode() not in said


async def test_a_region_that_was_away_is_named_at_the_end_and_gets_the_same_value_later(tmp_path: Path):
    async with story(tmp_path / "world", regions=("eu", "us")) as here:
        await here.inside()
        away = here.world.regions["us"]
        await away.go_down()
        run = await here.ask("secret rotate jwt", who=ON_CALL)
        await here.says(run, "secret rotate jwt --regions us", "plan")
        await here.press(APPROVER, "approve", run)
        await here.ended_with(run, "jwt has a new value in production")
        result = here.text(run, "result")
        assert "us still has the old values" in result
        assert "secret rotate jwt --regions us --env production" in result
        made = _value(here)
        await away.come_back()
        later = await here.ask("secret rotate jwt --regions us", who=ON_CALL)
        await here.press(APPROVER, "approve", later)
        await here.ended_with(later, "jwt has a new value in production")
        assert "Secret backend-secret in us: 1 new value" in here.text(later, "result")
        there = away.cluster.store.get(SECRET, PRODUCTION, "backend-secret")
        assert there is not None
        assert base64.b64decode(there["data"]["JWT_SECRET"]) == made == _value(here)


async def test_a_retry_gives_no_other_region_what_somebody_wrote_after_the_run(tmp_path: Path):
    async with story(tmp_path / "world", regions=("eu", "us")) as here:
        await here.inside()
        home, away = here.world.cluster, here.world.regions["us"].cluster
        before, there = _value(here), away.store.get(SECRET, PRODUCTION, "backend-secret")
        here.keep_unready("backend", "v1.2.0")
        run = await here.ask("secret rotate jwt", who=ON_CALL)
        await here.press(APPROVER, "approve", run)
        await here.until(lambda: _value(here) != before, "home has a new value")
        await here.stop_run(ON_CALL, run)
        await here.ended_with(run, "was stopped by Ines")
        here.let_ready("backend", "v1.2.0")
        found = copy.deepcopy(home.store.get(SECRET, PRODUCTION, "backend-secret"))
        assert found is not None
        found["data"]["JWT_SECRET"] = base64.b64encode(b"typed-by-somebody").decode()
        home.store.put(SECRET, found)
        again = await here.ask(f"retry {run}", who=ON_CALL)
        await here.says(again, "Somebody changed Secret backend-secret in eu", "result")
        assert here.event_names(again).count("approval:asked") == 0, "it goes on from what was approved"
        assert away.store.get(SECRET, PRODUCTION, "backend-secret") == there
