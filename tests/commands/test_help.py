"""What `help COMMAND` shows: arguments as they are typed, paragraphs whole, an example a line."""

from bot.surfaces.terminal import plain
from bot.surfaces.terminal.words import Audience
from commands.about.help import command_card, commands_card, group_card
from commands.kit import registry
from commands.kit.card import Typed
from commands.kit.topics import GROUPS, TopicType
from commands.kit.types import Known
from tests.bot.surfaces.terminal.test_screen import NOW


def shown(command: str) -> list[str]:
    return plain.lines(command_card(registry.load().get(command)), Audience(now=NOW))


def test_every_example_has_a_line_of_its_own() -> None:
    at = (lines := shown("rollback")).index("Examples:")
    assert lines[at + 1 : at + 4] == ["  rollback", "  rollback backend", "  rollback --to v1.1.0"]


def test_an_argument_that_may_be_given_often_has_no_bracket_left() -> None:
    assert any(line.startswith("  SERVICE…  ") for line in shown("rollback"))


def test_the_lines_of_a_description_end_where_its_paragraphs_do() -> None:
    said = [line for line in shown("deploy") if line.startswith(("Makes a plan", "With --at"))]
    assert [line[-1] for line in said] == [".", "."]
    assert all("  " not in line for line in said)


def test_the_list_begins_with_what_to_do_in_trouble() -> None:
    specs = tuple(registry.load())
    assert plain.lines(commands_card(specs), Audience(now=NOW))[1].strip() == "Something is wrong? diagnose"
    without = tuple(spec for spec in specs if spec.name != "diagnose")
    assert not any("Something is wrong" in line for line in plain.lines(commands_card(without), Audience(now=NOW)))


def test_every_command_is_in_one_group_and_each_group_says_what_its_commands_do() -> None:
    specs = tuple(registry.load())
    named = [name for card in (group_card(group, specs) for group in GROUPS) for name in card.data["commands"]]  # type: ignore[attr-defined]
    assert sorted(named) == sorted(spec.name for spec in specs)
    told = plain.lines(group_card("sync", specs), Audience(now=NOW))
    assert any(line.startswith("sync status · Show the offline sync queue") for line in told)


def test_a_group_opens_in_the_place_of_the_list() -> None:
    opens = [button.does for button in commands_card(tuple(registry.load())).buttons]
    assert [each for each in opens if isinstance(each, Typed) and each.replaces] == opens
    assert len(opens) == len(GROUPS)


def test_a_group_s_name_that_is_a_word_of_commands_too_opens_the_group() -> None:
    known = Known(commands=tuple(registry.load().names()))
    assert TopicType().parse("Sync", known) == "sync"
    assert TopicType().parse("deploy", known) == "deploy"
