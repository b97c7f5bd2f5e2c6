"""What the conformance tests of the cluster share: one Deployment, and short ways to look at it."""

import re

import pytest
from kubernetes.aio import client


def deployment(image="x/web:v1", replicas=2, **spec: object):
    container = {"name": "web", "image": image, "resources": {"requests": {"cpu": "10m"}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}},
            **spec,
        },
    }


async def install(cluster, *, wait=True, **spec: object):
    await cluster.kubectl("create", "-f", "-", stdin=deployment(**spec))
    if wait:
        await rolled_out(cluster)


async def rolled_out(cluster):
    return await cluster.kubectl("rollout", "status", "deployment/web", "--timeout=55s")


async def told(cluster, *reasons: str):
    """Waits until there is an event of each of these reasons: they are written beside what they tell of, not before it."""
    await cluster.until(lambda found: {each["reason"] for each in found["items"]} >= set(reasons), "events")


async def set_image(cluster, image):
    await cluster.kubectl("set", "image", "deployment/web", f"web={image}")


def headings(output):
    return re.split(r"\s{2,}", output.lines[0].strip())


def names(found):
    return {item["metadata"]["name"] for item in found["items"]}


async def refused(call):
    """The status and the body of a call that must be refused."""
    with pytest.raises(client.ApiException) as caught:
        await call
    return caught.value.status, str(caught.value.body)


def running_version(found, version):
    return [item for item in found["items"] if item["spec"]["containers"][0]["image"].endswith(version)]


def waiting_reasons(found):
    statuses = [item["status"].get("containerStatuses") or [{}] for item in found["items"]]
    return [(entry[0].get("state", {}).get("waiting") or {}).get("reason") for entry in statuses]
