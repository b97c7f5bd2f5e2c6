"""Hostile values in every field that the bot reads of the cluster and of its record: each is a value or unknown, never an error."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runbooks.clients.kubernetes import reading, services
from runbooks.clients.kubernetes.claims import claim
from runbooks.clients.kubernetes.cluster_events import event
from runbooks.clients.kubernetes.disruption_budgets import disruption_budget
from runbooks.clients.kubernetes.jobs import job_view
from runbooks.clients.kubernetes.routing import ingress, network_policy
from runbooks.clients.kubernetes.schedules import cron_job
from runbooks.clients.kubernetes.views import REVISION
from runbooks.clients.kubernetes.webhooks import webhooks
from runbooks.clients.kubernetes.written import scaled, written
from runbooks.deployments import service_state
from runbooks.deployments.images import usable
from runbooks.fleet.fleet import Release, ReleasedService
from runbooks.fleet.records import environment_from, releases_from
from runbooks.kit.answers import read_stamp
from runbooks.kit.plan import Image
from runbooks.kit.targets import Environment, Service
from runbooks.observe import service_health
from runbooks.release import max_surge
from tests.support.real import image

FOREIGN = f"ghcr.evil.example/omnicare/backend:v1.1.0@sha256:{'a' * 64}"

# what anybody may write

_TEXTS = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        [
            "", " ", "never", "yesterday", "banana", "5000", "٣", "²", "-1", "1e999", "NaN", "null", "{}", "[]", "true",
            "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "2026-05-04T18:00:00", "2026-13-40T99:99:99Z",
            "2026-05-04T18:00:00+99:99", "0%", "101%", "25 %", "9" * 5000, "x" * 20_000, "[" * 50_000, "\x00", "\ud800",
            "\u202e", "<!channel>", "@", ":", "/", "a@", "@sha256:", "sha256:zz", FOREIGN, "$(reboot)", 'k:{"name":"',
        ]
    ),
)  # fmt: skip
_FLOATS = st.floats(allow_nan=False, allow_infinity=False)  # what is no JSON is among the texts
_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.just(10**30), _FLOATS, _TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_TEXTS, inner, max_size=3)),
    max_leaves=5,
)

_STAMP = "2026-05-04T18:00:00Z"
_POD_SPEC: dict[str, Any] = {
    "containers": [
        {
            "name": "backend",
            "image": image("backend", "v1.2.0").reference,
            "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "1Gi"}},
            "readinessProbe": {"httpGet": {"path": "/health", "port": 3001}},
            "livenessProbe": {"tcpSocket": {"port": "http"}},
        }
    ],
    "initContainers": [{"name": "migrate", "image": image("backend", "v1.2.0").reference, "restartPolicy": "Always"}],
    "volumes": [{"persistentVolumeClaim": {"claimName": "uploads"}}],
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "nodeSelector": {"zone": "a"},
    "readinessGates": [{"conditionType": "a"}],
    "schedulingGates": [{"name": "a"}],
    "nodeName": "node-1",
}
_ANNOTATIONS = {
    REVISION: "3",
    service_state.RUN: "run-1",
    service_state.DEPLOYED_RUN: "run-1",
    service_state.DEPLOYED_BY: "Maya",
    service_state.DEPLOYED_AT: _STAMP,
    service_state.DEPLOYED_IMAGE: image("backend", "v1.2.0").reference,
    service_state.CHANGE_CAUSE: "release",
    service_state.SURGE: "25%",
}
_CONDITIONS = [
    {
        "type": kind,
        "status": "False",
        "reason": "ReplicaSetUpdated",
        "message": "m",
        "lastUpdateTime": _STAMP,
        "lastTransitionTime": _STAMP,
    }
    for kind in ("Progressing", "ReplicaFailure", "PodScheduled", "DisruptionTarget", "Ready")
]


def _meta(name: str, **more: Any) -> dict[str, Any]:
    return {
        "namespace": "omnicare-prod",
        "name": name,
        "uid": name,
        "resourceVersion": "1",
        "creationTimestamp": _STAMP,
        **more,
    }


_STATE = {
    "name": "backend",
    "image": "backend",
    "imageID": image("backend", "v1.2.0").reference,
    "ready": True,
    "restartCount": 1,
    "started": True,
    "state": {
        "terminated": {"reason": "Error", "message": "m", "exitCode": 1, "finishedAt": _STAMP, "startedAt": _STAMP}
    },
    "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137, "message": "m", "finishedAt": _STAMP}},
}
_TEMPLATE = {"metadata": {"labels": {"app": "backend"}, "annotations": {"a": "b"}}, "spec": _POD_SPEC}
_OWNER = [{"uid": "backend", "controller": True}]
DEPLOYMENT: dict[str, Any] = {
    "metadata": _meta(
        "backend",
        generation=3,
        annotations=_ANNOTATIONS,
        labels={"app": "backend"},
        managedFields=[
            {
                "manager": "omnicare-bot",
                "time": _STAMP,
                "fieldsV1": {
                    "f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"backend"}': {"f:image": {}}}}}}
                },
            }
        ],
    ),
    "spec": {
        "replicas": 3,
        "selector": {
            "matchLabels": {"app": "backend"},
            "matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}],
        },
        "template": _TEMPLATE,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}},
        "progressDeadlineSeconds": 600,
        "paused": False,
    },
    "status": {
        "observedGeneration": 3,
        "replicas": 3,
        "updatedReplicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "conditions": _CONDITIONS,
    },
}
REPLICA_SET: dict[str, Any] = {
    "metadata": _meta("backend-1", annotations={REVISION: "3"}, ownerReferences=_OWNER),
    "spec": {"replicas": 3, "template": _TEMPLATE},
    "status": {"replicas": 3, "readyReplicas": 3, "availableReplicas": 3, "conditions": _CONDITIONS},
}
POD: dict[str, Any] = {
    "metadata": _meta(
        "backend-1-a",
        ownerReferences=[{"uid": "backend-1", "controller": True}],
        deletionTimestamp=_STAMP,
        finalizers=["a"],
    ),
    "spec": _POD_SPEC,
    "status": {
        "phase": "Running",
        "reason": "Evicted",
        "message": "m",
        "conditions": _CONDITIONS,
        "containerStatuses": [_STATE],
        "initContainerStatuses": [{**_STATE, "name": "migrate"}],
    },
}
EVENT: dict[str, Any] = {
    "metadata": _meta("e"),
    "type": "Warning",
    "reason": "BackOff",
    "message": "m",
    "count": 3,
    "lastTimestamp": _STAMP,
    "eventTime": _STAMP,
    "series": {"count": 2, "lastObservedTime": _STAMP},
    "involvedObject": {"uid": "backend-1-a", "kind": "Pod", "name": "p", "fieldPath": "spec.containers{backend}"},
}
NODE: dict[str, Any] = {
    "metadata": _meta("node-1", labels={"zone": "a"}),
    "spec": {"unschedulable": True, "taints": [{"key": "a", "value": "b", "effect": "NoSchedule"}]},
    "status": {"conditions": _CONDITIONS, "allocatable": {"cpu": "4", "pods": "110"}},
}
QUOTA: dict[str, Any] = {
    "metadata": _meta("q"),
    "spec": {
        "hard": {"pods": "4"},
        "scopes": ["BestEffort"],
        "scopeSelector": {"matchExpressions": [{"scopeName": "a"}]},
    },
    "status": {"hard": {"pods": "4"}, "used": {"pods": "1"}},
}
ENDPOINTS: dict[str, Any] = {
    "metadata": _meta("backend"),
    "subsets": [
        {"addresses": [{"ip": "10.0.0.1", "targetRef": {"name": "p"}}], "notReadyAddresses": [{"ip": "10.0.0.2"}]}
    ],
}
CONFIG_MAP: dict[str, Any] = {"metadata": _meta("c", labels={"a": "b"}), "data": {"freeze": "{}", "releases": "[]"}}
SECRET: dict[str, Any] = {"metadata": _meta("s"), "data": {"DATABASE_URL": "cG9zdGdyZXM="}}

_MISSING = object()


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path in it, inner ones too."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(each for key, part in inner for each in _places(part, (*path, key)))]


def _with(value: Any, path: tuple[Any, ...], hostile: object) -> Any:
    if not path:
        return hostile
    key, *rest = path
    if isinstance(value, dict):
        if not rest and hostile is _MISSING:
            return {name: part for name, part in value.items() if name != key}
        return {**value, key: _with(value[key], tuple(rest), hostile)}
    if not rest and hostile is _MISSING:
        return [part for place, part in enumerate(value) if place != key]
    return [_with(part, tuple(rest), hostile) if place == key else part for place, part in enumerate(value)]


def spoilt(whole: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """The object with another value, or none, at one to three of its places."""
    paths = [path for path in _places(dict(whole)) if path]

    def spoil(changes: list[tuple[tuple[Any, ...], object]]) -> Any:
        made: Any = dict(whole)
        for path, hostile in changes:
            try:
                made = _with(made, path, hostile)
            except (KeyError, TypeError, IndexError):
                continue  # what was there went with an earlier change
        return made

    return st.lists(
        st.tuples(st.sampled_from(paths), st.one_of(_VALUES, st.just(_MISSING))), min_size=1, max_size=3
    ).map(spoil)


BACKEND = Service(name="backend", deployment="backend", container="backend", repository="ghcr.io/omnicare/backend")
WHERE = Environment(name="production", namespace="omnicare-prod", record_namespace="omnicare-bot", services=(BACKEND,))
MANY = settings(max_examples=1000, deadline=None)
SOME = settings(max_examples=300, deadline=None)


@MANY
@given(spoilt(DEPLOYMENT), spoilt(REPLICA_SET), spoilt(POD), spoilt(EVENT))
def test_whatever_stands_in_an_object_a_service_has_a_state(
    of_deployment: Any, of_set: Any, of_pod: Any, of_event: Any
) -> None:
    seen, pod = reading.deployment(of_deployment), reading.pod(of_pod)
    found = service_state.Listed([seen], [reading.replica_set(of_set)], [pod])
    services = service_state.read(WHERE, found, _record().releases)
    (stands,) = service_health.of(WHERE, found, services, [event(of_event)])
    assert stands.state.service == "backend"
    state = stands.state
    assert state.since is None or read_stamp(state.since), "a time, or unknown"
    assert state.by in (None, "Maya") or state.by in {owner.name for owner in seen.owners}
    assert state.model_validate_json(state.model_dump_json()) == state
    for patch in (max_surge.lowering(seen), max_surge.raising(seen)):
        for each in patch:
            if each["op"] == "replace" and each["path"].endswith("/maxSurge"):
                assert each["value"] == max_surge.RAISED or seen.read_surge(str(each["value"])) is not None


@SOME
@given(spoilt(NODE), spoilt(QUOTA), spoilt(ENDPOINTS), spoilt(CONFIG_MAP), spoilt(SECRET))
def test_whatever_stands_in_the_other_objects_they_are_read(
    of_node: Any, of_quota: Any, of_endpoints: Any, of_map: Any, of_secret: Any
) -> None:
    reading.node(of_node)
    reading.quota(of_quota)
    services.endpoints(of_endpoints)
    reading.secret(of_secret)
    data = reading.config_map(of_map).data
    assert all(isinstance(key, str) and isinstance(value, str) for key, value in data.items())


_BACKEND = {"service": {"name": "backend", "port": {"number": 80}}}
_AROUND: tuple[tuple[Callable[[Any], object], dict[str, Any]], ...] = (
    (ingress, {"spec": {"tls": [{"secretName": "t"}], "rules": [{"host": "h", "http": {"paths": [{"backend": _BACKEND}]}}]}}),
    (network_policy, {"spec": {"podSelector": {"matchLabels": {"a": "b"}}, "policyTypes": ["Ingress"], "ingress": [{}]}}),
    (disruption_budget, {"spec": {"minAvailable": 1, "selector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}}, "status": {"expectedPods": 1}}),
    (webhooks, {"webhooks": [{"name": "w", "clientConfig": {"service": {"name": "s", "namespace": "n"}}, "rules": [{"resources": ["pods"]}]}]}),
    (cron_job, {"spec": {"schedule": "@daily", "timeZone": "UTC"}, "status": {"lastScheduleTime": _STAMP, "active": [{}]}}),
    (job_view, {"status": {"conditions": [{"type": "Failed", "status": "True", "reason": "r", "lastTransitionTime": _STAMP}]}}),
    (claim, {"spec": {"volumeName": "v"}, "status": {"phase": "Lost"}}),
    (services.service, {"spec": {"ports": [{"port": 80, "targetPort": "http"}], "selector": {"a": "b"}}}),
    (written, {"metadata": {"managedFields": [{"manager": "m", "time": _STAMP, "fieldsV1": {"f:data": {"f:A": {}}}}]}}),
    (scaled, {"metadata": {"managedFields": [{"manager": "m", "time": _STAMP, "fieldsV1": {"f:spec": {"f:replicas": {}}}}]}}),
)  # fmt: skip


@SOME
@given(st.one_of(*(st.tuples(st.just(read), spoilt(whole)) for read, whole in _AROUND)))
def test_whatever_stands_around_the_services_it_is_read(given_: tuple[Callable[[Any], object], Any]) -> None:
    read, item = given_
    read(item)


def _record(entries: Any = None) -> Any:
    return releases_from({"releases": json.dumps([_release()] if entries is None else entries)})


def _release(reference: str = "", version: str = "v1.2.0", **more: Any) -> dict[str, Any]:
    own = Image.parse(reference) if reference else image("backend", version)
    made = Release(
        version=version,
        services=(ReleasedService(service="backend", image=own, revision=2),),
        run="run-1",
        by="Maya",
        approved_by=("Tomas",),
        at=_STAMP,
        seconds=30,
    )
    return {**made.model_dump(mode="json"), **more}


PLACE = {"run": "run-1", "title": "Deploy", "by": "Maya", "since": _STAMP}
LOCK = {"person": "maya", "name": "Maya", "reason": "go-live", "since": _STAMP, "until": None}
UNDECIDED = {"run": "run-1", "title": "stopped", "since": _STAMP}


@MANY
@given(spoilt(_release()), st.one_of(_TEXTS, _VALUES.map(lambda value: json.dumps(value, default=str))))
def test_one_release_that_is_nonsense_hides_no_other(nonsense: Any, whole: str) -> None:
    known = _record([nonsense, _release(version="v1.1.0")])
    assert known.releases[-1].version == "v1.1.0"
    assert known.unreadable + len(known.releases) == 2
    for release in known.releases:
        assert release.at == "" or read_stamp(release.at) == release.at
        assert release.model_validate_json(release.model_dump_json()) == release
    counted, left_out = usable(known, (BACKEND,))
    assert len(counted) + len(left_out) >= len(known.releases) - 1
    for release in counted:
        assert (own := release.image("backend")) is None or own.is_of(BACKEND.repository)
    releases_from({"releases": whole})


@MANY
@given(spoilt(PLACE), spoilt(LOCK), spoilt(UNDECIDED), _TEXTS)
def test_an_environment_that_is_nonsense_is_unknown_and_never_free(
    place: Any, lock: Any, undecided: Any, text: str
) -> None:
    texts = {"run": json.dumps(place), "freeze": json.dumps(lock), "undecided": json.dumps(undecided)}
    for data in (texts, {**texts, "freeze": text}, {**texts, "run": text}):
        record = environment_from(data)
        for key in ("run", "freeze", "undecided"):
            read = {"run": record.run, "freeze": record.freeze, "undecided": record.undecided}[key]
            assert (read is not None) != (key in record.unreadable) or not data[key], key
        assert len(record.warnings) >= len(record.unreadable)


def test_private_text_in_the_record_is_no_part_of_what_is_read_of_it():
    said = "Deploy for lopez@example.com " + "x" * 600
    stored = {
        "freeze": {"person": "p", "name": said, "reason": said, "since": _STAMP},
        "run": {"run": "production.deploy.a1", "title": said, "by": said, "since": _STAMP},
        "undecided": {"run": "production.deploy.a1", "title": said, "since": _STAMP},
    }
    record = environment_from({part: json.dumps(value) for part, value in stored.items()})
    assert record.unreadable == ()
    assert "lopez@example.com" not in record.model_dump_json()
    assert "Deploy for [e-mail 1] x" in record.model_dump_json()


def test_a_time_to_come_hides_nobody_who_wrote_before_it() -> None:
    """Who edits an object may add an entry of any manager, with any time, to what Kubernetes keeps of its writers."""
    image_of = {"f:template": {"f:spec": {"f:containers": {'k:{"name":"backend"}': {"f:image": {}}}}}}
    own = {"fieldsV1": {"f:data": {"f:A": {}}, "f:spec": {"f:replicas": {}, **image_of}}}
    entries = [
        {"manager": "kubectl-edit", "time": _STAMP, **own},
        {"manager": "omnicare-bot", "time": "2999-01-01T00:00:00Z", **own},
    ]
    item = {"metadata": {"name": "backend-config", "managedFields": entries}}
    last = written(item)
    assert last is not None
    assert (last.by, last.keys) == ("kubectl-edit", ("A",))
    view = reading.deployment({**DEPLOYMENT, "metadata": {**DEPLOYMENT["metadata"], "managedFields": entries}})
    assert max(view.owners, key=lambda each: each.time).name == "kubectl-edit"
    assert max(view.writers, key=lambda each: each.time).name == "kubectl-edit"
