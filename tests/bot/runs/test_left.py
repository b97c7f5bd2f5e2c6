"""What a run did and what is left of it: known by the targets of its steps, whatever their titles say."""

import copy
from typing import Any

import pytest

from bot.runs.execution.steps import not_aimed_at
from commands.kit.card import StepLine, StepStatus
from runbooks.kit.plan import Image, ImageChange
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
    run = await three.ask("deploy v2.1.0-slow")
    await three.press(APPROVER, "approve", run)
    await three.until(lambda: three.tag(WORKER) == "v2.1.0-slow", "the worker is rolling")
    await three.press(REQUESTER, "hold", run)
    await three.says(run, "Held before Backend rollout", "progress")
    await three.stop_run(ON_CALL, run)
    await three.ended_with(run, "was stopped by Ines")
    said = three.text(run, "result")
    assert "Backend and frontend were not touched." in said
    assert "goes on with" not in said, "the worker was rolled out to its end, and nothing else was begun"
    again = await three.ask(f"retry {run}")
    await three.says(again, "backend and frontend v1.2.0 → v2.1.0-slow")


def change(service: str) -> ImageChange:
    before, after = Image.parse("r:v1"), Image.parse("r:v2")
    return ImageChange(service=service, namespace="n", deployment=service, container="c", before=before, after=after)


CHANGES = (change(WORKER), change("backend"), change("frontend"))


def left(*lines: StepLine) -> list[str]:
    return [each.service for each in not_aimed_at(CHANGES, lines, StepStatus.DONE)]


def line(title: str, *targets: str, status: StepStatus = StepStatus.DONE) -> StepLine:
    return StepLine(key=title.lower(), title=title, targets=targets, status=status)


def test_a_finished_step_that_changes_no_service_leaves_all_of_them():
    assert left(line("Migrations"), line("Check")) == [WORKER, "backend", "frontend"]


def test_a_finished_service_is_not_left_and_one_whose_name_it_begins_with_is():
    assert left(line("Backend-worker rollout", WORKER)) == ["backend", "frontend"]
    assert left(line("Rollout", "backend"), line("Next", "frontend", status=StepStatus.RUNNING)) == [WORKER, "frontend"]


def test_one_step_for_several_services_leaves_none_of_them():
    assert left(line("Roll back all services", WORKER, "backend", "frontend")) == []


def test_lines_of_the_version_before_are_read():
    """It knew a step by its title; that it finished is still shown, and nothing is guessed from the words."""
    kept = StepLine.model_validate({"title": "Backend rollout", "status": "done", "detail": "3/3", "seconds": 2.0})
    assert (kept.key, kept.targets) == ("", ())
    assert left(kept) == [WORKER, "backend", "frontend"]
