"""The release's configuration: applied by a deploy after its services, alone by `config apply`, and taken back by a rollback."""

import copy
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sandbox.cluster.resources import CONFIG_MAP
from sandbox.outside.github import CONFIG, commit_of, error
from sandbox.scenarios.rolling_acts import Configure, SetImage
from sandbox.scenarios.scenario import Act, Scenario
from tests.support.worlds import APPROVER, ON_CALL, PRODUCTION, REQUESTER, Story, story


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Story]:
    async with story(tmp_path / "world", parts=("gates", "manifests")) as made:
        await made.inside()
        yield made


def _config(here: Story) -> dict[str, str]:
    return dict(here.world.cluster.store.get(CONFIG_MAP, PRODUCTION, "backend-config")["data"])


def _by_hand(act: Act) -> Scenario:
    return Scenario(type(act).__name__, "Somebody did it by hand.", "diagnose", "", (act,))


def _edited(here: Story, batch: str) -> None:
    """What `kubectl edit` does."""
    found = copy.deepcopy(here.world.cluster.store.get(CONFIG_MAP, PRODUCTION, "backend-config"))
    assert found is not None
    found["data"]["OFFLINE_SYNC_BATCH"] = batch
    edit = {"manager": "kubectl-edit", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1"}
    at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    entry = {**edit, "time": at, "fieldsV1": {"f:data": {"f:OFFLINE_SYNC_BATCH": {}}}}
    others = [each for each in found["metadata"]["managedFields"] if each["manager"] != "kubectl-edit"]
    found["metadata"]["managedFields"] = [*others, entry]
    here.world.cluster.store.put(CONFIG_MAP, found)


def _applied(here: Story, batch: str) -> None:
    """What the overtaken deploy does between the plan of a rollback and its confirmation."""
    found = copy.deepcopy(here.world.cluster.store.get(CONFIG_MAP, PRODUCTION, "backend-config"))
    assert found is not None
    found["data"]["OFFLINE_SYNC_BATCH"] = batch
    here.world.cluster.store.put(CONFIG_MAP, found)


async def test_a_deploy_applies_what_differs_and_a_rollback_takes_it_back(here: Story):
    before = _config(here)
    run = await here.ask("deploy v2.0.0")
    plan = await here.says(run, "backend-config · OFFLINE_SYNC_BATCH", "plan")
    assert "LOG_LEVEL" not in plan
    assert "Not applied, because the bot applies only ConfigMaps: Service backend." in plan
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "v2.0.0 runs in production")
    assert "ConfigMap backend-config: 1 key changed." in here.text(run, "result")
    assert "backend and frontend v1.2.0 → v2.0.0" in here.text(run)
    assert _config(here) == before | {"OFFLINE_SYNC_BATCH": "50"}
    run = await here.ask("config apply v1.2.0 --take-over --restart", who=REQUESTER)
    plan = await here.says(run, "not there", "plan")
    assert "backend reads it and gets new pods." in plan
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "production has the configuration of v1.2.0")
    assert "backend 3/3 new pods ready." in here.text(run, "result")
    assert _config(here) == before
    run = await here.ask("config apply v1.2.0", who=REQUESTER)
    await here.says(run, "already has the configuration of v1.2.0", "result")
    assert "backend-config · OFFLINE_SYNC_BATCH" in await here.answer(
        REQUESTER, "config apply --dry-run", "Dry run: "
    )  # of v2.0.0, which runs

    server = here.world.github
    assert server is not None
    server.versions["v2.1.0-slow"].files[CONFIG] = server.versions["v2.0.0"].files[CONFIG].replace("50", "99")
    await here.deployed("v2.1.0-slow")
    assert _config(here)["OFFLINE_SYNC_BATCH"] == "99"
    server.fault = lambda _: error(503, "Service unavailable")  # the record has it
    back = await here.ask("rollback", who=ON_CALL)
    await here.press(ON_CALL, "approve", back)
    await here.ended_with(back, "Back on v2.0.0 in production")
    plan = here.text(back, "plan")
    assert "The configuration in the table goes back to the one of v2.0.0" in plan
    assert "backend-config · OFFLINE_SYNC_BATCH" in plan
    assert "ConfigMap backend-config: 1 key changed." in here.text(back, "result")
    assert _config(here) == before | {"OFFLINE_SYNC_BATCH": "50"}
    kept = here.releases()[0].configuration
    assert kept is not None
    assert kept.commit == commit_of("v2.0.0")


async def test_what_only_a_config_map_has_wrong_is_put_back_without_a_rollback(here: Story):
    assert "was changed by" not in await here.answer(ON_CALL, "rollback --dry-run", "Dry run: ")
    await here.world.play(_by_hand(Configure("backend-config", "FHIR", "R5", 20)))
    plan = await here.answer(
        ON_CALL,
        "rollback --dry-run",
        "ConfigMap backend-config (FHIR) was changed by kubectl-edit after v1.2.0 was deployed.",
    )
    assert "config apply --take-over --restart --env production" in plan
    await here.world.play(_by_hand(SetImage("frontend", "v2.1.0-errors", 10)))
    run = await here.ask("config apply")
    said = await here.says(run, "Name the release whose configuration you want", "result")
    assert "such as `config apply v1.2.0`" in said
    assert "needs a reason" not in await here.says(run, "not started")


async def test_what_is_taken_over_is_approved_anew_whenever_somebody_changes_it(here: Story):
    _edited(here, "20")
    run = await here.ask("config apply v2.0.0 --take-over --restart")
    await here.says(run, "takes over values", "plan")
    _edited(here, "33")
    await here.press(APPROVER, "approve", run)
    await here.says(run, '"33"', "plan")
    await here.says(run, "The plan changed meanwhile", "approval")
    assert _config(here)["OFFLINE_SYNC_BATCH"] == "33"
    here.keep_unready("backend", "v1.2.0")
    await here.press(APPROVER, "approve", run)
    await here.until(lambda: _config(here)["OFFLINE_SYNC_BATCH"] == "50", "it is applied")
    _edited(here, "9000")  # while the pods that read it start
    here.let_ready("backend", "v1.2.0")
    await here.ended_with(run, "Somebody changed OFFLINE_SYNC_BATCH in ConfigMap backend-config after this run applied")
    again = await here.ask(f"retry {run}")
    await here.says(again, '"9000"', "plan")
    await here.press(APPROVER, "approve", again)
    await here.ended_with(again, "production has the configuration of v2.0.0")
    assert _config(here)["OFFLINE_SYNC_BATCH"] == "50"


async def test_a_rollback_does_not_ask_again_for_what_the_overtaken_deploy_has_just_applied(here: Story):
    await here.deployed("v2.0.0")
    await here.rolling()
    back = await here.ask("rollback", who=ON_CALL)
    await here.shown("approve", back)
    assert "OFFLINE_SYNC_BATCH" not in here.text(back, "plan")
    _applied(here, "99")
    await here.press(ON_CALL, "approve", back)
    await here.ended_with(back, "Back on v2.0.0 in production")
    assert here.event_names(back).count("approval:asked") == 1
    assert "Not confirmed, so left out: ConfigMap backend-config." in here.text(back, "plan")
    assert "config apply v2.0.0 --env production" in here.text(back, "plan")
    assert _config(here)["OFFLINE_SYNC_BATCH"] == "99"
    assert here.releases()[0].configuration is None, "it is not known to have it"


async def test_a_rollback_does_not_ask_again_where_there_is_no_configuration_to_take_back_any_more(here: Story):
    server = here.world.github
    assert server is not None
    server.versions["v2.1.0-slow"].files[CONFIG] = server.versions["v2.0.0"].files[CONFIG].replace("50", "99")
    await here.deployed("v2.0.0")
    await here.deployed("v2.1.0-slow")
    back = await here.ask("rollback", who=ON_CALL)
    await here.says(back, "backend-config · OFFLINE_SYNC_BATCH", "plan")
    _applied(here, "50")
    await here.press(ON_CALL, "approve", back)
    await here.ended_with(back, "Back on v2.0.0 in production")
    assert here.event_names(back).count("approval:asked") == 1
    assert _config(here)["OFFLINE_SYNC_BATCH"] == "50"
