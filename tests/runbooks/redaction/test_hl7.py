"""HL7 v2: people beside the patient, free texts, and segments that only their sender knows."""

import pytest

from runbooks.redaction.redactor import Redactor


@pytest.mark.parametrize(
    ("came", "left"),
    [
        ("ROL|1^R|AD|AT|1234^Hale^Gregory||20261124|||||12 Elm^^X|206-555-0123", "ROL|[record number 1]|AD|AT|[name 1]||[date 1]|||||[address 1]|[phone 1]"),
        ("STF|77|U77|Hale^Gregory|P|M|19570312|A", "STF|[record number 1]|[record number 2]|[name 1]|P|M|[birth date 1]|A"),
        ("PRA|77^A|group|MD||^S|A123456^L", "PRA|[record number 1]|group|MD||^S|[licence number 1]"),
        ("NTE|1|L|Mia drinks|again", "NTE|1|L|[narrative 1]|[narrative 2]"),
        ("AL1|1|FA|^nuts of her aunt|SV|swells|20261124", "AL1|1|FA|[narrative 1]|SV|[narrative 2]|[date 1]"),
        ("PRB|AD|20261124|fell at home|55||||||||||||20261123|since the divorce", "PRB|AD|[date 1]|[narrative 1]|[record number 1]||||||||||||[date 2]|[narrative 2]"),
        ("ZPI|1|F|Mia's brother|X9 9", "ZPI|1|F|[narrative 1]|[narrative 2]"),
        ("MSH|^~\\&|LAB|GEN\rZX1|Mia^L|2", "MSH|^~\\&|LAB|GEN\rZX1|[narrative 1]|2"),
        ('{"m":"MSH|^~\\\\&|LAB\\rNTE|1||is Mia\\rZX1|of Mia"}', '{"m":"MSH|^~\\\\&|LAB\\rNTE|1||[narrative 1]\\rZX1|[narrative 2]"}'),
    ],
)  # fmt: skip
def test_of_each_segment_what_tells_who_somebody_is_goes(came: str, left: str) -> None:
    assert Redactor().text(came) == left
    assert Redactor().text(left) == left


@pytest.mark.parametrize(
    "line",
    [
        "ZIP|CITY|STATE",
        "ZIP|ab|c",
        "NTE|1|L|",
        "MSH: the message header",
        "MSH------ begins",
        "ROL is set",
        "MSH%7C%5E",
    ],
)
def test_what_only_looks_like_a_segment_stays(line: str) -> None:
    assert Redactor().text(line) == line
