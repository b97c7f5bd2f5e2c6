"""The generated files: complete, stable, and equal to what is in the repository."""

from pathlib import Path

import pytest
import yaml

from bot.audit import EventName
from bot.doctor.access import Where, rules
from bot.reference.events import EVENTS
from bot.reference.generate import NotAClone, generate, pages
from bot.reference.markdown import table
from bot.reference.roles import roles
from bot.reference.settings import configuration, told_below
from commands.kit import registry


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / "bot/reference").mkdir(parents=True)
    (tmp_path / "bot/reference/generate.py").touch()
    return tmp_path


def test_it_writes_everything_once_and_then_nothing(clone: Path) -> None:
    written = generate(clone, check=False)
    assert set(written) == set(pages(registry.load()))
    assert all((clone / path).read_text(encoding="utf-8").endswith("\n") for path in written)
    assert generate(clone, check=False) == []


def test_check_names_what_differs_and_writes_nothing(clone: Path) -> None:
    generate(clone, check=False)
    page = clone / "docs/reference/commands.md"
    page.write_text("edited by hand", encoding="utf-8")
    (clone / "app-manifest.yml").unlink()
    assert generate(clone, check=True) == [Path("app-manifest.yml"), Path("docs/reference/commands.md")]
    assert page.read_text(encoding="utf-8") == "edited by hand"


def test_elsewhere_than_in_a_clone_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(NotAClone, match="no clone"):
        generate(tmp_path, check=False)
    assert list(tmp_path.iterdir()) == []


def test_every_audit_event_is_explained() -> None:
    assert set(EVENTS) == set(EventName)


def test_a_cell_can_not_break_its_table() -> None:
    assert table(("a",), [("one | two\nthree",)]).splitlines()[-1] == "| one \\| two three |"


def test_what_stands_below_a_setting_is_found_through_its_classes() -> None:
    from bot.config.sections import BotSettings

    assert told_below(BotSettings)["state"].startswith("Directory")


def test_the_configuration_page_has_every_table_of_the_file() -> None:
    page = configuration()
    for name in (
        "[bot]",
        "[people.NAME]",
        "[[environments.NAME.services]]",
        "[environments.NAME.approval.RISK]",
        "[channels]",
    ):
        assert f"## `{name}`" in page


def test_the_roles_in_kubernetes_are_what_the_doctor_asks_for() -> None:
    documents = list(yaml.safe_load_all(roles()))
    assert [(each["kind"], each["metadata"]["name"]) for each in documents] == [
        ("ClusterRole", "omnicare-bot-services"),
        ("ClusterRole", "omnicare-bot-rotations"),
        ("ClusterRole", "omnicare-bot-certificates"),
        ("ClusterRole", "omnicare-bot-configuration"),
        ("ClusterRole", "omnicare-bot-record"),
        ("ClusterRole", "omnicare-bot-nodes"),
    ]
    assert [each["rules"] for each in documents] == [rules(where) for where in Where]


def test_secrets_are_no_settings_of_the_file() -> None:
    page = configuration()
    assert "| `bot_token`" not in page
    assert "`OMNICARE_SLACK_BOT_TOKEN`" in page
