"""What a run did and what is left of it: known by the targets of its steps, whatever their titles say."""

import copy
from typing import Any

import pytest

from commands.kit.card import StepLine
from tests.support.worlds import APPROVER, ON_CALL, PRODUCTION, REQUESTER, Story

WORKER = "backend-worker"


@pytest.fixture
async def three(world: Story) -> Story:
    """A world with a service whose name begins with another's, rolled out before it."""
    manifest = copy.deepcopy(world.deployment("backend"))
    template = manifest["spec"]["template"]
    manifest["metadata"] = {"name": WORKER, "namespace": PRODUCTION, "labels": {"app": WORKER}}
    manifest["spec"]["selector"]["matchLabels"] = template["metadata"]["labels"] = {"app": WORKER}
    template["spec"]["containers"][0]["name"] = WORKER
    del manifest["status"]
    world.world.cluster.create(manifest)
    await world.until(lambda: world.new_pods(WORKER, "v1.2.0") == 3, "the worker runs")

    def first(document: dict[str, Any]) -> None:
        services = document["environments"]["production"]["services"]
        backend = services[0]
        services.insert(0, {**backend, "name": WORKER, "deployment": WORKER, "container": WORKER})

    world.configure(first)
    await world.inside()
    return world


async def test_a_service_is_not_done_because_one_whose_name_begins_with_its_own_is(three: Story):
    three.keep_unready()  # the backend's image, which the worker has too
    run = await three.ask("deploy v2.1.0-slow")
    await three.press(APPROVER, "approve", run)
    await three.until(lambda: three.tag(WORKER) == "v2.1.0-slow", "the worker is rolling")
    await three.press(REQUESTER, "hold", run)
    three.let_ready()
    await three.says(run, "Held before Backend rollout", "progress")
    await three.stop_run(ON_CALL, run)
    await three.ended_with(run, "was stopped by Ines")
    said = three.text(run, "result")
    assert "Backend and frontend were not touched." in said
    assert "goes on with" not in said, "the worker was rolled out to its end, and nothing else was begun"
    again = await three.ask(f"retry {run}")
    await three.says(again, "backend and frontend v1.2.0 → v2.1.0-slow")


def test_lines_of_the_version_before_are_read():
    """It knew a step by its title; that it finished is still shown, and nothing is guessed from the words."""
    kept = StepLine.model_validate({"title": "Backend rollout", "status": "done", "detail": "3/3", "seconds": 2.0})
    assert (kept.key, kept.targets) == ("", ())
