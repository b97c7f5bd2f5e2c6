"""Whose yes counts once more for a retry: rules over values, attacked one by one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.policy.approvals import ApprovalDecision
from bot.runs.follow_up import carried
from bot.runs.model import Request, RequestState
from commands.kit.context import Actor
from commands.kit.policy import ApprovalPolicy
from runbooks.kit.plan import Image, ImageChange, Plan
from runbooks.kit.steps import Step
from runbooks.release.region_by_region import deployed
from runbooks.release.steps import RollBack
from runbooks.sync.changes import ItemsChange
from runbooks.sync.plans import ClearItems

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
POLICY = ApprovalPolicy(count=1, permission="rollout:approve", expires_seconds=1800.0)


def image(tag: str) -> Image:
    return Image(repository="ghcr.io/omnicare/backend", tag=tag, digest=f"sha256:{tag:0>64}")


def change(before: str, after: str, service: str = "backend") -> ImageChange:
    return ImageChange(
        service=service, namespace="n", deployment=service, container=service, before=image(before), after=image(after)
    )


def plan(*changes: ImageChange, more: tuple[Step, ...] = (), **other: Any) -> Plan:
    return Plan(title="Deploy", steps=(*(deployed(changes, "deploy v2") if changes else ()), *more), **other)


def request(key: str = "requester") -> Request:
    return Request(
        id="production.deploy.b", command="deploy", arguments={}, environment="production", text="deploy v2",
        title="Deploy v2", requester=Actor(key=key, name=key), channel=None, at=NOON, follows="production.deploy.a",
    )  # fmt: skip


def before(approved: Plan, *people: str) -> RequestState:
    given = tuple(ApprovalDecision(act="approve", by=each, name=each, at=NOON) for each in people)
    return RequestState(phase="ended", word="w", plan=approved, approved_by=given)


APPROVED = plan(change("v1", "v2"), change("v1", "v2", "frontend"))


def count(
    now: Plan,
    state: RequestState | None = None,
    *,
    who: str = "requester",
    policy: ApprovalPolicy = POLICY,
    holders: tuple[str, ...] = ("approver", "second"),
    at: datetime = NOON + timedelta(minutes=5),
    undecided: str | None = "production.deploy.a",
) -> tuple[str, ...]:
    found = state if state is not None else before(APPROVED, "approver")
    given = carried(request(who), now, found, policy, now=at, holders=holders, undecided=undecided)
    return tuple(each.by for each in given)


@pytest.mark.parametrize(
    "now",
    [
        APPROVED,
        plan(change("v1", "v2", "frontend")),
        plan(change("v2", "v2"), change("v1", "v2", "frontend")),
    ],
    ids=["all of it", "what is left", "again where it hangs"],
)
def test_what_was_approved_is_not_asked_again(now: Plan):
    assert count(now) == ("approver",)


@pytest.mark.parametrize(
    "now",
    [
        plan(change("v1", "v3")),
        plan(change("v0", "v2")),
        plan(change("v1", "v2", "worker")),
        plan(change("v1", "v2").model_copy(update={"namespace": "elsewhere"})),
        plan(more=(RollBack(images=(change("v1", "v2"),), cause="back"),)),
        plan(change("v1", "v2"), needs_reason=True),
        plan(change("v1", "v2"), more=(ClearItems(change=ItemsChange(act="clear", service="backend", namespace="n")),)),
        plan(more=(ClearItems(change=ItemsChange(act="clear", service="backend", namespace="n")),)),
        plan(),
    ],
    ids=["elsewhere", "from elsewhere", "more", "another place", "at once", "older", "items too", "items", "nothing"],
)
def test_what_leads_anywhere_else_is_asked_again(now: Plan):
    assert count(now) == ()


def test_an_approval_that_ran_out_counts_no_more():
    assert count(APPROVED, at=NOON + timedelta(seconds=1799)) == ("approver",)
    assert count(APPROVED, at=NOON + timedelta(seconds=1800)) == ()


def test_nobody_retries_by_a_yes_of_their_own():
    assert count(APPROVED, who="approver") == ()


@pytest.mark.parametrize("undecided", [None, "production.deploy.c"])
def test_a_yes_counts_no_more_once_somebody_went_back_or_left_it_as_it_is(undecided: str | None):
    ran = before(APPROVED, "approver").model_copy(update={"started": NOON})
    assert count(APPROVED, ran) == ("approver",)
    assert count(APPROVED, ran, undecided=undecided) == ()
    assert count(APPROVED, undecided=undecided) == ("approver",), "what never ran left nothing to decide"


def test_who_lost_the_permission_since_counts_no_more():
    assert count(APPROVED, holders=("second",)) == ()


def test_a_policy_that_wants_more_people_now_is_not_satisfied_by_fewer_then():
    two = POLICY.model_copy(update={"count": 2})
    assert count(APPROVED, policy=two) == ()
    assert count(APPROVED, before(APPROVED, "approver", "approver"), policy=two) == ()
    assert count(APPROVED, before(APPROVED, "approver", "second"), policy=two) == ("approver", "second")


def test_a_request_that_was_never_approved_or_planned_gives_nothing():
    assert count(APPROVED, before(APPROVED)) == ()
    assert count(APPROVED, RequestState(phase="ended", word="w")) == ()
