"""A secret in two regions: both get the same values, one after the other, and one that was away gets them later."""

import base64
import json

import pytest

from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import applied, done
from runbooks.kit.targets import Region
from runbooks.rotation.planning import plan_rotation
from runbooks.rotation.settings import Rotations, RotationSettings
from runbooks.rotation.steps import PROOF, ROTATED_BY, CopyFromHome, Rotated, RotateSecret
from sandbox.cluster.resources import SECRET
from tests.support.two_regions import NAMESPACE, TwoRegions, with_regions

KEYS = ("JWT_SECRET", "OLD_JWT_SECRET")
RUN = "production.secret-rotate.1111"
IN_TURN = [
    *("take@eu", "rotate-secret:backend-secret@eu", "restart:backend@eu", "check@eu", "bake@eu", "check:baked@eu"),
    *("take@us", "copy-secret-from-home:backend-secret@us", "restart:backend@us", "check@us"),
]


async def planned(both: TwoRegions, *regions: str, keys: tuple[str, ...] = KEYS) -> Plan:
    jwt = RotationSettings(secret="backend-secret", keys=keys, services=("backend",))
    rotations, home = Rotations({"jwt": jwt}), both.clusters["eu"]
    return await plan_rotation(
        home, both.fleet, both.environment, "jwt", rotations, places=both.places, regions=regions
    )


def values(both: TwoRegions, region: str) -> dict[str, str]:
    found = both.servers[region].cluster.store.get(SECRET, NAMESPACE, "backend-secret")
    assert found is not None
    return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}


def pods(both: TwoRegions, region: str) -> set[str]:
    return {pod.name for pod in both.servers[region].cluster.pods(NAMESPACE) if pod.deployment == "backend"}


@pytest.fixture(autouse=True)
async def two_values(both: TwoRegions) -> None:
    """Two values belong together, and each region has its own of them."""
    for region, cluster in both.clusters.items():
        found = await cluster.secret(NAMESPACE, "backend-secret")
        await cluster.patch_secret(found, {key: f"{region}-{key}".encode() for key in (*KEYS, "OTHER")}, {})


async def test_each_region_gets_the_same_values_and_new_pods_after_the_one_before(both: TwoRegions) -> None:
    before = {region: pods(both, region) for region in both.servers}
    plan = await planned(both)
    assert [step.key for step in plan.steps] == IN_TURN
    assert plan.warnings == ()
    results = await both.do(plan, RUN)
    made = {key: values(both, "eu")[key] for key in KEYS}
    assert made == {key: values(both, "us")[key] for key in KEYS}
    assert len({*made.values()}) == len(KEYS)
    assert values(both, "us")["OTHER"] == "us-OTHER"
    for region, old in before.items():
        assert len(pods(both, region) - old) == 3, "an old one may still be ending"
    shown = json.dumps([results.stored(), plan.model_dump(mode="json"), [step.by_hand() for step in plan.steps]])
    assert not [
        value for value in made.values() if value in shown or base64.b64encode(value.encode()).decode() in shown
    ]


async def test_a_region_that_is_away_is_named_and_gets_the_values_of_home_later(both: TwoRegions) -> None:
    old = values(both, "us")
    await both.servers["us"].go_down()
    plan = await planned(both)
    assert [step.key for step in plan.steps] == IN_TURN[:4]
    assert plan.title == "Rotate jwt in production (eu only)"
    away, keeps = plan.warnings
    assert away.startswith("us: ")
    assert "When it answers again: `secret rotate jwt --regions us`." in away
    assert keeps == "us keeps the old values until `secret rotate jwt --regions us` runs."
    await both.do(plan, RUN)
    made, running = values(both, "eu"), pods(both, "eu")
    await both.servers["us"].come_back()
    assert values(both, "us") == old
    later = await planned(both, "us")
    assert [step.key for step in later.steps] == IN_TURN[6:]
    assert "No new values are made" in later.notes[0]
    await both.do(later, "production.secret-rotate.2222")
    assert values(both, "us") | {key: made[key] for key in KEYS} == values(both, "us")
    assert values(both, "eu") == made
    assert pods(both, "eu") <= running, "none is new; an old one may still have been ending"


async def test_a_run_that_was_killed_between_the_regions_goes_on_with_the_same_values(both: TwoRegions) -> None:
    plan = await planned(both)
    made, copies = plan.steps[1], plan.steps[7]
    await both.do(plan.model_copy(update={"steps": plan.steps[:2]}), RUN)
    first = values(both, "eu")
    again = both.context(RUN)
    await done([made, copies], again)  # killed before the result of the first was kept
    await done(plan.steps[6:], again)
    assert values(both, "eu") == first
    assert {key: values(both, "us")[key] for key in KEYS} == {key: first[key] for key in KEYS}


async def test_a_mark_that_somebody_else_wrote_does_not_keep_a_region_from_the_new_values(both: TwoRegions) -> None:
    plan = await planned(both)
    await both.do(plan.model_copy(update={"steps": plan.steps[:2]}), RUN)
    us = both.clusters["us"]
    await us.patch_secret(await us.secret(NAMESPACE, "backend-secret"), {}, {ROTATED_BY: RUN})
    retried = (await planned(both)).without({plan.steps[1].key}, plan)
    await both.do(retried.model_copy(update={"steps": retried.steps[5:7]}), RUN)
    assert {key: values(both, "us")[key] for key in KEYS} == {key: values(both, "eu")[key] for key in KEYS}


async def test_no_mark_that_somebody_wrote_keeps_the_old_values(both: TwoRegions) -> None:
    """Who is to lose access may still write the Secret, and the run's id is on every Deployment."""
    plan, home, old = await planned(both), both.clusters["eu"], values(both, "eu")
    for marks in ({ROTATED_BY: RUN}, {ROTATED_BY: RUN, PROOF: "0" * 64}, {PROOF: "\u0660 \U0001f511"}):
        await home.patch_secret(await home.secret(NAMESPACE, "backend-secret"), {}, marks)
        await both.do(plan.model_copy(update={"steps": plan.steps[:2]}), RUN)
        now = values(both, "eu")
        assert not [key for key in KEYS if now[key] == old[key]], marks
        # the step was killed before its result was kept, and somebody put the old values back beside its marks
        found = await home.secret(NAMESPACE, "backend-secret")
        await home.patch_secret(found, {key: old[key].encode() for key in KEYS}, {})
        await both.do(plan.model_copy(update={"steps": plan.steps[:2]}), RUN)
        old = values(both, "eu")
        assert not [key for key in KEYS if old[key] in (now[key], f"eu-{key}")], marks
        plan = await planned(both)


async def test_a_retry_copies_what_the_run_before_wrote_and_nothing_else(both: TwoRegions) -> None:
    plan, home, old = await planned(both), both.clusters["eu"], values(both, "us")
    await both.do(plan.model_copy(update={"steps": plan.steps[:2]}), RUN)
    made, again = values(both, "eu"), "production.secret-rotate.2222"
    retried = (await planned(both)).without({plan.steps[1].key}, plan)
    assert retried.completes(plan), "nobody is asked again"
    copies = [step for step in retried.steps if isinstance(step, CopyFromHome)]
    found = await home.secret(NAMESPACE, "backend-secret")
    await home.patch_secret(found, {KEYS[0]: b"typed-by-somebody"}, {})
    await both.do(retried.model_copy(update={"steps": ()}), again)
    with pytest.raises(PermanentError, match="Somebody changed Secret backend-secret in eu"):
        await done(copies, both.context(again))
    assert values(both, "us") == old
    found = await home.secret(NAMESPACE, "backend-secret")
    await home.patch_secret(found, {KEYS[0]: made[KEYS[0]].encode()}, {"note": "a label changes no value"})
    await done(copies, both.context(again))
    assert {key: values(both, "us")[key] for key in KEYS} == {key: made[key] for key in KEYS}


async def test_copying_what_home_has_is_approved_for_just_these_values(both: TwoRegions) -> None:
    before = await planned(both, "us")
    home = both.clusters["eu"]
    await home.patch_secret(await home.secret(NAMESPACE, "backend-secret"), {KEYS[0]: b"typed-by-somebody"}, {})
    retried = (await planned(both, "us")).without(set(), before)
    assert not retried.completes(before)


async def test_a_region_that_is_lost_on_the_way_keeps_all_of_its_values_and_says_how_it_catches_up(
    both: TwoRegions,
) -> None:
    plan = await planned(both)
    await both.do(plan.model_copy(update={"steps": plan.steps[:2]}), RUN)
    await both.servers["us"].go_down()
    with pytest.raises(RunbookError) as caught:
        await applied(plan.steps[7], both.context(RUN))
    assert caught.value.code is ReasonCode.CLUSTER_UNREACHABLE
    assert "`secret rotate jwt --regions us` brings us up to date" in caught.value.advice[-1]


async def test_a_region_in_maintenance_is_left_out_and_a_secret_without_the_values_is_refused(
    both: TwoRegions,
) -> None:
    with pytest.raises(PermanentError, match="has no NEW_KEY"):
        await planned(both, keys=("NEW_KEY",))
    both.environment = with_regions(us=Region(name="us", maintenance="new node groups"))
    plan = await planned(both)
    assert [step.key for step in plan.steps] == IN_TURN[:4]
    assert plan.warnings[0] == "Region us is in maintenance (new node groups) and is left as it is."
    with pytest.raises(PermanentError, match="Region us is in maintenance"):
        await planned(both, "us")


async def test_what_somebody_wrote_in_home_after_the_run_goes_to_no_other_region(both: TwoRegions) -> None:
    plan, later, old = await planned(both), await planned(both, "us"), values(both, "us")
    context = both.context(RUN)
    await both.do(plan.model_copy(update={"steps": ()}), RUN)
    await done(plan.steps[:2], context)
    home = both.clusters["eu"]
    found = await home.secret(NAMESPACE, "backend-secret")
    assert context.results.only(RotateSecret, Rotated).resource_version == found.resource_version
    await home.patch_secret(found, {KEYS[0]: b"typed-by-somebody"}, {})
    for copies, when in ((plan.steps[7], "after this run wrote it"), (later.steps[1], "after this was planned")):
        with pytest.raises(PermanentError, match=f"Somebody changed Secret backend-secret in eu {when}") as caught:
            await applied(copies, context if copies is plan.steps[7] else both.context(RUN))
        assert caught.value.code is ReasonCode.CHANGED_MEANWHILE
        assert "`secret rotate jwt --regions us` copies them to us" in caught.value.advice[-1]
    assert values(both, "us") == old


@pytest.mark.parametrize("region", ["eu", "us"])
async def test_nothing_is_replaced_anywhere_where_the_secret_of_one_region_is_immutable(
    both: TwoRegions, region: str
) -> None:
    store = both.servers[region].cluster.store
    found = store.get(SECRET, NAMESPACE, "backend-secret")
    assert found is not None
    store.put(SECRET, {**found, "immutable": True})
    with pytest.raises(PermanentError, match=r"Secret backend-secret in .* is immutable"):
        await planned(both)


async def test_the_line_by_hand_leads_from_one_cluster_to_the_other(both: TwoRegions) -> None:
    (copies,) = [step for step in (await planned(both)).steps if isinstance(step, CopyFromHome)]
    (line,) = copies.by_hand()
    reads, picks, writes = line.split(" | ")
    assert reads.startswith(f"kubectl --context eu get secret backend-secret -n {NAMESPACE} ")
    assert picks == """jq '{data: {"JWT_SECRET": .data["JWT_SECRET"], "OLD_JWT_SECRET": .data["OLD_JWT_SECRET"]}}'"""
    assert writes.startswith("kubectl --context us patch secret backend-secret ")
