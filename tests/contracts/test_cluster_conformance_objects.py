"""The sandbox's cluster and a real control plane answer alike: patches, refusals, watches, deletion, logs, jobs."""

import asyncio
import re

import pytest
from kubernetes.aio import client

from tests.support.clusters import BOTH, opened
from tests.support.conformance import deployment, install, names, refused, rolled_out, told


@pytest.fixture(params=BOTH)
async def cluster(request, tmp_path):
    async with opened(request.param, tmp_path) as under_test:
        yield under_test


# Patches, updates, apply


async def test_the_three_kinds_of_patch(cluster):
    await install(cluster, replicas=1)
    env = '{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"A","value":"1"}]}]}}}}'
    await cluster.kubectl("patch", "deployment", "web", "-p", env)
    await cluster.kubectl("patch", "deployment", "web", "-p", env.replace('"A"', '"B"'))
    container = (await cluster.get("deployment", "web"))["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "x/web:v1"
    assert {entry["name"] for entry in container["env"]} == {"A", "B"}
    delete = env.replace('"value":"1"', '"$patch":"delete"')
    await cluster.kubectl("patch", "deployment", "web", "-p", delete)
    await cluster.kubectl(
        "patch", "deployment", "web", "--type=merge", "-p", '{"metadata":{"labels":{"a":"b","app":null}}}'
    )
    await cluster.kubectl(
        "patch",
        "deployment",
        "web",
        "--type=json",
        "-p",
        '[{"op":"test","path":"/spec/replicas","value":1},{"op":"replace","path":"/spec/minReadySeconds","value":1},'
        '{"op":"add","path":"/metadata/annotations/x~1y","value":"z"}]'.replace(
            '"replace","path":"/spec/min', '"add","path":"/spec/min'
        ),
    )
    found = await cluster.get("deployment", "web")
    container = found["spec"]["template"]["spec"]["containers"][0]
    assert [entry["name"] for entry in container["env"]] == ["B"]
    assert found["metadata"]["labels"] == {"a": "b"}
    assert found["metadata"]["annotations"]["x/y"] == "z"
    assert found["spec"]["minReadySeconds"] == 1


async def test_a_json_patch_whose_test_fails_changes_nothing(cluster):
    await install(cluster, replicas=1)
    apps = client.AppsV1Api(cluster.api)
    before = await apps.read_namespaced_deployment("web", cluster.namespace)
    patch = [
        {"op": "test", "path": "/spec/template/spec/containers/0/image", "value": "x/web:v9"},
        {"op": "replace", "path": "/spec/replicas", "value": 5},
    ]
    status, body = await refused(
        apps.patch_namespaced_deployment("web", cluster.namespace, patch, _content_type="application/json-patch+json")
    )
    assert status == 422
    assert '"reason":"Invalid"' in body.replace(" ", "")
    after = await apps.read_namespaced_deployment("web", cluster.namespace)
    assert after.spec.replicas == before.spec.replicas == 1
    output = await cluster.kubectl(
        "patch", "deployment", "web", "--type=json", "-p", '[{"op":"test","path":"/spec/replicas","value":9}]', code=1
    )
    assert "the server rejected our request due to an error in our request" in output.err


async def test_an_update_of_an_old_version_is_a_conflict(cluster):
    core = client.CoreV1Api(cluster.api)
    body = {"metadata": {"name": "release"}, "data": {"version": "v1"}}
    made = await core.create_namespaced_config_map(cluster.namespace, body)
    newer = {"metadata": {"name": "release", "resourceVersion": made.metadata.resource_version}, "data": {"a": "b"}}
    changed = await core.replace_namespaced_config_map("release", cluster.namespace, newer)
    assert int(changed.metadata.resource_version) > int(made.metadata.resource_version)
    status, text = await refused(core.replace_namespaced_config_map("release", cluster.namespace, newer))
    assert status == 409
    assert "the object has been modified" in text
    assert (await core.read_namespaced_config_map("release", cluster.namespace)).data == {"a": "b"}
    stale = {"metadata": {"resourceVersion": made.metadata.resource_version}, "data": {"c": "d"}}
    patching = core.patch_namespaced_config_map(
        "release", cluster.namespace, stale, _content_type="application/merge-patch+json"
    )
    assert (await refused(patching))[0] == 409


async def test_an_update_that_changes_nothing_makes_no_new_version(cluster):
    core = client.CoreV1Api(cluster.api)
    made = await core.create_namespaced_config_map(cluster.namespace, {"metadata": {"name": "a"}, "data": {"b": "c"}})
    again = await core.patch_namespaced_config_map(
        "a", cluster.namespace, {"data": {"b": "c"}}, _content_type="application/merge-patch+json"
    )
    assert again.metadata.resource_version == made.metadata.resource_version


async def test_client_side_apply_knows_what_it_applied(cluster):
    manifest = deployment(replicas=1)
    assert "created" in (await cluster.kubectl("apply", "-f", "-", stdin=manifest)).out
    assert "unchanged" in (await cluster.kubectl("apply", "-f", "-", stdin=manifest)).out
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "A", "value": "1"}]
    container["image"] = "x/web:v2"
    assert "configured" in (await cluster.kubectl("apply", "-f", "-", stdin=manifest)).out
    del container["env"]
    await cluster.kubectl("apply", "-f", "-", stdin=manifest)
    live = (await cluster.get("deployment", "web"))["spec"]["template"]["spec"]["containers"][0]
    assert live["image"] == "x/web:v2"
    assert "env" not in live
    await rolled_out(cluster)


async def test_server_side_apply_refuses_another_managers_field_until_forced(cluster):
    manifest = deployment(replicas=1)

    async def apply(manager, *words: str, code=0):
        return await cluster.kubectl(
            "apply", "--server-side", f"--field-manager={manager}", *words, "-f", "-", stdin=manifest, code=code
        )

    await apply("one")
    manifest["spec"]["template"]["spec"]["containers"][0]["image"] = "x/web:v2"
    output = await apply("two", code=1)
    assert "Apply failed with 1 conflict" in output.err
    assert 'conflict with "one"' in output.err
    assert '.spec.template.spec.containers[name="web"].image' in output.err
    await apply("two", "--force-conflicts")
    live = (await cluster.get("deployment", "web"))["spec"]["template"]["spec"]["containers"][0]
    assert live["image"] == "x/web:v2"
    del manifest["metadata"]["labels"]
    await apply("two")
    assert (await cluster.get("deployment", "web"))["metadata"]["labels"] == {"app": "web"}


async def test_a_dry_run_on_the_server_changes_nothing(cluster):
    await install(cluster, replicas=1)
    shown = await cluster.kubectl(
        "set", "image", "deployment/web", "web=x/web:v2", "--dry-run=server", "-o", "jsonpath={.spec.template.spec}"
    )
    assert "x/web:v2" in shown.out
    assert "x/web:v2" not in str(await cluster.get("deployment", "web"))


# Refusals


async def test_refusals_have_kubernetes_own_words(cluster):
    missing = await cluster.kubectl("get", "deployment", "nothing", code=1)
    assert missing.err.strip() == 'Error from server (NotFound): deployments.apps "nothing" not found'
    await cluster.kubectl("create", "configmap", "one")
    twice = await cluster.kubectl("create", "configmap", "one", code=1)
    assert "(AlreadyExists)" in twice.err or "already exists" in twice.err
    wrong = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "Wrong_Name"}}
    refusal = await cluster.kubectl("create", "-f", "-", stdin=wrong, code=1)
    assert 'The ConfigMap "Wrong_Name" is invalid: metadata.name: Invalid value: "Wrong_Name"' in refusal.err
    manifest = deployment()
    manifest["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    refusal = await cluster.kubectl("create", "-f", "-", stdin=manifest, code=1)
    assert "`selector` does not match template `labels`" in refusal.err
    manifest = deployment()
    del manifest["spec"]["template"]["spec"]["containers"][0]["image"]
    refusal = await cluster.kubectl("create", "-f", "-", stdin=manifest, code=1)
    assert "spec.template.spec.containers[0].image: Required value" in refusal.err
    core = client.CoreV1Api(cluster.api)
    status, text = await refused(core.list_namespaced_pod(cluster.namespace, field_selector="no.such=field"))
    assert (status, "field label not supported" in text) == (400, True)
    elsewhere = core.create_namespaced_config_map("no-such-namespace", {"metadata": {"name": "a"}})
    status, text = await refused(elsewhere)
    assert status == 404
    assert "no-such-namespace" in text


async def test_the_selector_of_a_deployment_cannot_be_changed(cluster):
    await install(cluster, replicas=1)
    change = '{"spec":{"selector":{"matchLabels":{"app":"z"}},"template":{"metadata":{"labels":{"app":"z"}}}}}'
    output = await cluster.kubectl("patch", "deployment", "web", "--type=merge", "-p", change, code=1)
    assert "field is immutable" in output.err


async def test_who_may_not_is_refused_and_can_ask_before(cluster):
    await cluster.kubectl("create", "configmap", "one")
    assert (await cluster.kubectl("auth", "can-i", "delete", "pods")).out.strip() == "yes"
    answer = await cluster.kubectl("auth", "can-i", "delete", "configmaps", user="viewer", code=1)
    assert answer.out.strip() == "no"
    answer = await cluster.kubectl("auth", "can-i", "patch", "deployments/scale", user="viewer", code=1)
    assert answer.out.strip() == "no"
    refusal = await cluster.kubectl("delete", "configmap", "one", user="viewer", code=1)
    assert (
        f'configmaps "one" is forbidden: User "viewer" cannot delete resource "configmaps" in API group "" in the '
        f'namespace "{cluster.namespace}"'
    ) in refusal.err
    listed = await cluster.kubectl("auth", "can-i", "--list")
    assert "*.*" in listed.out


async def test_an_unknown_token_is_nobody(cluster):
    output = await cluster.kubectl("get", "pods", "--token=unknown", code=1)
    assert "You must be logged in to the server" in output.err


# Watches and waiting


async def test_a_watch_sees_what_comes_changes_and_goes(cluster):
    core = client.CoreV1Api(cluster.api)
    listed = await core.list_namespaced_config_map(cluster.namespace)
    version = listed.metadata.resource_version

    async def seen():
        query = {"watch": "1", "resourceVersion": version, "labelSelector": "shown=yes", "timeoutSeconds": "60"}
        events = []
        path = f"/api/v1/namespaces/{cluster.namespace}/configmaps"
        async for event in cluster._watch(path, query):
            events.append((event["type"], event["object"]["metadata"]["name"]))
            if len(events) == 5:
                return events
        return events

    watching = asyncio.create_task(seen())
    await cluster.kubectl("create", "configmap", "one")
    await cluster.kubectl("label", "configmap", "one", "shown=yes")
    await cluster.kubectl("patch", "configmap", "one", "-p", '{"data":{"a":"b"}}')
    await cluster.kubectl("label", "configmap", "one", "shown-")
    await cluster.kubectl("create", "-f", "-", stdin=labelled("two"))
    await cluster.kubectl("delete", "configmap", "two")
    assert await asyncio.wait_for(watching, 60) == [
        ("ADDED", "one"),
        ("MODIFIED", "one"),
        ("DELETED", "one"),
        ("ADDED", "two"),
        ("DELETED", "two"),
    ]


def labelled(name):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"shown": "yes"}}}


async def test_a_watch_ends_when_its_time_is_up(cluster):
    path = f"/api/v1/namespaces/{cluster.namespace}/pods"
    async with asyncio.timeout(60):
        assert await cluster.raw("GET", path, {"watch": "1", "timeoutSeconds": "1"}) == ""


async def test_get_watch_prints_rows_as_they_change(cluster):
    await install(cluster, replicas=1)
    (first,) = names(await cluster.get("pods"))
    async with cluster.following("get", "pods", "--watch", "-l", "app=web") as output:
        seen = ""
        while not re.search(rf"{first}\s+1/1\s+Running", seen):
            seen += await line_of(output)
        await cluster.kubectl("delete", "pod", first)
        while not re.search(rf"^(?!{first})web-\S+\s+1/1\s+Running", seen, re.MULTILINE):
            seen += await line_of(output)
    assert seen.startswith("NAME")
    assert seen.count("NAME") == 1
    assert re.search(rf"{first}\s+1/1\s+Terminating", seen)


async def line_of(output):
    line = (await output.readline()).decode()
    assert line, "kubectl ended"
    return line


async def test_wait_returns_when_the_condition_holds_and_when_the_object_is_gone(cluster):
    await install(cluster, replicas=1, wait=False)
    output = await cluster.kubectl("wait", "--for=condition=Available", "deployment/web", "--timeout=55s")
    assert "condition met" in output.out
    waiting = asyncio.create_task(cluster.kubectl("wait", "--for=delete", "deployment/web", "--timeout=55s"))
    await cluster.kubectl("delete", "deployment", "web")
    await waiting
    await cluster.kubectl("wait", "--for=condition=Available", "deployment/web", "--timeout=1s", code=1)


# Deletion


async def test_what_belongs_to_a_deleted_deployment_goes_too(cluster):
    await install(cluster)
    await cluster.kubectl("delete", "deployment", "web")
    await cluster.until(lambda found: not found["items"], "replicasets")
    await cluster.until(lambda found: not found["items"], "pods")


async def test_orphans_stay_when_that_is_asked_for(cluster):
    await install(cluster, replicas=1)
    await cluster.kubectl("delete", "deployment", "web", "--cascade=orphan")
    found = await cluster.until(
        lambda found: all(not item["metadata"].get("ownerReferences") for item in found["items"]), "replicasets"
    )
    assert len(found["items"]) == 1
    assert len((await cluster.get("pods"))["items"]) == 1


async def test_foreground_deletion_takes_the_dependents_first(cluster):
    await install(cluster, replicas=1)
    await cluster.kubectl("delete", "deployment", "web", "--cascade=foreground")
    assert not (await cluster.get("replicasets"))["items"]
    assert not [pod for pod in (await cluster.get("pods"))["items"] if "deletionTimestamp" not in pod["metadata"]]


async def test_a_deleted_pod_is_replaced(cluster):
    await install(cluster)
    before = names(await cluster.get("pods"))
    gone = min(before)
    await cluster.kubectl("delete", "pod", gone)
    found = await cluster.until(
        lambda found: len(found["items"]) == 2 and all(pod["status"]["phase"] == "Running" for pod in found["items"]),
        "pods",
    )
    assert gone not in names(found)
    assert len(names(found) & before) == 1


async def test_a_deletion_can_be_bound_to_one_object(cluster):
    core = client.CoreV1Api(cluster.api)
    await core.create_namespaced_config_map(cluster.namespace, {"metadata": {"name": "a"}})
    wrong = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "another"}}
    assert (await refused(core.delete_namespaced_config_map("a", cluster.namespace, body=wrong)))[0] == 409
    await core.delete_namespaced_config_map("a", cluster.namespace)
    assert (await refused(core.read_namespaced_config_map("a", cluster.namespace)))[0] == 404


# Logs


async def test_logs_of_a_pod_a_deployment_and_a_selector(cluster):
    await install(cluster)
    pod = min(names(await cluster.get("pods")))
    assert len((await cluster.kubectl("logs", pod, "--tail=2")).lines) == 2
    assert len((await cluster.kubectl("logs", "deployment/web", "--tail=1")).lines) == 1
    everything = await cluster.kubectl("logs", "-l", "app=web", "--tail=2", "--prefix")
    assert len(everything.lines) == 4
    assert everything.out.startswith("[pod/web-")
    stamped = await cluster.kubectl("logs", pod, "--tail=1", "--timestamps")
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z \S", stamped.out)
    none = await cluster.kubectl("logs", pod, "--previous", code=1)
    assert "previous terminated container" in none.err
    wrong = await cluster.kubectl("logs", pod, "-c", "nothing", code=1)
    assert "container nothing is not valid for pod" in wrong.err


async def test_logs_that_are_followed_go_on(cluster):
    await install(cluster, replicas=1)
    async with cluster.following("logs", "-f", "deployment/web", "--tail=1") as output:
        lines = [await output.readline() for _ in range(3)]
    assert all(line.strip() for line in lines)


# Services, jobs, events


async def test_endpoints_name_the_ready_pods(cluster):
    await install(cluster)
    await cluster.kubectl("expose", "deployment/web", "--port=80", "--target-port=3000")
    found = await cluster.until(
        lambda found: found["items"] and len((found["items"][0].get("subsets") or [{}])[0].get("addresses", [])) == 2,
        "endpoints",
    )
    subset = found["items"][0]["subsets"][0]
    assert {address["targetRef"]["name"] for address in subset["addresses"]} == names(await cluster.get("pods"))
    assert subset["ports"] == [{"port": 3000, "protocol": "TCP"}]


async def test_a_job_completes_and_a_failing_one_fails(cluster):
    await cluster.kubectl("create", "job", "good", "--image=x/tool:v1")
    await cluster.kubectl("wait", "--for=condition=complete", "job/good", "--timeout=55s")
    (pod,) = (await cluster.get("pods", "-l", "job-name=good"))["items"]
    assert pod["status"]["phase"] == "Succeeded"
    container = {"name": "tool", "image": "x/tool:v1", "command": ["fail"]}
    template = {"spec": {"containers": [container], "restartPolicy": "Never"}}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "bad"},
        "spec": {"backoffLimit": 0, "template": template},
    }
    await cluster.kubectl("create", "-f", "-", stdin=job)
    await cluster.kubectl("wait", "--for=condition=failed", "job/bad", "--timeout=55s")
    (condition,) = (await cluster.get("job", "bad"))["status"]["conditions"]
    assert condition["reason"] == "BackoffLimitExceeded"


async def test_events_can_be_asked_for_by_what_they_are_about(cluster):
    await install(cluster, replicas=1)
    (pod,) = names(await cluster.get("pods"))
    await told(cluster, "Scheduled")
    core = client.CoreV1Api(cluster.api)
    chosen = f"involvedObject.kind=Pod,involvedObject.name={pod},type!=Warning"
    events = await core.list_namespaced_event(cluster.namespace, field_selector=chosen)
    assert "Scheduled" in {event.reason for event in events.items}
    assert {event.involved_object.name for event in events.items} == {pod}


async def test_the_scheduler_writes_events_with_a_time_of_their_own_and_no_count(cluster):
    await install(cluster, replicas=1)
    found = await cluster.until(lambda found: [e for e in found["items"] if e["reason"] == "Scheduled"], "events")
    event = next(each for each in found["items"] if each["reason"] == "Scheduled")
    assert event["eventTime"].endswith("Z")
    assert "." in event["eventTime"]
    assert (event["firstTimestamp"], event["lastTimestamp"], event.get("count")) == (None, None, None)
    assert event["reportingComponent"] == "default-scheduler"


async def test_the_python_client_reads_every_kind_that_it_is_given(cluster):
    await install(cluster)
    core, apps = client.CoreV1Api(cluster.api), client.AppsV1Api(cluster.api)
    live = await apps.read_namespaced_deployment("web", cluster.namespace)
    assert live.status.ready_replicas == 2
    sets = await apps.list_namespaced_replica_set(cluster.namespace, label_selector="app in (web)")
    assert [entry.spec.replicas for entry in sets.items] == [2]
    pods = await core.list_namespaced_pod(cluster.namespace, field_selector="status.phase=Running")
    assert [pod.status.container_statuses[0].ready for pod in pods.items] == [True, True]
    assert (await core.list_node()).items[0].status.allocatable["cpu"]
    made = await core.create_namespaced_config_map(cluster.namespace, {"metadata": {"generateName": "record-"}})
    assert re.fullmatch(r"record-\w{5}", made.metadata.name)
