"""What a deploy's end offers: the way back, and the logs of a service that this fleet has."""

from commands.kit.card import Typed
from commands.kit.context import Outcome
from commands.release.deploy import Deploy
from runbooks.kit.reasons import ReasonCode


def offered(services: list[str] | None) -> list[str]:
    data: dict[str, object] = {"before": "v1.2.0"} | ({"services": services} if services is not None else {})
    outcome = Outcome(
        code=ReasonCode.SUCCEEDED, title="v2.0.0 runs in production", environment="production", run="x", data=data
    )
    return [
        button.does.text for button in Deploy(version="v2.0.0").card(outcome).buttons if isinstance(button.does, Typed)
    ]


def test_the_logs_are_those_of_the_first_service_that_was_rolled_out() -> None:
    assert offered(["api", "web"]) == [
        "rollback --env production",
        "logs api --env production",
        "status --env production",
        "sheet --env production",
    ]


def test_a_run_that_kept_no_services_offers_no_logs() -> None:
    assert offered(None) == [
        "rollback --env production",
        "status --env production",
        "sheet --env production",
    ]
