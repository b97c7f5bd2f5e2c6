"""The sandbox's cluster and a real control plane answer alike: what kubectl prints, rollouts, scale."""

import asyncio
import re

import pytest
from kubernetes.aio import client

from tests.support.clusters import BOTH, opened
from tests.support.conformance import (
    headings,
    install,
    names,
    rolled_out,
    running_version,
    set_image,
    told,
    waiting_reasons,
)


@pytest.fixture(params=BOTH)
async def cluster(request, tmp_path):
    async with opened(request.param, tmp_path) as under_test:
        yield under_test


# What kubectl prints


async def test_get_prints_the_columns_of_each_kind(cluster):
    await install(cluster)
    await cluster.kubectl("expose", "deployment/web", "--port=80")
    await cluster.until(lambda found: found["items"], "endpoints")
    await told(cluster, "Scheduled")
    assert headings(await cluster.kubectl("get", "deployments")) == [
        "NAME",
        "READY",
        "UP-TO-DATE",
        "AVAILABLE",
        "AGE",
    ]
    assert headings(await cluster.kubectl("get", "replicasets")) == ["NAME", "DESIRED", "CURRENT", "READY", "AGE"]
    assert headings(await cluster.kubectl("get", "pods")) == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    wide = headings(await cluster.kubectl("get", "pods", "-o", "wide"))
    assert wide[5:] == ["IP", "NODE", "NOMINATED NODE", "READINESS GATES"]
    wide = headings(await cluster.kubectl("get", "deployments", "-o", "wide"))
    assert wide[5:] == ["CONTAINERS", "IMAGES", "SELECTOR"]
    services = headings(await cluster.kubectl("get", "services"))
    assert services == ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"]
    assert headings(await cluster.kubectl("get", "endpoints")) == ["NAME", "ENDPOINTS", "AGE"]
    assert headings(await cluster.kubectl("get", "events")) == ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert headings(await cluster.kubectl("get", "nodes"))[:2] == ["NAME", "STATUS"]
    assert headings(await cluster.kubectl("get", "configmaps")) == ["NAME", "DATA", "AGE"]
    row = (await cluster.kubectl("get", "deployments", "--no-headers")).out.split()
    assert row[:4] == ["web", "2/2", "2", "2"]


async def test_describe_shows_the_strategy_the_conditions_and_what_was_done(cluster):
    await install(cluster)
    await told(cluster, "ScalingReplicaSet")
    text = (await cluster.kubectl("describe", "deployment", "web")).out
    assert re.search(r"Replicas:\s+2 desired \| 2 updated \| 2 total \| 2 available \| 0 unavailable", text)
    assert re.search(r"RollingUpdateStrategy:\s+25% max unavailable, 25% max surge", text)
    assert re.search(r"Progressing\s+True\s+NewReplicaSetAvailable", text)
    assert re.search(r"NewReplicaSet:\s+web-\w+ \(2/2 replicas created\)", text)
    assert re.search(r"ScalingReplicaSet .*Scaled up replica set web-\w+", text)
    pods = names(await cluster.get("pods"))

    def each_was_told(found):
        return {each["involvedObject"]["name"] for each in found["items"] if each["reason"] == "Scheduled"} >= pods

    await cluster.until(each_was_told, "events")
    pod = (await cluster.kubectl("describe", "pod", min(pods))).out
    assert "Controlled By:  ReplicaSet/web-" in pod
    assert re.search(r"Scheduled .*default-scheduler +Successfully assigned", pod)


async def test_pods_are_named_after_their_replica_set_and_its_template(cluster):
    await install(cluster)
    (replica_set,) = (await cluster.get("replicasets"))["items"]
    label = replica_set["metadata"]["labels"]["pod-template-hash"]
    assert replica_set["metadata"]["name"] == f"web-{label}"
    for pod in (await cluster.get("pods"))["items"]:
        assert re.fullmatch(rf"web-{label}-[bcdfghjklmnpqrstvwxz2456789]{{5}}", pod["metadata"]["name"])
        assert pod["metadata"]["generateName"] == f"web-{label}-"
        assert pod["metadata"]["ownerReferences"][0]["name"] == replica_set["metadata"]["name"]


# Rollouts


async def test_set_image_rolls_out_a_new_revision(cluster):
    await install(cluster)
    await set_image(cluster, "x/web:v2")
    assert "successfully rolled out" in (await rolled_out(cluster)).out
    pods = await cluster.until(lambda found: len(found["items"]) == 2, "pods", "app=web")
    assert len(running_version(pods, ":v2")) == 2
    found = (await cluster.get("deployment", "web"))["metadata"]
    assert found["annotations"]["deployment.kubernetes.io/revision"] == "2"
    assert found["generation"] == 2


async def test_who_set_the_image_is_told_by_the_managed_fields(cluster):
    await install(cluster)
    await set_image(cluster, "x/web:v2")
    found = (await cluster.kubectl("get", "deployment", "web", "-o", "json", "--show-managed-fields")).out
    live = await client.AppsV1Api(cluster.api).read_namespaced_deployment("web", cluster.namespace)
    owners = [
        entry.manager
        for entry in live.metadata.managed_fields
        if "f:image" in str((entry.fields_v1 or {}).get("f:spec", {}).get("f:template", {}))
        and entry.operation == "Update"
        and '"f:image"' in str(entry.fields_v1).replace("'", '"')
    ]
    assert owners == ["kubectl-set"]
    assert '"manager": "kube-controller-manager"' in found


async def test_undo_gives_the_old_template_a_new_revision_number(cluster):
    await install(cluster)
    await cluster.kubectl("annotate", "deployment/web", "kubernetes.io/change-cause=first")
    await cluster.until(lambda found: "first" in str(found), "replicasets")
    await set_image(cluster, "x/web:v2")
    await cluster.kubectl("annotate", "--overwrite", "deployment/web", "kubernetes.io/change-cause=second")
    await rolled_out(cluster)
    await cluster.until(lambda found: "second" in str(found), "replicasets")
    history = (await cluster.kubectl("rollout", "history", "deployment/web")).out
    assert re.findall(r"^(\d+)\s+(\w+)$", history, re.MULTILINE) == [("1", "first"), ("2", "second")]
    await cluster.kubectl("rollout", "undo", "deployment/web")
    await rolled_out(cluster)
    history = (await cluster.kubectl("rollout", "history", "deployment/web")).out
    assert re.findall(r"^(\d+)\s+(\w+)$", history, re.MULTILINE) == [("2", "second"), ("3", "first")]
    shown = (await cluster.kubectl("rollout", "history", "deployment/web", "--revision=3")).out
    assert "x/web:v1" in shown
    await cluster.kubectl("rollout", "undo", "deployment/web", "--to-revision=2")
    await rolled_out(cluster)
    image = (await cluster.get("deployment", "web"))["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "x/web:v2"


async def test_a_rollout_keeps_within_surge_and_unavailable(cluster):
    await install(cluster, replicas=3, strategy={"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}})
    most, least = [], []

    def scaled(found):
        # what is asked for, at one moment; a Deployment's status adds up what its ReplicaSets counted at different ones
        asked = sorted(item["spec"]["replicas"] for item in found["items"])
        most.append(sum(asked))
        return asked == [0, 3]

    def done(found):
        (entry,) = found["items"]
        status = entry["status"]
        least.append(status.get("availableReplicas", 0))
        complete = status.get("updatedReplicas") == status["replicas"] == status.get("availableReplicas") == 3
        return complete and status["observedGeneration"] == 2

    watching = asyncio.gather(cluster.until(scaled, "replicasets"), cluster.until(done, "deployments"))
    await set_image(cluster, "x/web:v2")
    await watching
    assert max(most) == 4
    assert min(least) == 3


async def test_recreate_starts_the_new_pods_after_the_old_ones_are_gone(cluster):
    await install(cluster, strategy={"type": "Recreate"})
    both = []

    def done(found):
        new, old = running_version(found, ":v2"), running_version(found, ":v1")
        both.append(bool(new) and bool(old))
        return len(new) == 2 and all(item["status"].get("phase") == "Running" for item in new)

    watching = asyncio.create_task(cluster.until(done, "pods", "app=web"))
    await set_image(cluster, "x/web:v2")
    await watching
    assert not any(both)


async def test_a_paused_deployment_waits_until_it_is_resumed(cluster):
    await install(cluster)
    await cluster.kubectl("rollout", "pause", "deployment/web")
    await set_image(cluster, "x/web:v2")
    await cluster.until(lambda found: found["items"][0]["status"]["observedGeneration"] == 3, "deployments")
    assert len((await cluster.get("replicasets"))["items"]) == 1
    await cluster.kubectl("rollout", "resume", "deployment/web")
    await rolled_out(cluster)
    assert len((await cluster.get("replicasets"))["items"]) == 2


async def test_restart_makes_new_pods_of_the_same_image(cluster):
    await install(cluster)
    before = names(await cluster.get("pods"))
    await cluster.kubectl("rollout", "restart", "deployment/web")
    await rolled_out(cluster)
    after = await cluster.until(lambda found: len(found["items"]) == 2, "pods", "app=web")
    assert not before & names(after)
    assert len(running_version(after, ":v1")) == 2


async def test_history_is_kept_to_its_limit(cluster):
    await install(cluster, replicas=1, revisionHistoryLimit=1)
    for version in ("v2", "v3", "v4"):
        await set_image(cluster, f"x/web:{version}")
        await rolled_out(cluster)
    await cluster.until(lambda found: len(found["items"]) == 2, "replicasets")
    history = (await cluster.kubectl("rollout", "history", "deployment/web")).out
    assert re.findall(r"^(\d+) ", history, re.MULTILINE) == ["3", "4"]


@pytest.mark.parametrize(
    ("tag", "reasons", "event"),
    [
        ("bad", {"ErrImagePull", "ImagePullBackOff"}, "manifest unknown"),
        ("crash", {"CrashLoopBackOff"}, "Back-off restarting failed container"),
        ("oom", {"CrashLoopBackOff"}, "Back-off restarting failed container"),
        ("unready", {None}, "Readiness probe failed"),
    ],
)
async def test_an_image_that_fails_stops_the_rollout_and_says_why(cluster, tag, reasons, event):
    await install(cluster)
    await set_image(cluster, f"x/web:{tag}")

    def failing(found):
        new = running_version(found, f":{tag}")
        statuses = new and new[0]["status"].get("containerStatuses")
        if tag == "unready":
            return statuses and "running" in statuses[0]["state"]
        restarted = tag == "bad" or (statuses and statuses[0]["restartCount"] >= 1)
        return new and restarted and waiting_reasons({"items": new})[0] in reasons

    pods = await cluster.until(failing, "pods", "app=web")
    (broken,) = running_version(pods, f":{tag}")
    if tag in ("crash", "oom"):
        ended = broken["status"]["containerStatuses"][0]["lastState"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == ((1, "Error") if tag == "crash" else (137, "OOMKilled"))
        log = await cluster.kubectl("logs", broken["metadata"]["name"], "--previous", "--tail=1")
        assert log.out.startswith("FATAL ")
    await cluster.until(lambda found: event in str(found), "events")

    def old_pods_serve_beside_one_new(found):
        (live,) = found["items"]
        return (live["status"].get("availableReplicas"), live["status"].get("updatedReplicas")) == (2, 1)

    await cluster.until(old_pods_serve_beside_one_new, "deployments")


async def test_an_image_that_was_moved_runs_with_another_digest(cluster):
    asked = "sha256:" + "a" * 64
    await install(cluster, image=f"x/web:moved@{asked}", replicas=1)
    (pod,) = (await cluster.get("pods"))["items"]
    status = pod["status"]["containerStatuses"][0]
    assert re.fullmatch(r"x/web@sha256:[0-9a-f]{64}", status["imageID"])
    assert asked not in status["imageID"]
    await cluster.kubectl("set", "image", "deployment/web", f"web=x/web:v1@{asked}")
    await rolled_out(cluster)
    pods = await cluster.until(lambda found: len(found["items"]) == 1, "pods", "app=web")
    assert pods["items"][0]["status"]["containerStatuses"][0]["imageID"] == f"x/web@{asked}"


async def test_a_rollout_that_makes_no_progress_exceeds_its_deadline(cluster):
    await install(cluster)
    await cluster.kubectl("patch", "deployment", "web", "-p", '{"spec":{"progressDeadlineSeconds":3}}')
    await set_image(cluster, "x/web:bad")
    output = await cluster.kubectl("rollout", "status", "deployment/web", code=1)
    assert "exceeded its progress deadline" in output.err
    (live,) = (await cluster.get("deployments"))["items"]
    progressing = next(entry for entry in live["status"]["conditions"] if entry["type"] == "Progressing")
    assert (progressing["status"], progressing["reason"]) == ("False", "ProgressDeadlineExceeded")
    assert re.fullmatch(r'ReplicaSet "web-\w+" has timed out progressing\.', progressing["message"])
    await cluster.kubectl("rollout", "undo", "deployment/web")
    assert "successfully rolled out" in (await rolled_out(cluster)).out


async def test_a_pod_that_fits_nowhere_says_what_is_missing(cluster):
    await install(cluster, wait=False, replicas=1)
    await rolled_out(cluster)
    await cluster.kubectl("set", "resources", "deployment/web", "--requests=cpu=1000")
    found = await cluster.until(
        lambda found: "Insufficient cpu" in str([item["status"] for item in found["items"]]), "pods", "app=web"
    )
    (pending,) = [item for item in found["items"] if item["status"]["phase"] == "Pending"]
    (condition,) = pending["status"]["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("PodScheduled", "False", "Unschedulable")
    # other tests may have nodes of their own on the real plane, which take no pods of this one's
    assert re.match(r"0/\d+ nodes are available: 1 Insufficient cpu[.,]", condition["message"])
    await cluster.until(lambda found: "FailedScheduling" in str(found), "events")


# Scale


async def test_scale_makes_and_takes_pods_without_a_new_revision(cluster):
    await install(cluster)
    await cluster.kubectl("scale", "deployment/web", "--replicas=4")
    await rolled_out(cluster)
    await cluster.until(lambda found: len(found["items"]) == 4, "pods", "app=web")
    await cluster.kubectl("scale", "deployment/web", "--replicas=1", "--current-replicas=4")
    await cluster.until(lambda found: len(found["items"]) == 1, "pods", "app=web")
    assert len((await cluster.get("replicasets"))["items"]) == 1
    scale = await client.AppsV1Api(cluster.api).read_namespaced_deployment_scale("web", cluster.namespace)
    assert (scale.spec.replicas, scale.status.selector) == (1, "app=web")
    await cluster.kubectl("scale", "deployment/web", "--replicas=9", "--current-replicas=4", code=1)
