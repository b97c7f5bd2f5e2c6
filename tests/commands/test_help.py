"""What `help COMMAND` shows: arguments as they are typed, paragraphs whole, an example a line."""

from bot.surfaces.terminal import plain
from bot.surfaces.terminal.words import Audience
from commands.about.help import command_card, commands_card
from commands.kit import registry
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
    assert plain.lines(commands_card(specs), Audience(now=NOW))[1].strip() == "Trouble? diagnose"
    without = tuple(spec for spec in specs if spec.name != "diagnose")
    assert not any("Trouble?" in line for line in plain.lines(commands_card(without), Audience(now=NOW)))
