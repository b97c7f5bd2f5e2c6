"""The cluster as the sandbox uses it: seeded, looked at, broken, reset; served and read by its own users."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from aiohttp import ClientError, ClientSession, web
from aiohttp.test_utils import TestServer

from sandbox.cluster import Cluster, Settings, seed_omnicare
from sandbox.cluster.controllers.owners import condition
from sandbox.cluster.errors import ApiError
from sandbox.cluster.fields import Writer
from sandbox.cluster.images import image_id
from sandbox.cluster.resources import CONFIG_MAP, DEPLOYMENT, ENDPOINTS, EVENT, NAMESPACE, POD, REPLICA_SET
from sandbox.cluster.routes import Routes
from sandbox.cluster.settings import ADMIN
from sandbox.cluster.watch import Watch
from sandbox.outside.registry import digest_of
from sandbox.scenarios.surrounding_acts import required_webhook
from tests.support.clusters import QUICK, sandbox_cluster

PRODUCTION = "omnicare-prod"
BACKEND = "ghcr.io/omnicare/backend"


@pytest.fixture
def seeded():
    cluster = Cluster(QUICK)
    seed_omnicare(cluster)
    return cluster


async def until(cluster, holds):
    """The pods as soon as they are as they should be."""
    async with asyncio.timeout(60):
        async for pods in cluster.changes(PRODUCTION):
            if holds(pods):
                return pods
    raise AssertionError


def versions(pods, deployment="backend"):
    return sorted(pod.version for pod in pods if pod.deployment == deployment and pod.ready)


# The seed


def test_the_seed_runs_v1_2_0_with_v1_1_0_in_its_history(seeded):
    for namespace in (PRODUCTION, "omnicare-staging"):
        pods = seeded.pods(namespace)
        assert versions(pods) == versions(pods, "frontend") == ["v1.2.0"] * 3
        live = seeded.api.get(DEPLOYMENT, namespace, "backend")
        image = live["spec"]["template"]["spec"]["containers"][0]["image"]
        assert image == f"{BACKEND}:v1.2.0@{digest_of('backend', 'v1.2.0')}"
        sets = seeded.api.list(REPLICA_SET, namespace)
        revisions = {
            item["metadata"]["annotations"]["deployment.kubernetes.io/revision"]: item["spec"]["replicas"]
            for item in sets
            if item["metadata"]["labels"]["app"] == "backend"
        }
        assert revisions == {"1": 0, "2": 3}
        assert condition(live, "Progressing")["reason"] == "NewReplicaSetAvailable"


def test_the_seeds_namespaces_may_be_thrown_away_and_the_bot_has_one_of_its_own(seeded):
    for name in (PRODUCTION, "omnicare-staging", "omnicare-bot"):
        labels = seeded.api.get(NAMESPACE, "", name)["metadata"]["labels"]
        assert labels["omnicare.dev/throw-away"] == "true"


def test_the_seeded_past_is_past(seeded):
    made = seeded.api.get(DEPLOYMENT, PRODUCTION, "backend")["metadata"]["creationTimestamp"]
    assert datetime.now(UTC) - datetime.fromisoformat(made) > timedelta(days=39)
    assert seeded.api.list(EVENT) == []
    assert {pod.restarts for pod in seeded.pods()} == {0}


def test_running_pods_have_the_registrys_digest(seeded):
    (pod, *_) = seeded.api.list(POD, PRODUCTION)
    status = pod["status"]["containerStatuses"][0]
    assert status["imageID"] == f"{BACKEND}@{digest_of('backend', 'v1.2.0')}"
    assert image_id("x/web:v1").startswith("x/web@sha256:")
    assert image_id("ghcr.io/omnicare/frontend:v2.0.0").endswith(digest_of("frontend", "v2.0.0")), "by its tag, too"
    assert image_id("ghcr.io/omnicare/frontend:v9").startswith("ghcr.io/omnicare/frontend@sha256:")
    assert not image_id("ghcr.io/omnicare/backend:v2.1.0-moved").endswith(digest_of("backend", "v2.1.0-moved"))


def test_long_deadlines_pass_at_once_when_time_is_moved_by_hand(seeded):
    now = datetime.now(UTC)
    seeded.clock.hold(now)
    seeded.set_image(PRODUCTION, "backend", f"{BACKEND}:v2.1.0-bad")
    seeded.clock.advance(now + timedelta(minutes=9))
    live = seeded.api.get(DEPLOYMENT, PRODUCTION, "backend")
    assert condition(live, "Progressing")["status"] == "True"
    seeded.clock.advance(now + timedelta(minutes=11))
    live = seeded.api.get(DEPLOYMENT, PRODUCTION, "backend")
    assert condition(live, "Progressing")["reason"] == "ProgressDeadlineExceeded"
    assert live["status"]["availableReplicas"] == 3


def test_a_pod_that_a_finalizer_holds_goes_when_that_is_taken_away(seeded):
    now = datetime.now(UTC)
    seeded.clock.hold(now)
    name = seeded.pods(PRODUCTION)[0].name

    def holds(finalizers):
        seeded.api.modify(
            POD, PRODUCTION, name, lambda draft: draft["metadata"].update(finalizers=finalizers), Writer("test")
        )

    def names():
        return [pod.name for pod in seeded.pods(PRODUCTION)]

    holds(["example.com/drain"])
    seeded.api.delete(POD, PRODUCTION, name)
    seeded.clock.advance(now + timedelta(minutes=5))
    assert name in names()
    holds([])
    seeded.clock.advance(now + timedelta(minutes=6))
    assert name not in names()


def test_a_pod_that_crashes_for_a_day_fills_nothing(seeded):
    now = datetime.now(UTC)
    seeded.clock.hold(now)
    seeded.set_image(PRODUCTION, "backend", f"{BACKEND}:v2.1.0-crash")
    seeded.clock.advance(now + timedelta(hours=2))
    events = len(seeded.api.list(EVENT))
    seeded.clock.advance(now + timedelta(hours=4))
    assert len(seeded.api.list(EVENT)) == events
    (crashing,) = [pod for pod in seeded.pods(PRODUCTION) if "crash" in pod.version]
    assert crashing.status in ("CrashLoopBackOff", "Error", "Running")
    assert crashing.restarts > 100
    assert not crashing.ready


# The view for the page


def test_pods_that_are_kept_from_getting_ready_do_so_when_they_are_let(seeded):
    now = datetime.now(UTC)
    seeded.clock.hold(now)
    seeded.faults.unready |= {"/backend:v2.0.0", "/frontend:v2.0.0"}
    for name in ("backend", "frontend"):
        seeded.set_image(PRODUCTION, name, f"ghcr.io/omnicare/{name}:v2.0.0")
    seeded.clock.advance(now + timedelta(minutes=5))
    (kept,) = [pod for pod in seeded.pods(PRODUCTION) if pod.deployment == "backend" and pod.version == "v2.0.0"]
    assert kept.phase == "Running"
    assert not kept.ready
    seeded.delete_pod(PRODUCTION, kept.name)
    seeded.clock.advance(now + timedelta(minutes=6))
    assert "v2.0.0" not in versions(seeded.pods(PRODUCTION)), "the one in its place is kept too"
    seeded.let_ready("/backend:v2.0.0")
    seeded.clock.advance(now + timedelta(minutes=7))
    assert versions(seeded.pods(PRODUCTION)) == ["v2.0.0"] * 3
    assert "v2.0.0" not in versions(seeded.pods(PRODUCTION), "frontend"), "that one was not let"


async def test_the_view_shows_a_rollout_as_it_happens(seeded):
    async with seeded.serve():
        seeded.set_image(PRODUCTION, "backend", f"{BACKEND}:v2.0.0")
        await until(seeded, lambda pods: versions(pods) == ["v1.2.0", "v1.2.0", "v1.2.0", "v2.0.0"])
        done = await until(seeded, lambda pods: versions(pods) == ["v2.0.0"] * 3 and len(pods) == 6)
        assert versions(done, "frontend") == ["v1.2.0"] * 3


async def test_a_callback_hears_of_changes_until_it_is_ended(seeded):
    async with seeded.serve():
        heard = []
        stop = seeded.on_change(lambda: heard.append(1))
        victim = seeded.pods(PRODUCTION)[0]
        seeded.delete_pod(PRODUCTION, victim.name)
        assert heard
        stop()
        before = len(heard)
        await until(seeded, lambda pods: len(versions(pods)) == 3 and victim.name not in {pod.name for pod in pods})
        assert len(heard) == before


async def test_a_reset_tells_every_watcher_and_can_be_seeded_again(seeded):
    async with seeded.serve():
        watch = Watch(seeded.store, DEPLOYMENT, PRODUCTION, [])
        watch.start(str(seeded.store.version), initial=False)
        seeded.set_image(PRODUCTION, "backend", f"{BACKEND}:v2.1.0-bad")
        seeded.reset()
        seed_omnicare(seeded)
        seen = []
        async with asyncio.timeout(60):
            async for kind, obj in watch.events(5, bookmarks=False):
                seen.append((kind, obj["metadata"]["name"]))
                if seen.count(("ADDED", "backend")) == 1 and seen.count(("ADDED", "frontend")) == 1:
                    break
        assert ("DELETED", "backend") in seen
        assert versions(seeded.pods(PRODUCTION)) == ["v1.2.0"] * 3
        seeded.set_image(PRODUCTION, "backend", f"{BACKEND}:v2.0.0")
        await until(seeded, lambda pods: versions(pods) == ["v2.0.0"] * 3)


# The server


async def test_a_watch_from_too_long_ago_is_told_so(tmp_path):
    async with sandbox_cluster(tmp_path, Settings(log_length=50)) as cluster:
        for number in range(60):
            await cluster.session.post(
                f"/api/v1/namespaces/{cluster.namespace}/configmaps", json={"metadata": {"name": f"c{number}"}}
            )
        path = f"/api/v1/namespaces/{cluster.namespace}/pods"
        event = json.loads(await cluster.raw("GET", path, {"watch": "1", "resourceVersion": "1"}))
        assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


async def test_a_watch_can_begin_with_everything_that_is_there(tmp_path):
    async with sandbox_cluster(tmp_path) as cluster:
        query = {
            "watch": "1",
            "sendInitialEvents": "true",
            "resourceVersionMatch": "NotOlderThan",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": "1",
        }
        text = await cluster.raw("GET", f"/api/v1/namespaces/{cluster.namespace}/serviceaccounts", query)
        events = [json.loads(line) for line in text.splitlines()]
        assert [event["type"] for event in events[:2]] == ["ADDED", "BOOKMARK"]
        assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_a_client_that_goes_ends_its_watch(seeded):
    async with seeded.serve(), asyncio.timeout(60):
        kubeconfig = yaml.safe_load(seeded.kubeconfig("viewer"))
        assert kubeconfig["clusters"][0]["cluster"]["server"].startswith("https://127.0.0.1:")
        host, port = kubeconfig["clusters"][0]["cluster"]["server"].removeprefix("https://").split(":")
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
        writer.write(
            b"GET /api/v1/pods?watch=1&resourceVersion=0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer viewer-token\r\n\r\n"
        )
        await reader.readuntil(b"ADDED")
        assert len(seeded._routes.watches) == 1
        writer.close()
        while seeded._routes.watches:  # noqa: ASYNC110 - the thing itself; a timeout stands around it
            await asyncio.sleep(0)


async def test_the_bot_may_roll_its_environments_and_nothing_else(tmp_path):
    cluster = Cluster(QUICK)
    seed_omnicare(cluster)
    from sandbox.cluster.rbac import Attempt, is_allowed

    bot = cluster.user("omnicare-bot")

    def may(verb, resource, group="", namespace=PRODUCTION):
        return is_allowed(bot, Attempt(verb, group, resource, namespace))

    assert may("patch", "deployments", "apps")
    assert may("patch", "deployments", "apps", "omnicare-staging")
    assert may("get", "pods/log")
    assert may("create", "configmaps", namespace="omnicare-bot")
    assert may("patch", "configmaps")  # the release's configuration
    assert not may("delete", "configmaps")
    assert not may("patch", "configmaps", namespace="kube-system")
    assert not may("get", "secrets")
    assert not may("delete", "deployments", "apps")
    assert not may("patch", "deployments", "apps", "kube-system")
    assert may("create", "pods/exec")
    assert not may("create", "pods/exec", namespace="omnicare-bot")
    assert not may("create", "pods/exec", namespace="kube-system")
    assert cluster.user("viewer").name == "viewer"
    with pytest.raises(ValueError, match="no user nobody"):
        cluster.user("nobody")


def test_there_is_no_kubeconfig_before_there_is_an_address():
    with pytest.raises(RuntimeError, match="not served"):
        Cluster().kubeconfig()


async def test_a_repeated_request_of_json_has_whole_log_lines(tmp_path):
    async with sandbox_cluster(tmp_path) as cluster:
        await cluster.kubectl("create", "deployment", "backend", "--image=ghcr.io/omnicare/backend:v1.2.0")
        await cluster.kubectl("wait", "--for=condition=Available", "deployment/backend", "--timeout=55s")
        first = (await cluster.kubectl("logs", "deployment/backend")).out
        again = (await cluster.kubectl("logs", "deployment/backend")).out
        assert again.startswith(first)
        assert first.startswith("INFO  backend starting")
        cut = (await cluster.kubectl("logs", "deployment/backend", "--limit-bytes=10")).out
        assert cut == first[:10]


def test_logs_hold_secrets_and_patients_for_redaction_to_find(seeded):
    from sandbox.cluster.logs import log_of

    pod = next(pod for pod in seeded.api.list(POD, PRODUCTION) if pod["metadata"]["labels"]["app"] == "backend")
    log = log_of(pod, "backend", previous=False)
    now = datetime.now(UTC)
    lines = [line.text for line in log.until(now)]
    text = "\n".join(lines)
    assert len(lines) == 2000
    assert re.search(r"MRN \d{7} SSN \d{3}-\d\d-\d{4}", text)
    assert "postgres://omnicare_prod_user:hunter2" in text
    assert "Bearer eyJ" in text
    assert any(line.startswith("{") and json.loads(line) for line in lines)
    assert [line.text for line in log.until(now, last=3)] == lines[-3:]


# The verbs


def test_nothing_is_made_in_a_namespace_that_is_going(seeded):
    now = datetime.now(UTC)
    seeded.clock.hold(now)
    seeded.api.delete(NAMESPACE, "", "omnicare-staging")
    with pytest.raises(ApiError, match="being terminated"):
        seeded.api.create(CONFIG_MAP, "omnicare-staging", {"metadata": {"name": "a"}}, Writer("test"))
    seeded.clock.advance(now + timedelta(seconds=30))
    with pytest.raises(ApiError, match="not found"):
        seeded.api.get(NAMESPACE, "", "omnicare-staging")
    assert seeded.pods("omnicare-staging") == ()
    assert len(seeded.pods(PRODUCTION)) == 6


def test_no_pod_is_made_while_a_webhook_that_must_answer_has_no_pods(seeded):
    pod = {"metadata": {"name": "one"}, "spec": {"containers": [{"name": "one", "image": f"{BACKEND}:v1.2.0"}]}}

    def make(name, namespace=PRODUCTION):
        body = {**pod, "metadata": {"name": name}}
        return seeded.api.create(POD, namespace, body, Writer("kubectl-create"))

    seeded.create(required_webhook("image-policy", PRODUCTION))
    for where, why in (("no Service", "not found"), ("no pods", "no endpoints available for service")):
        if where == "no pods":
            spec = {"selector": {"app": "image-policy"}, "ports": [{"port": 443}]}
            metadata = {"name": "image-policy", "namespace": PRODUCTION}
            seeded.create({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
        with pytest.raises(ApiError, match="failed calling webhook") as refused:
            make("one")
        assert (refused.value.code, refused.value.reason) == (500, "InternalError")
        assert why in refused.value.message
    assert make("one", "omnicare-staging"), "it asks about production only"
    at = {"addresses": [{"ip": "10.0.0.9"}], "ports": [{"port": 443}]}
    behind = {"metadata": {"name": "image-policy"}, "subsets": [at]}
    seeded.api.create(ENDPOINTS, PRODUCTION, behind, Writer("kubectl-create"))
    assert make("one")


def test_stored_objects_are_never_changed_in_place(seeded):
    before = seeded.api.get(DEPLOYMENT, PRODUCTION, "backend")
    text = json.dumps(before)
    now = datetime.now(UTC)
    seeded.clock.hold(now)
    seeded.set_image(PRODUCTION, "backend", f"{BACKEND}:v2.0.0")
    config = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "backend", "annotations": {"a": "b"}},
    }
    seeded.api.apply(DEPLOYMENT, PRODUCTION, "backend", config, Writer("one", "Apply"))
    seeded.api.apply(
        DEPLOYMENT, PRODUCTION, "backend", {**config, "metadata": {"name": "backend"}}, Writer("one", "Apply")
    )
    seeded.clock.advance(now + timedelta(minutes=1))
    assert json.dumps(before) == text
    after = seeded.api.get(DEPLOYMENT, PRODUCTION, "backend")
    assert "a" not in after["metadata"]["annotations"]
    assert after["status"]["updatedReplicas"] == 3


async def test_a_client_that_leaves_a_streamed_answer_makes_no_traceback(seeded, caplog):
    ended = asyncio.Event()

    @web.middleware
    async def leaving(request, handler):
        request.transport.abort()
        try:
            return await handler(request)
        finally:
            ended.set()

    app = Routes(seeded.api, (ADMIN,), ()).application()
    app.middlewares.append(leaving)
    pods = f"/api/v1/namespaces/{PRODUCTION}/pods"
    async with TestServer(app) as server, ClientSession(headers={"Authorization": f"Bearer {ADMIN.token}"}) as client:
        for path in (f"{pods}/{seeded.pods(PRODUCTION)[0].name}/log?follow=true", f"{pods}?watch=true"):
            ended.clear()
            with pytest.raises(ClientError):
                await client.get(server.make_url(path))
            await ended.wait()
    assert caplog.messages == []
