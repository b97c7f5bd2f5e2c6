"""What the gates add to a plan, what an approval of it is bound to, and the look right before the start."""

from dataclasses import replace
from types import MappingProxyType

import pytest

from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.gates.gate import GateResult
from runbooks.gates.planning import OVERRIDE, START, plan_part
from runbooks.gates.settings import GateSettings, WindowSettings
from runbooks.gates.steps import CheckGates, GatesChecked
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import PlainPulse, StepContext, applied
from runbooks.kit.train import Part, Train
from sandbox.outside.registry import Registry
from tests.support.gates import NOW, changes, environment

ALWAYS, NEVER = WindowSettings(allowed=("* * * * *",)), WindowSettings(frozen=("* * * * *",))


def train(settings: GateSettings | None, **more: object) -> Train:
    clients = {GateSettings: settings} if settings is not None else {}
    made = Train(environment=environment(), version="v2.0.0", changes=changes(), clients=clients, now=NOW)
    return replace(made, **more)  # type: ignore[arg-type] # fields of it


def step(part: Part) -> CheckGates:
    (found,) = part.first
    assert isinstance(found, CheckGates)
    return found


def result(state: str, evidence: str = "seen", **more: object) -> GateResult:
    fields = {"gate": "time", "name": "Time", "required": True, "state": state, "evidence": evidence, **more}
    return GateResult.model_validate(fields)


def check(*results: GateResult) -> CheckGates:
    return CheckGates(version="v2.0.0", images=changes(), results=results)


async def test_what_is_not_configured_is_named_and_going_back_has_no_gates() -> None:
    assert await plan_part(train(None)) == Part(not_done=("gates (not configured)",))
    settings = GateSettings(images=False, windows=NEVER)
    assert await plan_part(train(settings, going_back=True)) == Part()


async def test_a_required_gate_that_has_not_passed_refuses_the_plan_and_an_advisory_one_warns() -> None:
    part = await plan_part(train(GateSettings(images=False, windows=NEVER)))
    (refusal,) = part.refused_by
    assert refusal.what == "Gate Time (failed): Mon 03:00 UTC: frozen by `* * * * *`."
    assert step(part).results[0].state == "failed"
    part = await plan_part(train(GateSettings(images=False, windows=NEVER, advisory=("time",))))
    assert part.refused_by == ()
    assert part.warnings == ("Advisory gate Time (failed): Mon 03:00 UTC: frozen by `* * * * *`.",)


async def test_a_release_that_runs_already_is_recorded_only_past_the_gates() -> None:
    part = await plan_part(train(GateSettings(images=False, windows=NEVER), standing=True))
    assert step(part).results[0].state == "failed"
    assert len(part.refused_by) == 1


async def test_gates_with_the_same_to_say_say_it_once() -> None:
    part = await plan_part(train(GateSettings(promoted_from="staging")))
    assert [each.what.partition(":")[0] for each in part.refused_by] == [
        "Gate Images (unknown)",
        "Gate Promotion (unknown)",
    ]


async def test_a_deploy_for_later_is_looked_at_for_its_time() -> None:
    settings = GateSettings(images=False, windows=WindowSettings(frozen=("* 2-4 * * *",)))
    assert (await plan_part(train(settings))).refused_by
    later = MappingProxyType({START: "2026-05-04T05:00:00+00:00"})
    assert not (await plan_part(train(settings, options=later))).refused_by


def test_an_approval_is_bound_to_states_and_commits_not_to_evidence() -> None:
    before = check(result("passed", "5 items"))
    assert check(result("passed", "9 items", number=9)).changes() == before.changes()
    assert check(result("unknown", "5 items")).changes() != before.changes()
    assert check(result("passed", "5 items", required=False)).changes() != before.changes()
    assert check(result("passed", "5 items", bound={"commit": "abc"})).changes() != before.changes()


async def test_they_are_looked_at_again_and_a_stored_step_is_read_back() -> None:
    settings = GateSettings(windows=ALWAYS)
    async with Registry().serve() as url, RegistryClient({"ghcr.io": url}, plain_http=True) as registry:
        services = {GateSettings: settings, RegistryClient: registry}
        context = StepContext(pulse=PlainPulse("run"), environment=environment(), services=services)
        part = await plan_part(train(settings, clients=services))
        stored = Part.model_validate(part.model_dump(mode="json"))
        found = GatesChecked.model_validate(await applied(step(stored), context))
    assert found.states == {"images": "passed", "time": "passed"}


async def test_a_gate_that_has_failed_since_ends_the_run_and_says_what_to_do() -> None:
    services = {GateSettings: GateSettings(images=False, windows=NEVER)}
    context = StepContext(pulse=PlainPulse("run"), environment=environment(), services=services)
    with pytest.raises(PermanentError, match="The gate Time failed") as raised:
        await applied(check(result("passed")), context)
    assert raised.value.code is ReasonCode.GATE_FAILED
    assert raised.value.advice[-1] == "Nothing was changed."


async def test_what_an_approval_is_bound_to_must_still_be_so() -> None:
    services = {GateSettings: GateSettings(images=False, windows=ALWAYS)}
    context = StepContext(pulse=PlainPulse("run"), environment=environment(), services=services)
    with pytest.raises(PermanentError, match="The gate Time has changed"):
        await applied(check(result("passed", bound={"commit": "abc"})), context)


FROZEN = "frozen by `* * * * *`"
FROZEN_IMAGES = GateSettings(windows=NEVER)
"""The images can't be looked at, and nothing may start."""


def overriding(names: str, settings: GateSettings = FROZEN_IMAGES) -> Train:
    return train(settings, options=MappingProxyType({OVERRIDE: names}))


@pytest.mark.parametrize("names", ["time", "Time", "time, TIME"])
async def test_an_override_lets_its_gates_through_and_no_other(names: str) -> None:
    part = await plan_part(overriding(names))
    (refusal,) = part.refused_by
    assert refusal.what.startswith("Gate Images (unknown)")
    (unusual,) = part.unusual
    assert unusual.option == "--override time"
    assert unusual.what == "Gate overridden: Time (failed: Mon 03:00 UTC: frozen by `* * * * *`)."
    assert list(unusual.gates) == ["time"]
    assert unusual.needs_reason
    assert "`--override images`" in part.notes[0]
    gates = step(part).changes()["gates"]
    assert gates == {"images": "unknown", "time": f"failed, overridden ({step(part).results[1].finding})"}


async def test_an_override_of_everything_that_has_not_passed_can_be_approved() -> None:
    part = await plan_part(overriding("images,time"))
    assert part.refused_by == part.notes == ()
    assert [row[1].text for row in step(part).shown().rows] == ["? unknown (overridden)", "✗ failed (overridden)"]


def test_what_stops_the_release_stands_first_and_what_has_passed_is_small_print() -> None:
    passed, failed = result("passed", name="Images"), result("failed", name="Time")
    shown = check(
        passed,
        result("failed", name="Coverage", required=False),
        passed.model_copy(update={"name": "Branch"}),
        result("unknown", name="Alerts", overridden=True),
        failed,
        result("waiting", name="Signature"),
    ).shown()
    assert shown.summary == "2 failed, 1 unknown, 1 waiting for a person, 2 passed"
    assert [row[0].text for row in shown.rows] == ["Time", "Signature", "Alerts", "Coverage"]
    assert shown.settled is not None
    assert [row[0].text for row in shown.settled.rows] == ["Images", "Branch"]


@pytest.mark.parametrize(
    ("typed", "hint"), [("tiem", "Did you mean `time`?"), ("nonsense", "There are `images` and `time`.")]
)
async def test_a_gate_that_does_not_exist_ends_the_plan_before_any_gate_is_looked_at(typed: str, hint: str) -> None:
    # a look would fail: there is no client for the images
    with pytest.raises(PermanentError) as raised:
        await plan_part(overriding(f"time,{typed}"))
    assert (raised.value.message, raised.value.code) == (f"There is no gate `{typed}`. {hint}", ReasonCode.USAGE)


async def test_an_override_where_there_are_no_gates_is_refused() -> None:
    (refusal,) = (await plan_part(train(None, options=MappingProxyType({OVERRIDE: "time"})))).refused_by
    assert (refusal.what, refusal.advice) == ("production has no gates to override.", "Leave out `--override`.")


async def test_a_gate_that_stops_nothing_is_not_overridden() -> None:
    part = await plan_part(overriding("time", GateSettings(images=False, windows=ALWAYS)))
    assert part.unusual == part.refused_by == ()
    assert part.warnings == ("Gate Time (passed) stops nothing now, so it is not overridden.",)
    assert step(part).changes()["gates"] == {"time": "passed"}


@pytest.mark.parametrize(
    ("planned", "settings", "refused"),
    [
        (result("failed", FROZEN, overridden=True), GateSettings(images=False, windows=NEVER), None),
        (result("failed", overridden=True), GateSettings(images=False, windows=ALWAYS), None),
        (
            result("failed", "frozen by `0 3 * * *`", overridden=True),
            GateSettings(images=False, windows=NEVER),
            "The gate Time failed",
        ),
        (result("unknown", overridden=True), GateSettings(images=False, windows=NEVER), "The gate Time failed"),
        (result("passed"), GateSettings(images=False, windows=NEVER), "The gate Time failed"),
        (result("failed", overridden=True), GateSettings(windows=NEVER), "The gate Images is now unknown"),
    ],
)
async def test_the_second_look_covers_only_what_was_overridden_for_the_reason_that_it_had(
    planned: GateResult, settings: GateSettings, refused: str | None
) -> None:
    context = StepContext(pulse=PlainPulse("run"), environment=environment(), services={GateSettings: settings})
    if refused is None:
        await applied(check(planned), context)
    else:
        with pytest.raises(PermanentError, match=refused):
            await applied(check(planned), context)


async def test_the_role_of_an_override_comes_from_the_configuration() -> None:
    settings = GateSettings(images=False, windows=NEVER, override_role="chief")
    (unusual,) = (await plan_part(overriding("time", settings))).unusual
    assert unusual.role == "chief"
