"""The rules of an approval: every small history of decisions ends as the rules say, and nothing else ends it."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.policy.approvals import (
    Act,
    ApprovalDecision,
    PendingApproval,
    Verdict,
    apply,
    check,
    later,
    new_word,
    same_word,
)
from commands.kit.context import Actor, Denied
from commands.kit.policy import ApprovalPolicy, raised
from runbooks.kit.plan import Unusual
from runbooks.kit.reasons import ReasonCode

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
PEOPLE = ("requester", "approver", "second", "outsider")
PERMITTED = {"requester", "approver", "second"}
ACTS: tuple[Act, ...] = ("approve", "deny", "withdraw")


def pending(count: int = 1, *, own: bool = False, **more: object) -> PendingApproval:
    policy = ApprovalPolicy(count=count, permission="rollout:approve", own=own, expires_seconds=1800)
    return PendingApproval.model_validate(
        {
            "policy": policy,
            "requester": "requester",
            "requester_name": "Requester",
            "digest": "d" * 64,
            "word": "word",
            "asked": NOON,
            "approvers": ("approver", "second"),
        }
        | more
    )


def actor(key: str, account: str = "U1") -> Actor:
    return Actor(key=key, name=key.title(), account=account)


def refusal(
    state: PendingApproval, act: Act, key: str, *, word: str | None = "word", at: datetime = NOON
) -> Denied | None:
    try:
        check(
            state,
            act,
            actor(key),
            now=at,
            word=word,
            permitted=key in PERMITTED,
            approvers="Approver and Second",
        )
    except Denied as denied:
        return denied
    return None


def decided(state: PendingApproval, act: Act, key: str) -> tuple[PendingApproval, Verdict]:
    return apply(state, ApprovalDecision(act=act, by=key, name=key.title(), at=NOON))


def histories(length: int) -> Iterator[tuple[tuple[Act, str], ...]]:
    for size in range(1, length + 1):
        yield from itertools.product(itertools.product(ACTS, PEOPLE), repeat=size)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_history_of_three_decisions_ends_as_the_rules_say(count: int, own: bool) -> None:
    """Said once more, in another way: who may, and what the first ending is."""
    seen: set[Verdict] = set()
    for history in histories(3):
        state, verdict = pending(count, own=own), "pending"
        yes: set[str] = set()
        for act, key in history:
            let = refusal(state, act, key) is None
            permitted = key in PERMITTED and (own or key != "requester")
            expected = key == "requester" if act == "withdraw" else permitted and not (act == "approve" and key in yes)
            assert let == expected, (history, act, key)
            if not let:
                continue
            state, verdict = decided(state, act, key)
            yes |= {key} if act == "approve" else set()
            wanted = {"deny": "denied", "withdraw": "withdrawn"}.get(act, "granted" if len(yes) == count else "pending")
            assert verdict == wanted, history
            if verdict != "pending":
                break
        assert {each.by for each in state.given} == yes
        assert state.missing == count - len(yes)
        seen.add(verdict)  # type: ignore[arg-type]
    reachable = {"pending", "denied", "withdrawn", "granted"}
    assert seen == (reachable if own or count < 3 else reachable - {"granted"})


def test_nothing_is_granted_that_nobody_but_the_requester_said_yes_to() -> None:
    for history in histories(3):
        state = pending(1)
        for act, key in history:
            if refusal(state, act, key) is None:
                state, verdict = decided(state, act, key)
                assert verdict != "granted" or state.given[-1].by not in ("requester", "outsider")
                break


def test_two_accounts_of_one_human_count_once() -> None:
    state, verdict = decided(pending(2), "approve", "approver")
    assert verdict == "pending"
    with pytest.raises(Denied, match=r"already approved it; it needs 1 more") as denied:
        check(
            state,
            "approve",
            actor("approver", "U2PHONE"),
            now=NOON,
            word="word",
            permitted=True,
            approvers="Second",
        )
    assert denied.value.code is ReasonCode.ALREADY_DECIDED
    assert decided(state, "approve", "approver") == (state, "pending")


def test_who_approved_may_still_deny_and_that_ends_it() -> None:
    state, _ = decided(pending(2), "approve", "approver")
    assert refusal(state, "deny", "approver") is None
    assert decided(state, "deny", "approver")[1] == "denied"


@pytest.mark.parametrize(
    ("act", "key", "code", "words"),
    [
        (
            "approve",
            "requester",
            ReasonCode.OWN_REQUEST,
            "You can't approve your own request. Approver and Second can.",
        ),
        ("deny", "requester", ReasonCode.OWN_REQUEST, "You can withdraw it."),
        ("approve", "outsider", ReasonCode.NOT_PERMITTED, "rollout:approve). Approver and Second can."),
        ("deny", "outsider", ReasonCode.NOT_PERMITTED, "rollout:approve)"),
        (
            "withdraw",
            "approver",
            ReasonCode.NOT_PERMITTED,
            "Only the requester, Requester, can withdraw it. You can deny it.",
        ),
    ],
)
def test_a_refusal_says_why_and_names_the_way_forward(act: Act, key: str, code: ReasonCode, words: str) -> None:
    denied = refusal(pending(), act, key)
    assert denied is not None
    assert denied.code is code
    assert words in denied.message


def test_where_nobody_else_can_it_says_that_the_roles_have_to_change() -> None:
    with pytest.raises(Denied, match="Nobody else can; the roles in the configuration must be changed"):
        check(pending(), "approve", actor("requester"), now=NOON, word=None, permitted=True, approvers="")


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("word", ["", "Word", "word ", "wor", "\ud800", "слово", "word\0"])
def test_another_word_decides_nothing_whoever_has_it(act: Act, word: str) -> None:
    for key in PEOPLE:
        denied = refusal(pending(), act, key, word=word)
        assert denied is not None
        assert denied.code is ReasonCode.STALE_BUTTON


def test_what_was_typed_has_no_word_and_means_the_request_as_it_stands() -> None:
    assert refusal(pending(), "approve", "approver", word=None) is None


@given(st.text())
def test_only_the_word_itself_is_the_word(given_word: str) -> None:
    assert same_word(given_word, "word") == (given_word == "word")


def test_words_are_long_random_and_fit_into_a_button() -> None:
    drawn = {new_word() for _ in range(2000)}
    assert len(drawn) == 2000
    assert {len(each) for each in drawn} == {16}  # 96 bits, six in each sign
    assert all(each.isascii() and "|" not in each for each in drawn)


@pytest.mark.parametrize(
    ("after", "counts"), [(0.0, True), (1799.999, True), (1800.0, False), (1800.001, False), (86400.0, False)]
)
def test_at_the_moment_of_expiry_a_yes_no_longer_counts(after: float, counts: bool) -> None:
    for act in ("approve", "deny"):
        denied = refusal(pending(), act, "approver", at=NOON + timedelta(seconds=after))  # type: ignore[arg-type]
        assert (denied is None) == counts
        assert counts or (denied is not None and denied.code is ReasonCode.EXPIRED)


def test_it_reminds_before_it_expires() -> None:
    state = pending()
    assert state.asked < state.reminds < state.expires
    assert state.expires - state.reminds == timedelta(seconds=600)


SHIFT = ApprovalPolicy(count=1, permission="rollout:approve", expires_seconds=1800, reminder_seconds=600)


@pytest.mark.parametrize(
    ("on_shift", "changes", "expected"),
    [
        ({"second"}, {}, ("approver",)),
        ({"approver", "second"}, {}, ()),
        ((), {}, ()),
        ({"second"}, {"count": 2}, ()),
        ({"second"}, {"reminder_seconds": 0.0}, ()),
        ({"second"}, {"reminder_seconds": 1800.0}, ()),
        ({"second"}, {"own": True}, ()),
        ({"outsider"}, {}, ()),
    ],
    ids=["one", "all", "nobody", "too few", "no reminder", "reminded at once", "going back", "somebody else"],
)
def test_those_who_are_not_on_shift_are_asked_later_only_where_somebody_is(on_shift, changes, expected) -> None:
    assert later(("approver", "second"), on_shift, SHIFT.model_copy(update=changes)) == expected


def test_where_one_approver_must_have_a_role_no_number_of_others_is_enough() -> None:
    state = pending(2)
    state = state.model_copy(update={"policy": state.policy.model_copy(update={"one_of_role": "dba"})})
    for key, role, missing, wanted in (
        ("approver", "", 1, "pending"),
        ("second", "", 1, "pending"),
        ("third", "dba", 0, "granted"),
    ):
        said = ApprovalDecision(act="approve", by=key, name=key.title(), at=NOON, role=role)
        state, verdict = apply(state, said)
        assert (state.missing, verdict) == (missing, wanted)
    alone, verdict = apply(pending(2).model_copy(update={"policy": state.policy}), said)
    assert (alone.missing, verdict) == (1, "pending"), "the role does not replace the number"


@pytest.mark.parametrize(
    ("unusual", "count", "role"),
    [
        ((), 1, None),
        ((Unusual(option="--skip-migrations", what="Left out."),), 2, None),
        ((Unusual(option="--only", what="One."), Unusual(option="--override", what="Time.", role="chief")), 2, "chief"),
    ],
)
def test_unusual_options_need_one_more_approval(unusual: tuple[Unusual, ...], count: int, role: str | None) -> None:
    needed = raised(ApprovalPolicy(count=1, permission="rollout:approve"), unusual)
    assert needed is not None
    assert (needed.count, needed.one_of_role) == (count, role)
    assert raised(None, unusual) is None
