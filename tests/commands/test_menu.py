"""The menu in Slack: every command that may be run, and buttons for those that need nothing that only a card has."""

from bot.surfaces.terminal import plain
from bot.surfaces.terminal.words import Audience
from commands.kit import registry
from commands.kit.context import Actor
from commands.kit.menu import menu_card
from tests.bot.surfaces.terminal.test_screen import NOW

CARD = menu_card(Actor(key="requester", name="Rita", surface="slack"), tuple(registry.load()), "/omnicare")


def test_what_is_to_be_typed_stands_in_no_sign_of_ours() -> None:
    lines = plain.lines(CARD, Audience(now=NOW))
    assert any("rolled back right away with --then rollback" in line for line in lines)
    assert "`" not in "".join(line for line in lines)


def test_no_button_asks_for_an_id_and_none_that_needs_no_id_is_left_out() -> None:
    labels = [button.label for button in CARD.buttons]
    assert {"Deploy…", "Status", "Sync status", "Sync failed", "Whoami"} <= set(labels)
    assert not {"Evidence…", "Retry…", "Logs stop…", "Db explain…", "Db restore…", "Help"} & set(labels)
    assert len(labels) < 75  # beyond, some would be left out
