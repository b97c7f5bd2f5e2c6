"""A card leaves without what must never leave, says how much was taken out, and its marks mean the same in all of it."""

import pytest

from bot.boundary.leaving import card_out
from bot.boundary.redacting import Withheld, redacted
from commands.kit.card import Attachment, Card, Fact, Facts, Note, Paragraph, Preformatted, Strong, Table, words
from runbooks.redaction.redactor import Redactor
from runbooks.redaction.shell import WITHHELD_LINE
from tests.support.corpus import corpus


def card(*texts: str) -> Card:
    return Card(
        title=words(Strong(text="Found")), summary="Found", body=tuple(Paragraph(text=words(text)) for text in texts)
    )


def said(shown: Card) -> str:
    return shown.model_dump_json()


def test_marks_count_through_the_whole_card() -> None:
    shown = redacted(
        card("patient Maria Lopez left", "patient Ana Haddad came", "patient Maria Lopez again"), Redactor()
    )
    assert "patient [name 1] left" in said(shown)
    assert "patient [name 2] came" in said(shown)
    assert "patient [name 1] again" in said(shown)
    assert "Removed: 2 × name." in said(shown)  # noqa: RUF001


def test_a_card_that_says_it_itself_gets_no_second_note() -> None:
    made = card("MRN 1234567")
    own = made.model_copy(update={"body": (*made.body, Note(text=words("Removed from these lines: 1.")))})
    assert said(redacted(own, Redactor())).count("Removed") == 1
    assert "Removed" not in said(redacted(card("nothing private"), Redactor()))


def test_a_redactor_that_fails_lets_nothing_out() -> None:
    def broken(_text: str) -> str:
        raise ValueError("patient Maria Lopez")

    with pytest.raises(Withheld) as raised:
        redacted(card("x"), broken)
    assert "Maria" not in str(raised.value)


@pytest.mark.parametrize("seed", [5, 6])
def test_no_planted_value_leaves_in_any_part_of_a_card(seed: int) -> None:
    redactor = Redactor()
    for item in corpus(seed=seed, each=12):
        whole = Card(
            title=words(item.text),
            summary=item.text,
            body=(
                Table(columns=("Said",), rows=((words(item.text),),)),
                Facts(facts=(Fact(label="Said", value=words(item.text)),)),
                Attachment(filename="said.log", content=item.text, summary="what it said"),
            ),
            data={"said": item.text},
        )
        out = str(card_out(whole, redactor)) + said(redacted(whole, redactor))
        assert [value for _, value in item.private if value in out] == [], item.text


def test_a_line_for_a_shell_is_withheld_where_redaction_would_change_it() -> None:
    hostile = "kubectl logs backend | grep -E 'password='\"'\"'; touch PWN #'"
    lines = Preformatted(text=f"kubectl get pods\n{hostile}", to_paste=True)
    made = card("Lines").model_copy(update={"body": (lines,)})
    (shown, _) = redacted(made, Redactor()).body
    assert shown == lines.model_copy(update={"text": f"kubectl get pods\n{WITHHELD_LINE}"})
    assert "PWN" not in str(card_out(made, Redactor()))
