"""The doctor about approvals: whether those who could approve have the role that one of them must have."""

import tomllib
from pathlib import Path

import pytest

from bot.config import validate
from bot.doctor import here
from bot.doctor.findings import Severity
from commands.kit import registry

EXAMPLE = Path(__file__).parents[2] / "docs/examples/omnicare.toml"


async def test_a_role_that_none_of_the_approvers_has_fails() -> None:
    raw = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
    raw["environments"]["production"]["approval"]["destructive"]["one_of_role"] = "auditor"
    found = [each async for each in here.policies(validate(raw), registry.load())]
    (wrong,) = [each for each in found if each.level is Severity.FAILED]
    assert "one approver must have the role auditor, and nobody who could approve has it" in wrong.sentence
    assert "data:approve" in wrong.to_do


@pytest.mark.parametrize(
    ("holders", "gates", "warned"),
    [
        (["release-manager"], {}, False),
        (["release-approver"], {}, True),
        (["release-manager"], {"override_role": "auditor"}, True),
        ([], {"override_role": "auditor"}, False),
    ],
)
async def test_an_override_that_nobody_could_get_approved_is_warned_of(
    holders: list[str], gates: dict[str, str], warned: bool
) -> None:
    raw = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
    production = raw["environments"]["production"]
    production["permissions"]["gate:override"] = holders
    production["gates"] = {**production.get("gates", {}), **gates}
    found = [each async for each in here.policies(validate(raw), registry.load())]
    assert any("could get it approved" in each.sentence for each in found) == warned
