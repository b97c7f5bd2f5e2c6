"""The line of `forward`: the Service's own ports, and a local port that anybody may listen on."""

from typing import Any

import pytest

from runbooks.kit.errors import PermanentError
from runbooks.kit.targets import Region
from runbooks.observe.forwarding import forward
from tests.support.real import Place


async def _reached(here: Place, *ports: dict[str, Any]) -> None:
    spec = {"selector": {"app": "backend"}, "ports": list(ports)}
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "backend"}, "spec": spec}
    await here.create(f"/api/v1/namespaces/{here.namespace}/services", body)


async def test_the_line_is_the_guides_with_the_services_own_port(here: Place):
    await _reached(here, {"port": 3001})
    found = await forward(here.cluster, here.environment, here.environment.services[0], None)
    assert found.line == f"kubectl port-forward svc/backend 3001:3001 -n {here.namespace}"
    assert (found.local, found.port, found.others) == (3001, 3001, ())


async def test_a_port_below_1024_gets_another_on_the_persons_machine_and_the_region_its_context(here: Place):
    await _reached(
        here,
        {"port": 80, "targetPort": 3000, "name": "http"},
        {"port": 443, "targetPort": "tls", "name": "https"},
        {"port": 53, "protocol": "UDP", "name": "dns"},
    )
    regions = (Region(name="us", kubectl="kubectl --context emr-us"),)
    there = here.environment.model_copy(update={"regions": regions, "home": "us"}).within("us")
    service = there.services[0]
    first = await forward(here.cluster, there, service, None)
    assert first.line == f"kubectl --context emr-us port-forward svc/backend 3000:80 -n {here.namespace}"
    assert first.others == (443,)
    assert "8443:443" in (await forward(here.cluster, there, service, 443)).line
    with pytest.raises(PermanentError, match=r"no TCP port 53\. It has: 80 and 443"):
        await forward(here.cluster, there, service, 53)
