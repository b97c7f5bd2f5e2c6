"""The release train: each part's steps go before or after the services, and going back is not stopped by a part."""

import asyncio
from datetime import UTC, datetime
from typing import Literal

import pytest

from runbooks.backups.steps import BackUp
from runbooks.cdn.invalidating import InvalidateCdn
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Image, ImageChange, Plan, Unusual
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Step, StepContext
from runbooks.kit.targets import Environment, Service
from runbooks.kit.train import Part, Train
from runbooks.release.region_by_region import deployed
from runbooks.release.steps import CheckRollout, Record, Take
from runbooks.release.train import with_parts

NOW = datetime(2026, 5, 4, 3, 0, tzinfo=UTC)
WHERE = Environment(
    name="production",
    namespace="omnicare-prod",
    record_namespace="omnicare-bot",
    services=(
        Service(name="backend", deployment="backend", container="backend", repository="ghcr.io/omnicare/backend"),
    ),
)


class Warm(Step):
    kind: Literal["test-warm"] = "test-warm"

    @property
    def title(self) -> str:
        return "Warm the cache"

    async def apply(self, context: StepContext) -> None:
        """Nothing to do here."""


def _image(tag: str) -> Image:
    return Image(repository="ghcr.io/omnicare/backend", tag=tag, digest=f"sha256:{tag[1] * 64}")


CHANGE = ImageChange(
    service="backend", namespace="omnicare-prod", deployment="backend", container="backend",
    before=_image("v1.2.0"), after=_image("v2.0.0"),
)  # fmt: skip
DEPLOY = Plan(title="Deploy v2.0.0 to production", steps=deployed([CHANGE], "deploy v2.0.0"), not_done=("the rest",))


async def _migrations(train: Train) -> Part:
    assert (train.version, train.before) == ("v2.0.0", "v1.2.0")
    return Part(before=(Warm(),), notes=("3 migrations",), warnings=("it locks",))


async def _missing(train: Train) -> Part:
    return Part(not_done=("CDN invalidation",))


async def _broken(train: Train) -> Part:
    raise PermanentError("The database refuses the bot.", code=ReasonCode.DATABASE_REFUSED)


async def test_a_parts_steps_stand_between_the_taking_and_the_services_and_its_sentences_in_the_plan() -> None:
    plan = await with_parts(DEPLOY, WHERE, {}, now=NOW, parts=(("migrations", _migrations), ("the CDN", _missing)))
    assert [type(step) for step in plan.steps] == [Take, Warm, *(type(step) for step in DEPLOY.steps[1:])]
    assert plan.warnings == ("it locks",)
    assert plan.notes == ("3 migrations",)
    assert plan.not_done == ("CDN invalidation", "the rest")


async def test_what_goes_after_the_services_stands_between_the_check_and_the_record() -> None:
    async def after(_: Train) -> Part:
        return Part(after=(Warm(),))

    plan = await with_parts(DEPLOY, WHERE, {}, now=NOW, parts=(("verification", after),))
    assert [type(step) for step in plan.steps[-3:]] == [CheckRollout, Warm, Record]


async def test_a_part_that_can_not_be_planned_stops_a_deploy() -> None:
    with pytest.raises(PermanentError, match="refuses the bot"):
        await with_parts(DEPLOY, WHERE, {}, now=NOW, parts=(("migrations", _broken),))


async def test_going_back_names_a_part_that_can_not_be_planned_and_goes_on() -> None:
    plan = await with_parts(DEPLOY, WHERE, {}, now=NOW, going_back=True, parts=(("migrations", _broken),))
    assert plan.steps == DEPLOY.steps
    assert plan.warnings == ("This plan leaves out migrations: The database refuses the bot.",)
    assert plan.not_done == ("migrations", "the rest")


async def test_going_back_waits_for_no_part_and_is_stopped_by_no_bug() -> None:
    async def hangs(_: Train) -> Part:
        await asyncio.Event().wait()
        raise AssertionError

    async def stumbles(_: Train) -> Part:
        raise ZeroDivisionError("patient Vandermolen")

    parts = (("migrations", hangs), ("verification", stumbles))
    plan = await with_parts(DEPLOY, WHERE, {}, now=NOW, going_back=True, parts=parts, patience=0.01)
    assert plan.steps == DEPLOY.steps
    assert plan.warnings == (
        "This plan leaves out migrations: no answer within 0.01 s.",
        "This plan leaves out verification: a bug in the bot; its log has more.",
    )
    with pytest.raises(ZeroDivisionError):
        await with_parts(DEPLOY, WHERE, {}, now=NOW, parts=(("verification", stumbles),))


async def test_where_no_service_changes_no_part_is_asked() -> None:
    nothing = Plan(title="Nothing to do.")
    assert await with_parts(nothing, WHERE, {}, now=NOW, parts=(("migrations", _broken),)) == nothing


class Look(Warm):
    kind: Literal["test-look"] = "test-look"  # type: ignore[assignment] # another kind


STANDING = Plan(
    title="Check v2.0.0",
    steps=(Take(), CheckRollout(images=(CHANGE,)), Record(images=(CHANGE,), standing=True)),
)


async def _looking(_: Train) -> Part:
    return Part(first=(Look(),), after=(Warm(),))


async def test_what_only_looks_stands_before_every_step_that_changes_something() -> None:
    plan = await with_parts(DEPLOY, WHERE, {}, now=NOW, parts=(("migrations", _migrations), ("gates", _looking)))
    assert [type(step) for step in plan.steps[:3]] == [Take, Look, Warm]


async def test_where_nothing_is_rolled_out_gates_and_what_goes_after_the_services_are_done_again() -> None:
    async def looking(train: Train) -> Part:
        assert train.standing
        return await _looking(train)

    plan = await with_parts(STANDING, WHERE, {}, now=NOW, parts=(("the cache", looking),))
    assert [type(step) for step in plan.steps] == [Take, Look, CheckRollout, Warm, Record]


async def test_a_release_that_runs_already_is_not_recorded_with_its_parts_missing() -> None:
    with pytest.raises(PermanentError, match="what belongs before it is not done: Warm the cache"):
        await with_parts(STANDING, WHERE, {}, now=NOW, parts=(("migrations", _migrations),))
    with pytest.raises(PermanentError, match="refuses the bot"):
        await with_parts(STANDING, WHERE, {}, now=NOW, parts=(("migrations", _broken),))


async def test_a_backup_that_is_only_for_migrations_is_left_out_without_them() -> None:
    async def backup(train: Train) -> Part:
        return Part(before=(BackUp(instance="omnicare-prod"),), only_with="test-warm")

    alone = await with_parts(DEPLOY, WHERE, {}, now=NOW, parts=(("the backup", backup),))
    assert alone.steps == DEPLOY.steps
    with_it = await with_parts(DEPLOY, WHERE, {}, now=NOW, parts=(("the backup", backup), ("migrations", _migrations)))
    assert [type(step) for step in with_it.steps][:3] == [Take, BackUp, Warm]


async def test_what_comes_with_a_rollback_asks_nobody_twice_where_it_changes_the_same() -> None:
    step = InvalidateCdn(distribution="E1", paths=("/*",), patience_seconds=60.0)
    assert step.ends_as(step.model_copy(update={"patience_seconds": 30.0}))
    assert not step.ends_as(step.model_copy(update={"paths": ("/a",)}))


async def test_what_makes_a_deploy_riskier_than_usual_is_asked_a_reason_for_and_recorded() -> None:
    async def skipped(_: Train) -> Part:
        return Part(unusual=(Unusual(option="--skip-migrations", what="Migrations are left out."),))

    alone = DEPLOY.model_copy(
        update={"unusual": (Unusual(option="--only backend", what="Alone.", needs_reason=False),)}
    )
    plan = await with_parts(alone, WHERE, {}, now=NOW, parts=())
    assert not plan.needs_reason
    plan = await with_parts(alone, WHERE, {}, now=NOW, parts=(("migrations", skipped),))
    assert plan.needs_reason
    assert [each.option for each in plan.unusual] == ["--only backend", "--skip-migrations"]
    assert [step.unusual for step in plan.steps if isinstance(step, Record)] == [
        ("--only backend", "--skip-migrations")
    ]
