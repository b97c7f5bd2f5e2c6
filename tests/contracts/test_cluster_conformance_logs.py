"""Logs: the sandbox's cluster answers as the real one does, in what clients ask for and in what is refused."""

import re

import pytest

from tests.support.clusters import BOTH, opened
from tests.support.conformance import install, names

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}Z \S")


@pytest.fixture(params=BOTH)
async def cluster(request, tmp_path):
    async with opened(request.param, tmp_path) as under_test:
        yield under_test


async def _pod(cluster):
    await install(cluster, replicas=1)
    return min(names(await cluster.get("pods")))


async def test_the_last_lines_with_stamps_in_time_order(cluster):
    pod = await _pod(cluster)
    lines = (await cluster.kubectl("logs", pod, "--tail=3", "--timestamps")).lines
    assert 1 <= len(lines) <= 3
    assert all(STAMP.match(line) for line in lines)
    assert [line.split()[0] for line in lines] == sorted(line.split()[0] for line in lines)
    bare = (await cluster.kubectl("logs", pod, "--tail=1")).lines
    assert len(bare) == 1
    assert not STAMP.match(bare[0])
    assert (await cluster.kubectl("logs", pod, "--tail=0")).out == ""


async def test_only_what_is_younger(cluster):
    pod = await _pod(cluster)
    few = (await cluster.kubectl("logs", pod, "--since=1s")).lines
    every = (await cluster.kubectl("logs", pod, "--since=1h")).lines  # asked last: a young pod goes on talking
    assert len(few) <= len(every)
    assert every


async def test_a_followed_log_goes_on(cluster):
    pod = await _pod(cluster)
    async with cluster.following("logs", pod, "--follow", "--tail=1") as lines:
        assert await lines.readline()
        assert await lines.readline()


async def test_a_life_before_that_there_was_not_is_refused(cluster):
    pod = await _pod(cluster)
    found = await cluster.kubectl("logs", pod, "--previous", code=1)
    assert "previous terminated container" in found.err
    assert "not found" in found.err


async def test_a_container_that_there_is_not_is_refused(cluster):
    pod = await _pod(cluster)
    text = await cluster.raw("GET", f"/api/v1/namespaces/{cluster.namespace}/pods/{pod}/log", {"container": "nothing"})
    assert f"container nothing is not valid for pod {pod}" in text


async def test_several_containers_have_to_be_named(cluster):
    await cluster.kubectl("create", "-f", "-", stdin=_two_containers())
    await cluster.until(lambda found: found["items"] and found["items"][0]["status"].get("phase") == "Running", "pods")
    path = f"/api/v1/namespaces/{cluster.namespace}/pods/pair/log"
    assert "a container name must be specified for pod pair, choose one of: [one two]" in await cluster.raw(
        "GET", path, {}
    )
    assert (await cluster.kubectl("logs", "pair", "-c", "two", "--tail=1")).lines
    both = (await cluster.kubectl("logs", "pair", "--all-containers", "--prefix", "--tail=1")).lines
    assert {line.split("]")[0].rsplit("/", 1)[-1] for line in both} == {"one", "two"}


async def test_a_pod_that_there_is_not_is_not_found(cluster):
    found = await cluster.kubectl("logs", "nothing", code=1)
    assert 'pods "nothing" not found' in found.err


@pytest.mark.parametrize(
    "query",
    [
        {"tailLines": "-1"},
        {"sinceSeconds": "0"},
        {"limitBytes": "0"},
        {"sinceSeconds": "5", "sinceTime": "2026-01-01T00:00:00Z"},
    ],
)
async def test_what_is_out_of_range_is_invalid(cluster, query):
    pod = await _pod(cluster)
    text = await cluster.raw("GET", f"/api/v1/namespaces/{cluster.namespace}/pods/{pod}/log", query)
    assert '"reason":"Invalid"' in text.replace(" ", "")
    assert '"code":422' in text.replace(" ", "")


async def test_a_limit_in_bytes_is_taken(cluster):
    pod = await _pod(cluster)
    assert await cluster.raw("GET", f"/api/v1/namespaces/{cluster.namespace}/pods/{pod}/log", {"limitBytes": "40"})


def _two_containers():
    container = {"image": "x/web:v1"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pair"},
        "spec": {"containers": [{**container, "name": "one"}, {**container, "name": "two"}]},
    }
