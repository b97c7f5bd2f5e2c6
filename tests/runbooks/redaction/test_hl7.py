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
        ("OBX|1|TX|8867-4^Note^LN||lives with Mia~by the sea||||||F", "OBX|1|TX|8867-4^Note^LN||[narrative 1]||||||F"),
        ("OBX|2|FT|N||He fell\\.br\\at home", "OBX|2|FT|N||[narrative 1]"),
        ("OBX|3|ST|N||Maria Lopez", "OBX|3|ST|N||[narrative 1]"),
        ("OBX|3|ST|N||Lopez", "OBX|3|ST|N||[narrative 1]"),
        ("DG1|1|I10|S72.0^Fracture|fell at Mia's|20261124|A", "DG1|1|I10|S72.0^Fracture|[narrative 1]|[date 1]|A"),
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
        "OBX|1|NM|8867-4^Heart^LN||72|bpm|60-100|N|||F",
        "OBX|1|ST|N||A+|||N|||F",
        "OBX|1|ST|N||>= 1.25 mg/dL",
        "OBX|1|ST|N||1:160~120/80",
        "OBX|1|ST|N||Not detected",
        "OBX|1|TX|N||POSITIVE~negative",
        "OBX|1|CWE|N||260385009^Negative^SCT",
        "OBX|1|TX|N||",
    ],
)
def test_what_only_looks_like_a_segment_stays(line: str) -> None:
    assert Redactor().text(line) == line
