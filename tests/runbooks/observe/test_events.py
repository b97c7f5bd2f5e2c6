"""Events of Kubernetes: every form in which one gives its time and its count, as one typed value."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runbooks.clients.kubernetes.cluster_events import event
from runbooks.clients.kubernetes.views import EventView
from runbooks.diagnosis import evidence
from runbooks.observe import events
from tests.support.real import Place

NOW = datetime(2026, 11, 24, 14, 0, tzinfo=UTC)
SERIES = "2026-11-24T13:59:40.250000Z"
"""20 seconds ago."""
EARLIER = "2026-11-24T13:10:00Z"
"""50 minutes ago."""
ABOUT = {"kind": "Pod", "name": "backend-7c9f-x2lqp", "uid": "u1"}

FORMS: dict[str, dict[str, Any]] = {
    "core, repeated in a series": {
        "involvedObject": ABOUT, "message": "0/3 nodes are available", "eventTime": EARLIER,
        "series": {"count": 47, "lastObservedTime": SERIES}, "firstTimestamp": None, "lastTimestamp": None,
    },
    "events.k8s.io, repeated in a series": {
        "regarding": ABOUT, "note": "0/3 nodes are available", "eventTime": EARLIER,
        "series": {"count": 47, "lastObservedTime": SERIES}, "deprecatedFirstTimestamp": None,
    },
    "core, counted": {
        "involvedObject": ABOUT, "message": "0/3 nodes are available", "count": 47, "firstTimestamp": EARLIER,
        "lastTimestamp": SERIES, "eventTime": None,
    },
    "events.k8s.io, counted the old way": {
        "regarding": ABOUT, "note": "0/3 nodes are available", "deprecatedCount": 47,
        "deprecatedFirstTimestamp": EARLIER, "deprecatedLastTimestamp": SERIES, "eventTime": None,
    },
    "a counted event that a newer component went on with": {
        "involvedObject": ABOUT, "message": "0/3 nodes are available", "count": 1, "firstTimestamp": EARLIER,
        "lastTimestamp": EARLIER, "series": {"count": 47, "lastObservedTime": SERIES},
    },
}  # fmt: skip


def _event(**fields: Any) -> EventView:
    created = {"metadata": {"name": "e1", "uid": "e1", "creationTimestamp": EARLIER}, "type": "Warning"}
    return event({**created, "reason": "FailedScheduling", **fields})


def test_every_form_of_an_event_says_the_same():
    for form, fields in FORMS.items():
        found = _event(**fields)
        assert (found.count, found.at) == (47, datetime.fromisoformat(SERIES)), form
        assert (found.message, found.about, found.about_name) == ("0/3 nodes are available", "u1", ABOUT["name"]), form


def test_a_single_event_of_the_scheduler_has_its_own_time_and_happened_once():
    found = _event(involvedObject=ABOUT, eventTime=SERIES, firstTimestamp=None, lastTimestamp=None, series=None)
    assert (found.count, found.at) == (1, datetime.fromisoformat(SERIES))


def test_a_time_that_is_not_set_is_when_the_event_was_created():
    found = _event(involvedObject=ABOUT, lastTimestamp="0001-01-01T00:00:00Z", count=0)
    assert (found.count, found.at) == (1, datetime.fromisoformat(EARLIER))


def test_an_event_without_a_time_is_told_as_of_an_unknown_one():
    unknown = event({"involvedObject": ABOUT, "type": "Warning", "reason": "FailedMount", "message": "no disk"})
    group, other = events.grouped([unknown, _event(**FORMS["core, counted"])])
    assert group.reason == "FailedScheduling", "the newest of the known comes first"
    assert other.last is None
    assert "at an unknown time" in evidence._event(unknown)


PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text("0129-:TZ.+é", max_size=30),
    st.sampled_from([EARLIER, "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00Z", "2026-11-24T13:10:00", "yesterday"]),
)
JUNK = PLAIN | st.lists(PLAIN, max_size=2) | st.dictionaries(st.sampled_from(["uid", "count", "name"]), PLAIN)
FIELDS = (
    "metadata", "involvedObject", "regarding", "type", "reason", "message", "note", "count", "deprecatedCount", "series",
    "lastTimestamp", "eventTime", "firstTimestamp", "deprecatedLastTimestamp", "deprecatedFirstTimestamp",
)  # fmt: skip


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(FIELDS), JUNK),
    st.dictionaries(st.sampled_from(["count", "lastObservedTime"]), JUNK),
)
def test_whatever_an_event_holds_is_read(fields: dict[str, Any], series: dict[str, Any]):
    for found in (event(fields), event({**fields, "series": series})):
        assert found.count >= 1
        assert found.at is None or found.at.utcoffset() == timedelta()
        assert events.grouped([found, _event()])
        assert evidence._event(found)


# on both clusters


async def _written(here: Place, path: str, body: dict[str, Any]) -> None:
    await here.create(f"{path}/namespaces/{here.namespace}/events", body)


async def test_an_event_that_repeats_is_as_young_as_its_last_time_and_counted_whole(here: Place, is_real: bool):
    await here.deploy("backend", replicas=1)
    (pod,) = await here.cluster.pods(here.namespace)
    now = datetime.now(UTC)
    reference = {"kind": "Pod", "apiVersion": "v1", "name": pod.name, "namespace": here.namespace, "uid": pod.uid}
    new = {
        "type": "Warning", "reason": "FailedScheduling", "action": "Scheduling", "reportingInstance": "scheduler-1",
        "eventTime": f"{now - timedelta(minutes=50):%Y-%m-%dT%H:%M:%S.%fZ}",
        "series": {"count": 47, "lastObservedTime": f"{now - timedelta(seconds=20):%Y-%m-%dT%H:%M:%S.%fZ}"},
    }  # fmt: skip
    core = {
        **new, "apiVersion": "v1", "kind": "Event", "metadata": {"name": "in-core"}, "involvedObject": reference,
        "message": "no room (1)", "reportingComponent": "default-scheduler",
    }  # fmt: skip
    await _written(here, "/api/v1", core)
    if is_real:  # the sandbox's cluster serves the one API that the bot reads
        other = {
            **new, "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "in-other"},
            "regarding": reference, "note": "no room (2)", "reportingController": "default-scheduler",
        }  # fmt: skip
        await _written(here, "/apis/events.k8s.io/v1", other)
    found = await events.told(here.cluster, here.environment, "backend", since=now - timedelta(minutes=15))
    warnings = [each for each in found if each.reason == "FailedScheduling"]
    assert len(warnings) == (2 if is_real else 1)
    for each in warnings:
        assert each.count == 47
        assert each.last is not None
        assert abs((each.last - now).total_seconds() + 20) < 1


async def test_the_schedulers_own_event_has_a_time(here: Place):
    await here.deploy("backend", replicas=1)
    since = datetime.now(UTC) - timedelta(minutes=15)
    told: list[events.EventGroup] = []
    async with asyncio.timeout(60):
        while not told:  # it is written beside the pod, not before it
            found = await events.told(here.cluster, here.environment, "backend", since=since)
            told = [each for each in found if each.reason == "Scheduled"]
    scheduled = told[0]
    assert scheduled.last is not None
    assert scheduled.count == 1
