"""The durable runs alone, over steps of kinds that the bot has never heard of: every feature of a run, and killed in each step."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from bot.audit import Entry, search_audit_logs, verify
from commands.kit.audit_filter import AuditFilter
from sandbox import configuration
from sandbox.cluster import Cluster, seed_omnicare
from tests.support.toy import NAMES

pytestmark = pytest.mark.kill

SECONDS = 60.0
GROUPS = (("one",), ("two",), ("three",), ("four", "five"))


class Toy:
    """The process, from outside."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.support.toy",
            str(self.config),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert await self._line() == "ready"

    async def _line(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        async with asyncio.timeout(SECONDS):
            return (await self._process.stdout.readline()).decode().strip()

    async def tell(self, order: str) -> str:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n".encode())
        return await self._line()

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def look(self, run: str) -> dict[str, Any]:
        """The request's state, and its run's steps as people see them."""
        found: dict[str, Any] = json.loads(await self.tell(f"follow {run}"))
        return found

    async def until(self, run: str, seen: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(SECONDS):
            while not seen(found := await self.look(run)):  # noqa: ASYNC110 - another process is asked
                await asyncio.sleep(0.01)
        return found

    async def stands(self, run: str, **steps: str) -> dict[str, Any]:
        """Waits until these steps stand so."""

        def seen(found: dict[str, Any]) -> bool:
            standing = {each["key"].partition(":")[2]: each["status"] for each in found["steps"]}
            return steps.items() <= standing.items()

        return await self.until(run, seen)

    def open(self, *names: str) -> None:
        for name in names:
            (self.config.parent / name).touch()

    def traces(self) -> list[str]:
        path = self.config.parent / "steps.txt"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    async def saw(self, trace: str, times: int = 1) -> None:
        async with asyncio.timeout(SECONDS):
            while self.traces().count(trace) < times:  # noqa: ASYNC110 - another process writes the file
                await asyncio.sleep(0.01)

    def events(self, run: str) -> list[Entry]:
        """The events of a run, oldest first."""
        audit_log = self.config.parent / "state" / "audit.sqlite"
        assert verify(audit_log) == []
        return list(reversed(search_audit_logs([audit_log], AuditFilter(run=run, limit=200))))

    def written(self, run: str) -> list[str]:
        return [str(event.name) for event in self.events(run)]


@pytest.fixture
async def toy(tmp_path: Path) -> AsyncIterator[Toy]:
    cluster = Cluster()
    seed_omnicare(cluster)
    async with cluster.serve():
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(cluster.kubeconfig("omnicare-bot"), encoding="utf-8")
        config = configuration.write(
            tmp_path,
            kubeconfig=kubeconfig,
            slack_api=None,
            registry="http://127.0.0.1:1",
            namespaces={"production": "omnicare-prod"},
        )
        made = Toy(config)
        await made.start()
        yield made
        await made.kill()


async def running(toy: Toy, what: str = "ask first") -> str:
    run = await toy.tell(what)
    assert await toy.tell(f"approve {run}") == "decided"
    return run


@pytest.mark.parametrize("killed_in", NAMES)
async def test_a_run_that_is_killed_in_a_step_does_that_step_again_and_no_other(toy: Toy, killed_in: str):
    run = await running(toy)
    together = next(step for step in GROUPS if killed_in in step)
    earlier = NAMES[: NAMES.index(together[0])]
    toy.open(*earlier)
    for step in together:
        await toy.saw(f"toy begins {step}")
    await toy.kill()
    toy.open(*NAMES)
    await toy.start()
    assert await toy.tell(f"ended {run}") == "succeeded -"
    begun = {step: toy.traces().count(f"toy begins {step}") for step in NAMES}
    assert begun == {step: 2 if step in together else 1 for step in NAMES}
    assert sorted(trace for trace in toy.traces() if "ends" in trace) == sorted(f"toy ends {step}" for step in NAMES)
    names = Counter(toy.written(run))
    assert names["step:started"] == names["step:finished"] == len(NAMES)
    assert names["run:started"] == names["run:succeeded"] == names["approval:granted"] == 1


async def test_a_run_that_is_killed_while_it_waits_is_approved_after_the_restart(toy: Toy):
    toy.open(*NAMES)
    run = await toy.tell("ask first")
    await toy.kill()
    await toy.start()
    assert await toy.tell("ask first") == run, "the same act is the same request"
    assert await toy.tell(f"approve {run}") == "decided"
    assert await toy.tell(f"ended {run}") == "succeeded -"
    assert Counter(toy.traces()) == Counter(f"toy {verb} {step}" for step in NAMES for verb in ("begins", "ends"))
    assert toy.written(run).count("run:requested") == 1


@pytest.mark.parametrize("killed", [False, True])
async def test_a_run_that_is_asked_to_stop_ends_in_its_step(toy: Toy, killed: bool):
    run = await running(toy)
    toy.open("one")
    await toy.saw("toy begins two")
    assert await toy.tell(f"cancel {run}") == "decided"
    if killed:
        await toy.kill()
        await toy.start()
    assert await toy.tell(f"ended {run}") == "cancelled Toy two"
    assert "toy ends two" not in toy.traces()
    assert "toy begins three" not in toy.traces()
    assert toy.written(run)[-2:] == ["step:failed", "run:cancelled"]


@pytest.mark.parametrize("killed", [False, True])
async def test_who_asks_again_for_what_is_being_stopped_gets_a_run_of_their_own(toy: Toy, killed: bool):
    run = await running(toy)
    assert await toy.tell("submit second") == run, "it goes on, so it is what is meant"
    await toy.saw("toy begins one")
    toy.open("lingers")
    assert await toy.tell(f"cancel {run}") == "decided"
    await toy.saw("toy lingers in one")
    if killed:
        await toy.kill()
        await toy.start()
        await toy.saw("toy lingers in one", 2)
        await toy.tell("start")
    again = await toy.tell("submit third")
    toy.open("let-go", *NAMES)
    assert await toy.tell(f"ended {run}") == "cancelled Toy one"
    assert again != run
    assert await toy.tell(f"approve {again}") == "decided"
    assert await toy.tell(f"ended {again}") == "succeeded -"


@pytest.mark.parametrize("killed", [False, True])
async def test_a_run_that_is_overtaken_ends_and_the_other_goes_on(toy: Toy, killed: bool):
    run = await running(toy)
    await toy.saw("toy begins one")
    back = await toy.tell("back second")
    assert await toy.tell(f"approve {back}") == "decided"
    await toy.saw("back begins one")
    if killed:
        await toy.kill()
        await toy.start()
    assert await toy.tell(f"ended {run}") == "overtaken Toy one"
    toy.open(*NAMES)
    assert await toy.tell(f"ended {back}") == "succeeded -"
    assert not [trace for trace in toy.traces() if trace.startswith("toy ends")]
    assert toy.written(run)[-1] == "run:cancelled"


async def test_who_waits_for_the_place_takes_it_when_the_run_before_has_ended(toy: Toy):
    run = await running(toy)
    await toy.saw("toy begins one")
    second = await toy.tell("ask second")
    assert second != run
    toy.open(*NAMES)
    assert await toy.tell(f"ended {run}") == "succeeded -"
    assert await toy.tell(f"approve {second}") == "decided"
    assert await toy.tell(f"ended {second}") == "succeeded -"
    assert toy.traces().count("toy begins one") == 2


async def test_what_is_side_by_side_is_finished_each_by_itself(toy: Toy):
    run = await running(toy)
    toy.open("one", "two", "three", "four")
    await toy.stands(run, four="done", five="running")
    await toy.kill()
    toy.open("five")
    await toy.start()
    assert await toy.tell(f"ended {run}") == "succeeded -"
    assert toy.traces().count("toy begins four") == 1, "what had finished beside it is not done again"
    assert toy.traces().count("toy begins five") == 2


async def test_the_plan_and_its_progress_are_told_by_the_steps(toy: Toy):
    run = await running(toy)
    found = await toy.stands(run, one="running")
    assert [each["title"] for each in found["steps"]] == [f"Toy {name}" for name in NAMES]
    assert found["steps"][0]["detail"] == "half of it"
    head = json.dumps(found["state"]["head"])
    assert "Toy one, Toy two, Toy three, Toy four and Toy five" in head
    (planned,) = [event for event in toy.events(run) if event.name == "run:planned"]
    assert [each["key"] for each in planned.details["changes"]] == [
        "toy-slow:one", "toy-flaky:two", "toy-undoable:three", "toy-side:four", "toy-side:five",
    ]  # fmt: skip


async def test_a_step_that_fails_for_once_is_tried_again_by_itself(toy: Toy):
    toy.open(*NAMES, "stumble")
    run = await running(toy)
    assert await toy.tell(f"ended {run}") == "succeeded -"
    assert toy.traces().count("stumbled") == 1
    assert toy.written(run).count("step:failed") == 0


async def test_a_run_is_held_between_any_two_groups(toy: Toy):
    run = await running(toy)
    toy.open("one", "two")
    await toy.stands(run, three="running")
    assert await toy.tell(f"hold {run}") == "decided"
    await toy.until(run, lambda found: bool(found["state"]["hold"]))
    toy.open("three", "four", "five")
    found = await toy.stands(run, three="done", four="pending", five="pending")
    assert found["state"]["outcome"] is None
    assert await toy.tell(f"continue {run}") == "decided"
    assert await toy.tell(f"ended {run}") == "succeeded -"


async def test_a_stopped_run_says_what_goes_on_and_what_was_not_begun(toy: Toy):
    run = await running(toy)
    toy.open("one")
    await toy.saw("toy begins two")
    assert await toy.tell(f"cancel {run}") == "decided"
    assert await toy.tell(f"ended {run}") == "cancelled Toy two"
    lines = (await toy.look(run))["state"]["outcome"]["lines"]
    assert "Toy two rolls on by itself." in lines
    assert "Backend was not touched." in lines, "a step that replaces a service is told by the service"
    assert "Not begun: Toy four and Toy five." in lines


async def test_a_retry_does_only_what_is_left_under_the_same_approval(toy: Toy):
    toy.open(*NAMES, "fail-three")
    run = await running(toy)
    assert await toy.tell(f"ended {run}") == "script-failed Toy three"
    (toy.config.parent / "fail-three").unlink()
    again = await toy.tell(f"retry {run}")
    assert await toy.tell(f"ended {again}") == "succeeded -"
    found = await toy.look(again)
    assert [each["key"] for each in found["steps"]] == ["toy-undoable:three", "toy-side:four", "toy-side:five"]
    assert "approval:asked" not in toy.written(again), "the plan does only what is left of the approved one"
    assert toy.traces().count("toy begins one") == 1


async def test_a_retry_of_a_retry_does_nothing_again_that_any_of_them_did(toy: Toy):
    toy.open(*NAMES, "fail-three")
    first = await running(toy)
    assert await toy.tell(f"ended {first}") == "script-failed Toy three"
    (toy.config.parent / "fail-three").unlink()
    toy.open("fail-five")
    second = await toy.tell(f"retry {first}")
    assert await toy.tell(f"ended {second}") == "script-failed Toy five"
    (toy.config.parent / "fail-five").unlink()
    third = await toy.tell(f"retry {second}")
    assert await toy.tell(f"ended {third}") == "succeeded -"
    assert [each["key"] for each in (await toy.look(third))["steps"]] == ["toy-side:five"]
    assert toy.traces().count("toy begins one") == toy.traces().count("toy begins four") == 1


async def test_a_retry_does_again_what_was_undone(toy: Toy):
    toy.open(*NAMES, "fail-five")
    run = await running(toy, "careful first")
    assert await toy.tell(f"ended {run}") == "script-failed Toy five"
    assert "careful undoes three" in toy.traces()
    (toy.config.parent / "fail-five").unlink()
    again = await toy.tell(f"retry {run}")
    await toy.until(again, lambda found: found["state"]["phase"] not in ("planning", "waiting"))
    steps = (await toy.look(again))["state"]["plan"]["steps"]
    assert [each["name"] for each in steps] == ["three", "four", "five"]


async def test_a_bug_in_undoing_one_step_leaves_the_others_to_be_undone(toy: Toy):
    toy.open(*NAMES, "fail-five", "bug-undo-four")
    run = await running(toy, "careful first")
    assert await toy.tell(f"ended {run}") == "script-failed Toy five"
    assert [each for each in toy.traces() if "undoes" in each] == ["careful undoes five", "careful undoes three"]
    outcome = (await toy.look(run))["state"]["outcome"]
    assert {"Undone: Toy five and Toy three.", "Not undone: Toy four."} <= set(outcome["lines"])
    assert not outcome["undone"]


async def test_a_step_beside_one_that_has_a_bug_is_finished_and_not_done_again(toy: Toy):
    toy.open("one", "two", "three", "bug-four")
    run = await running(toy)
    await toy.saw("toy begins four")
    await toy.saw("toy begins five")
    toy.open("five")
    assert await toy.tell(f"ended {run}") == "bug Toy four"
    assert "toy ends five" in toy.traces()
    (toy.config.parent / "bug-four").unlink()
    toy.open("four")
    again = await toy.tell(f"retry {run}")
    assert await toy.tell(f"ended {again}") == "succeeded -"
    assert [each["key"] for each in (await toy.look(again))["steps"]] == ["toy-side:four"]


async def test_what_was_done_is_undone_where_the_approved_plan_says_so(toy: Toy):
    toy.open(*NAMES, "fail-five")
    run = await running(toy, "careful first")
    assert await toy.tell(f"ended {run}") == "script-failed Toy five"
    assert [each for each in toy.traces() if "undoes" in each] == [
        "careful undoes five", "careful undoes four", "careful undoes three",
    ]  # fmt: skip
    state = (await toy.look(run))["state"]
    assert "Undone: Toy five, Toy four and Toy three." in state["outcome"]["lines"]
    assert state["outcome"]["undone"]
    again = await running(toy, "careful second")
    assert await toy.until(again, lambda found: bool(found["state"]["outcome"]))
    assert "undecided" not in json.dumps((await toy.look(again))["state"]["plan"]), "nothing is left to decide"


@pytest.mark.parametrize("killed", [False, True])
async def test_a_failure_keeps_evidence_and_tells_the_lines_by_hand(toy: Toy, killed: bool):
    toy.open("one", "two", "three", "fail-five")
    run = await running(toy, "back first")
    await toy.saw("back begins four")
    if killed:
        await toy.kill()
        await toy.start()
    toy.open("four")
    assert await toy.tell(f"ended {run}") == "script-failed Toy five"
    outcome = (await toy.look(run))["state"]["outcome"]
    assert outcome["kubectl"] == [f"toy play {name}" for name in NAMES]
    assert "pods" in outcome["data"]["evidence"], "a step that replaces a service has its pods looked at"
