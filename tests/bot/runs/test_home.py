"""Home: what somebody sees at a glance, approves there, and what it shows once that is done."""

import json
from pathlib import Path
from typing import Any

from sandbox.cluster.resources import Json
from tests.support.interference import cluster_through
from tests.support.worlds import APPROVER, AUDITOR, ON_CALL, OUTSIDER, REQUESTER, Story


def home(here: Story, who: str) -> list[Json]:
    """The blocks that are published for that person."""
    view = here.slack.homes.get(here.slack.person(who).id)
    return list(view.view["blocks"]) if view is not None else []


def text(here: Story, who: str) -> str:
    return json.dumps(blocks, ensure_ascii=False) if (blocks := home(here, who)) else ""


async def press(here: Story, who: str, label: str) -> None:
    """Presses the first button with that label on the person's Home, as soon as it is there."""

    def button() -> tuple[Json, Json] | None:
        elements = [(block, each) for block in home(here, who) for each in block.get("elements", ())]
        named = (
            pair for pair in elements if isinstance(pair[1].get("text"), dict) and pair[1]["text"]["text"] == label
        )
        return next(named, None)

    block, element = await here.until(button, f"{label} on {who}'s Home")
    view = here.slack.homes[here.slack.person(who).id].id
    outcome = await here.slack.click_in_view(who, view, element["action_id"], block["block_id"])
    assert outcome.ok, outcome.error


async def test_an_approval_is_given_on_home_and_the_run_is_followed_there(here: Story):
    here.keep_unready("backend", "v2.0.0")
    run = await here.ask("deploy v2.0.0")
    await here.shown("approve", run)
    await here.type(ON_CALL, "/omnicare lock --env staging --reason training")
    await here.slack.open_home(APPROVER)
    said = await here.until(lambda: said if "needs your approval" in (said := text(here, APPROVER)) else "", "it waits")
    for each in (
        "production and staging: pods ready, 1 approval waits for you",
        "v1.2.0, pods ready",
        "Locked by Ines",
    ):
        assert each in said
    assert "withdraw" not in said
    await here.slack.open_home(REQUESTER)
    said = await here.until(lambda: text(here, REQUESTER), "Home for the requester")
    assert '"approve"' not in said, "nobody approves their own request"
    await press(here, APPROVER, "Approve")
    await here.until(lambda: "Backend rollout" in text(here, APPROVER), "the run's progress stands on Home")
    assert "/archives/C0DEPLOYS/p" in text(here, APPROVER)
    here.let_ready("backend", "v2.0.0")
    await here.ended_with(run, "v2.0.0 runs in production")
    await here.until(lambda: "Recent runs" in text(here, APPROVER), "the run is among the recent ones")
    names = [event.name for event in here.events() if event.command == "home"]
    assert names == ["command:answered"] * 2, "each visit stands in the audit log once, however often Home was drawn"


async def test_home_of_a_stranger_and_of_a_cluster_that_does_not_answer(world: Story, tmp_path: Path):
    async with cluster_through(world.world.folder / "bot.kubeconfig", tmp_path) as (proxy, through):

        def change(document: dict[str, Any]) -> None:
            for environment in document["environments"].values():
                environment["cluster"]["kubeconfig"] = str(through)
            may = document["environments"]["staging"]["permissions"]
            may["fleet:read"] = [role for role in may["fleet:read"] if role != "auditor"]

        world.configure(change)
        await world.inside()
        await world.slack.open_home(OUTSIDER)
        await world.until(lambda: "not listed" in text(world, OUTSIDER), "the refusal stands on Home")
        assert "production" not in text(world, OUTSIDER)
        await world.type(ON_CALL, "/omnicare lock --env staging --reason training")
        await world.slack.open_home(AUDITOR)
        said = await world.until(lambda: text(world, AUDITOR), "Home for the auditor")
        assert "production: pods ready" in said
        assert "staging" not in said, "only what the person may see"
        assert "training" not in said
        proxy.go_down()
        await world.slack.open_home(ON_CALL)
        said = await world.until(lambda: text(world, ON_CALL), "Home")
        assert "unknown: the cluster does not answer" in said
        assert "lock and the current run are unknown" in said
        await world.leave()


async def test_an_answers_buttons_lead_on_and_refresh_it_in_its_place(here: Story):
    await here.answer(AUDITOR, "status", "production runs v1.2.0")
    message, block, element = here.button_named("Refresh")
    assert [each["text"]["text"] for each in block["elements"]] == ["Diagnose", "Pods", "Runs", "Refresh", "kubectl"], (
        "an auditor rolls nothing back"
    )
    await here.deployed("v2.0.0")
    count = len(here.slack.history(message.channel))
    await here.click(ON_CALL, (message, block, element))
    await here.until(
        lambda: "production runs v2.0.0" in here.slack.message(message.channel, message.ts).text,
        "the card is refreshed",
    )
    assert len(here.slack.history(message.channel)) == count
    await here.click(OUTSIDER, (message, block, element))
    await here.whispered(OUTSIDER, "not listed")
    asked = [event.actor for event in here.events() if event.command == "status"]
    assert asked == [AUDITOR, ON_CALL], "who refreshes a card has looked at it"


async def test_a_failed_run_offers_the_diagnosis(here: Story):
    await here.deployed("v2.1.0-crash", ends="stopped")
    labels = [each["text"]["text"] for each in (await here.shown("type-diagnose"))[1]["elements"]]
    assert labels == ["Roll back", "Retry", "Evidence", "Leave as is…", "Diagnose"]
    await here.press(ON_CALL, "type-diagnose")
    assert "crash" in await here.answered("No problem found in")
