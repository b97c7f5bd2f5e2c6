"""The doctor about approvals: whether those who could approve have the role that one of them must have."""

import tomllib
from pathlib import Path

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
