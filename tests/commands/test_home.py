"""One environment on `home`: as grave as `status` finds what both read, and no more said than was looked at."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from commands.kit.card import State
from commands.kit.registry import load
from commands.observe.home import Glance, usual_commands
from runbooks.deployments.service_state import ServiceState
from runbooks.fleet.records import EnvironmentRecord
from runbooks.kit.plan import Image
from runbooks.observe.service_health import ServiceHealth

PLACE: dict[str, Any] = {"service": "backend", "namespace": "omnicare", "deployment": "backend", "container": "backend"}


def service(tag: str = "v1.2.0", **changed: Any) -> ServiceHealth:
    image = Image.parse(f"registry.test/omnicare/backend:{tag}")
    state = ServiceState(**{**PLACE, "state": "complete", "image": image, "desired": 3, "ready": 3, **changed})
    return ServiceHealth(state=state)


@pytest.mark.parametrize(
    ("services", "state", "what"),
    [
        ([service()], State.DONE, "v1.2.0, pods ready"),
        ([service(desired=0, ready=0)], State.WAITING, "v1.2.0, backend scaled to 0"),
        ([service(state="paused")], State.WAITING, "v1.2.0, backend paused"),
        (
            [service(region="eu"), service("v1.1.0", region="us")],
            State.WAITING,
            "v1.2.0 in eu and v1.1.0 in us, pods ready",
        ),
        ([service(state="rolling", ready=2)], State.RUNNING, "v1.2.0, rolling out"),
        ([service(state="degraded", ready=2)], State.FAILED, "v1.2.0, backend unhealthy"),
    ],
)
def test_the_sign_is_that_of_status_for_what_home_reads(services: list[ServiceHealth], state: State, what: str) -> None:
    glance = Glance(name="production", services=services, record=EnvironmentRecord())
    assert (glance.state, glance.what) == (state, what)


async def test_the_usual_commands_are_offered_to_who_may_use_them() -> None:
    async def may(_: object, permission: str | None, __: str | None) -> bool:
        return permission in (None, "fleet:read")

    reader = SimpleNamespace(actor="U1", authority=SimpleNamespace(may=may), menu=tuple(load()))
    assert [each.label for each in await usual_commands(cast("Any", reader))] == ["Diagnose", "All commands"]
