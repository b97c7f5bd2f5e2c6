"""Rules asked side by side: what they say is put in order, and one that can't look hides nothing of the others."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Region
from runbooks.troubleshooting.asking import diagnose, looked_again, ranked
from runbooks.troubleshooting.case import Case, PlaceFacts, RecentRun, opened
from runbooks.troubleshooting.findings import Confidence, Finding, RuleAnswer, Trouble, found, not_configured
from runbooks.troubleshooting.rule import RegionRule, Rule
from tests.support.cases import PRODUCTION, case

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def finding(
    kind: Trouble,
    confidence: Confidence = Confidence.CERTAIN,
    *explained: Trouble,
    minutes: float | None = None,
    service: str = "",
    region: str = "",
) -> Finding:
    since = NOW - timedelta(minutes=minutes) if minutes is not None else None
    return Finding(
        kind=kind,
        cause=f"{kind.value} is wrong",
        confidence=confidence,
        explains=explained,
        since=since,
        service=service,
        region=region,
    )


def order(*findings: Finding) -> list[Trouble]:
    return [each.kind for each in ranked(findings)]


def test_a_cause_stands_before_all_that_it_explains_also_through_another():
    errors = finding(Trouble.ERRORS)
    crashes = finding(Trouble.CRASHES, Confidence.LIKELY, Trouble.ERRORS)
    database = finding(Trouble.DATABASE_UNREACHABLE, Confidence.LIKELY, Trouble.CRASHES)
    assert order(errors, crashes, database) == [Trouble.DATABASE_UNREACHABLE, Trouble.CRASHES, Trouble.ERRORS]


def test_what_is_wrong_stands_before_the_number_that_measures_it():
    number = finding(Trouble.POOL_EXHAUSTED, minutes=30).model_copy(update={"measured": True})
    full = finding(Trouble.POOL_EXHAUSTED, Confidence.LIKELY)
    assert ranked([number, full]) == (full, number)


def test_what_explains_what_people_notice_stands_before_what_is_surer_and_explains_nothing():
    harmless, errors = finding(Trouble.CERTIFICATE), finding(Trouble.ERRORS)
    cause = finding(Trouble.SLOW_QUERIES, Confidence.LIKELY, Trouble.ERRORS, Trouble.ALERT)
    less = finding(Trouble.CACHE, Confidence.LIKELY, Trouble.ALERT)
    expected = [Trouble.SLOW_QUERIES, Trouble.CACHE, Trouble.CERTIFICATE, Trouble.ERRORS, Trouble.ALERT]
    assert order(harmless, errors, finding(Trouble.ALERT), less, cause) == expected


def test_what_is_only_possible_explains_nothing_that_is_certain():
    node = finding(Trouble.NODE_PRESSURE, Confidence.POSSIBLE, Trouble.ERRORS)
    assert order(node, finding(Trouble.ERRORS)) == [Trouble.ERRORS, Trouble.NODE_PRESSURE]


def test_one_region_or_service_does_not_explain_another():
    here = finding(Trouble.IMAGE, Confidence.LIKELY, Trouble.TARGETS, region="us", service="backend")
    for other in (finding(Trouble.TARGETS, region="eu"), finding(Trouble.TARGETS, service="frontend")):
        assert order(here, other)[0] is Trouble.TARGETS


def test_of_equally_sure_findings_the_earlier_is_first_and_a_circle_ends():
    late = finding(Trouble.CACHE, Confidence.LIKELY, Trouble.ERRORS, minutes=5)
    early = finding(Trouble.ERRORS, Confidence.LIKELY, Trouble.CACHE, minutes=9)
    assert order(late, early, finding(Trouble.ALERT)) == [Trouble.ALERT, Trouble.ERRORS, Trouble.CACHE]


class _Says(Rule):
    name = "cache"
    permission = "fleet:read"

    async def look(self, case: Case) -> RuleAnswer:  # noqa: ARG002
        return found(finding(Trouble.CACHE))


class _Well(Rule):
    name = "nodes"
    permission = "fleet:read"

    async def look(self, case: Case) -> RuleAnswer:  # noqa: ARG002
        return RuleAnswer(details="3 nodes")


class _Hangs(Rule):
    name = "the database"
    permission = "fleet:read"
    seconds: ClassVar[float] = 0.01

    async def look(self, case: Case) -> RuleAnswer:  # noqa: ARG002
        await asyncio.Event().wait()
        return found()


class _Refused(Rule):
    name = "certificates"
    permission = "fleet:read"

    async def look(self, case: Case) -> RuleAnswer:  # noqa: ARG002
        raise PermanentError("The bot may not read certificates.", code=ReasonCode.CLUSTER_REFUSED)


class _Absent(Rule):
    name = "the load balancer"
    permission = "fleet:read"

    async def look(self, case: Case) -> RuleAnswer:  # noqa: ARG002
        return not_configured()


class _Broken(Rule):
    name = "the queue"
    permission = "fleet:read"

    async def look(self, case: Case) -> RuleAnswer:  # noqa: ARG002
        raise KeyError("a patient's name")


async def test_a_rule_that_hangs_is_refused_or_fails_is_one_that_could_not_look():
    async with case(patience=1.0) as asked:
        said = await diagnose(asked, (_Says(), _Well(), _Hangs(), _Refused(), _Absent(), _Broken()))
    assert [each.kind for each in said.findings] == [Trouble.CACHE]
    assert said.well == ("nodes (3 nodes)",)
    assert said.not_configured == ("the load balancer",)
    assert dict(said.unknown) == {
        "the database": "no answer within 0.01 s",
        "certificates": "The bot may not read certificates",
        "the queue": "an error in the bot; its log has the details",
    }


class _Evictions(_Well):
    name = "evictions"
    contradicted_by = (Trouble.CACHE, Trouble.EVICTED)


class _Talks(_Says):
    async def look(self, case: Case) -> RuleAnswer:  # noqa: ARG002
        long = {"cause": f"Job a failed ({'x ' * 9000})", "evidence": ("y" * 9000,)}
        return found(finding(Trouble.JOB).model_copy(update=long))


async def test_a_cluster_that_says_too_much_leaves_room_for_other_findings():
    async with case() as asked:
        (first,) = (await diagnose(asked, (_Talks(),))).findings
    assert len(first.cause) <= 400
    assert len(first.evidence[0]) <= 600


async def test_what_another_rule_found_wrong_is_not_found_well_beside_it():
    async with case() as asked:
        assert (await diagnose(asked, (_Evictions(), _Well()))).well == ("evictions (3 nodes)", "nodes (3 nodes)")
        assert (await diagnose(asked, (_Says(), _Evictions(), _Well()))).well == ("nodes (3 nodes)",)


async def test_a_rule_whose_permission_is_missing_does_not_look():
    class Secret(_Broken):
        permission = "database:read"

    async with case(may=frozenset({"fleet:read"})) as asked:
        said = await diagnose(asked, (_Well(), Secret()))
    assert (said.well, said.unknown) == (("nodes (3 nodes)",), ())
    assert said.not_permitted == (("the queue", "database:read"), ("log lines", "logs:read"))


async def test_what_several_rules_need_is_read_once_and_given_up_by_one_only():
    times = 0
    go = asyncio.Event()

    async def runs() -> Sequence[RecentRun]:
        nonlocal times
        times += 1
        await go.wait()
        return ()

    async with opened(
        (), environment=PRODUCTION, service=None, clients={}, now=NOW, may=frozenset(), runs=runs
    ) as asked:
        impatient = asyncio.create_task(asked.runs())
        patient = asyncio.create_task(asked.runs())
        await asyncio.sleep(0)
        impatient.cancel()
        go.set()
        assert await patient == ()
    assert times == 1


async def test_who_could_not_look_is_asked_again_and_others_are_not():
    late = RuleAnswer(unknown=("no answer within 5 s",))
    unreachable = found(finding(Trouble.DATABASE_UNREACHABLE))
    async with case() as asked:
        ends = asyncio.get_running_loop().time() + 60
        again = await looked_again(asked, (_Well(), _Says(), _Absent()), (late, unreachable, found()), ends)
    assert again == [RuleAnswer(details="3 nodes"), found(finding(Trouble.CACHE)), found()]


class _Endless(_Hangs):
    seconds = 3600.0


async def test_what_is_known_when_the_time_is_over_is_told():
    async def runs() -> Sequence[RecentRun]:
        await asyncio.Event().wait()
        return ()

    may = frozenset({"fleet:read", "logs:read"})
    async with opened((), environment=PRODUCTION, service=None, clients={}, now=NOW, may=may, runs=runs) as asked:
        said = await diagnose(asked, (_Says(), _Endless()), seconds=0.1)
    assert [each.kind for each in said.findings] == [Trouble.CACHE]
    assert said.unknown == (("the database", "no answer within 0.1 s"),)
    assert said.changes.unknown == ("the bot's runs: no answer within 0.1 s",)


async def test_a_second_look_ends_with_the_time_and_keeps_what_the_first_one_knew():
    late = RuleAnswer(unknown=("no answer within 5 s",))
    async with case() as asked:
        ends = asyncio.get_running_loop().time() + 0.1
        again = await looked_again(asked, (_Well(), _Endless(), _Well()), (late, late, late), ends)
    assert again == [RuleAnswer(details="3 nodes"), late, late]


class _There(RegionRule):
    name = "pods"
    permission = "fleet:read"

    async def look_at(self, case: Case, place: PlaceFacts) -> RuleAnswer:  # noqa: ARG002
        if place.region == "us":
            raise PermanentError("Its cluster does not answer.", code=ReasonCode.CLUSTER_UNREACHABLE)
        return found(finding(Trouble.CRASHES))


async def test_a_region_that_does_not_answer_hides_nothing_of_another():
    regions = (Region(name="eu"), Region(name="us"))
    where = PRODUCTION.model_copy(update={"regions": regions, "home": "eu"})
    nobody = ClusterClient(kubeconfig="/nowhere")  # never opened
    clients = {each.name: {ClusterClient: nobody} for each in regions}
    async with case(cluster=nobody, environment=where, regions=clients) as asked:
        said = await diagnose(asked, (_There(),))
    assert [(each.kind, each.region) for each in said.findings] == [(Trouble.CRASHES, "eu")]
    assert ("pods", "us: Its cluster does not answer") in said.unknown
