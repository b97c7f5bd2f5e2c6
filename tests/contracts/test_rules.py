"""Each rule of `diagnose` names the permission without which nobody sees what it reads."""

import pytest

from bot.policy.permissions import PERMISSIONS
from commands.kit.registry import load
from runbooks.troubleshooting.rule import RegionRule, Rule
from runbooks.troubleshooting.rules import PERMISSIONS as ASKED
from runbooks.troubleshooting.rules import RULES

SHOWN_BY = {
    "database": "db activity",
    "connection pool": "db pool",
    "cache": "cache",
    "offline sync": "sync status",
    "WebSocket connections": "sync websocket",
    "nodes": "nodes",
    "certificates": "certs",
    "metrics": "metrics",
    "alerts": "metrics",
}
"""Rule → the command that shows the same; the others look at what `describe` and `resources` show."""


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_rule_names_the_permission_of_the_command_that_shows_the_same(rule: Rule) -> None:
    assert "permission" in vars(type(rule)), "it says so itself"
    assert rule.permission in PERMISSIONS
    assert PERMISSIONS[rule.permission].looks
    shown_by = load().find(SHOWN_BY.get(rule.name, "describe"))
    assert shown_by is not None
    assert rule.permission == shown_by.permission


def test_no_base_class_grants_anything() -> None:
    for base in (Rule, RegionRule):
        assert not hasattr(base, "permission")
    assert set(PERMISSIONS) >= ASKED
