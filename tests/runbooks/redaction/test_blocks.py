"""What belongs together over several lines is redacted together, or withheld with a sentence: never passed through."""

import json
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.boundary.leaving import leaf_by_leaf
from runbooks.redaction.blocks.lines import Lines
from runbooks.redaction.blocks.reading import DEEPEST
from runbooks.redaction.marks import PrivateKind
from runbooks.redaction.redactor import KnownSecrets, Redactor
from tests.support.formats import formats, scored_by_format, streamed, unremarkable

RECALL = 0.995
KEPT = 0.995


def _text(text: str) -> str:
    return Redactor().text(text)


def _lines(text: str) -> str:
    lines = Redactor().scope().lines()
    return (lines.feed(f"{text}\n".encode()) + lines.end()).decode().removesuffix("\n")


@pytest.mark.parametrize("seed", [1, 7])
@pytest.mark.parametrize("way", ["whole", "streamed"])
def test_recall_of_each_format_and_what_stays_have_floors(seed: int, way: str) -> None:
    redactor, rng = Redactor(), random.Random(seed)
    scores = scored_by_format(
        redactor.text if way == "whole" else lambda text: streamed(redactor.scope(), text, rng), seed=seed, each=12
    )
    for name, score in scores.items():
        assert sum(score.hidden.values()) >= RECALL * sum(score.planted.values()), (name, score.misses[:5])
        assert score.kept >= KEPT, (name, score.misses[:5])


def test_of_what_only_looks_like_a_block_nothing_changes() -> None:
    redactor, rng = Redactor(), random.Random(1)
    for text in unremarkable(each=10):
        assert redactor.text(text) == text
        assert streamed(redactor.scope(), text, rng) == text


def test_a_tail_that_begins_within_a_block_passes_nothing_of_it() -> None:
    redactor, missed = Redactor(), list[tuple[str, str, str]]()
    for item in formats(seed=5, each=3):
        came = item.text.split("\n")
        for first in range(2, len(came) - 1):
            cut = "\n".join(came[first:])
            scope = redactor.scope()
            lines = scope.lines()
            out = "\n".join(
                scope.text(line) for line in (lines.feed(f"{cut}\n".encode()) + lines.end()).decode().split("\n")
            )
            missed += [(item.source, value, cut[:200]) for _, value in item.private if value in cut and value in out]
    assert missed == []


@pytest.mark.parametrize("pause", [1, 2, 3])
def test_a_stream_that_begins_within_a_block_passes_nothing_of_it_where_it_pauses(pause: int) -> None:
    """What follows a pod asks for its last line, and the next ones may come late."""
    redactor, missed = Redactor(), list[tuple[str, str, str]]()
    for item in formats(seed=5, each=2):
        came = item.text.split("\n")
        for first in range(2, len(came) - 1):
            scope = redactor.scope()
            lines = scope.lines()
            early, late = (
                "".join(f"{line}\n" for line in part).encode()
                for part in (came[first : first + pause], came[first + pause :])
            )
            passed = lines.feed(early) + lines.pause() + lines.pause() + lines.feed(late) + lines.end()
            out = "\n".join(scope.text(line) for line in passed.decode().split("\n"))
            cut = "\n".join(came[first:])
            missed += [(item.source, value, cut[:200]) for _, value in item.private if value in cut and value in out]
    assert missed == []


@pytest.mark.parametrize(
    ("came", "left"),
    [
        ('{\n  "given": [\n    "Maria"\n  ]\n}', '{\n  "given": [\n    "[name 1]"\n  ]\n}'),
        ("- name: DB_PASSWORD\n  value: hunter22", "- name: DB_PASSWORD\n  value: [password 1]"),
        ('{"name":"DB_PASSWORD","value":"hunter22"}', '{"name":"DB_PASSWORD","value":"[password 1]"}'),
        ('<property name="password" value="hunter22"/>', '<property name="password" value="[password 1]"/>'),
        ("<vendorToken>\n  hunter22\n</vendorToken>", "<vendorToken>\n  [token 1]\n</vendorToken>"),
        ("<vendorToken\n  x='1'>hunter22\n more</vendorToken>", "<vendorToken\n  x='1'>[token 1]\n [token 2]</vendorToken>"),
        ('[\n  {\n    "mrn": 4471203\n  }\n]', '[\n  {\n    "mrn": "[mrn 1]"\n  }\n]'),
        ('INFO body: {\n  "telecom": [{"value": "x 55501"}]\n}', 'INFO body: {\n  "telecom": [{"value": "[phone 1]"}]\n}'),
        ("patient: {\n  given: [ 'Maria' ]\n}", "patient: {\n  given: [ '[name 1]' ]\n}"),
        ("password: >-\n  correct horse\n  battery\nnext: 1", "password: >-\n  [password 1]\n  [password 2]\nnext: 1"),
        ("kind: Secret\ndata:\n  a: aHVudGVyMjI=\n  b: 1", "kind: Secret\ndata:\n  a: [secret 1]\n  b: [secret 2]"),
        ("kind: Secret\nmetadata:\n  name: x\nstringData:\n  a: x y\n  b: |\n    plain", "kind: Secret\nmetadata:\n  name: x\nstringData:\n  a: [secret 1]\n  b: |\n    [secret 2]"),
        ("stringData:\n  user: emr\nkind: Secret", "stringData:\n  user: [secret 1]\nkind: Secret"),
        ("data:\n  user: ZQ==\nkind: Secret", "data:\n  user: [secret 1]\nkind: Secret"),
        ('{\n  "kind": "Secret",\n  "data": {\n    "user": "x",\n    "n": "eA=="\n  }\n}', '{\n  "kind": "Secret",\n  "data": {\n    "user": "[secret 1]",\n    "n": "[secret 2]"\n  }\n}'),
        ("kind: ConfigMap\ndata:\n  level: debug\n  workers: '4'", "kind: ConfigMap\ndata:\n  level: debug\n  workers: '4'"),
    ],
)  # fmt: skip
def test_what_belongs_together_is_redacted_together(came: str, left: str) -> None:
    assert _text(came) == left
    assert _lines(came) == left


@pytest.mark.parametrize(
    ("came", "left"),
    [
        ("INFO a\nNM1*IL*1*DOE*JOHN~\nN3*236 N MAIN~\nINFO b", "INFO a\n[an X12 message of 2 segments was withheld]\nINFO b"),
        ("INFO a\nMSH#^~\\&#LAB#GEN#\nPID#1##8812##LOPEZ^MIA\nNTE#1##drinks\nINFO b", "INFO a\n[an HL7 message of 3 segments was withheld]\nINFO b"),
        ("INFO a\ngot MSH$^~\\&$LAB$GEN$\rPID$1$$8812$$LOPEZ^MIA\nINFO b", "INFO a\n[an HL7 message of 1 segment was withheld]\nINFO b"),
        ("a segment NM1*IL*1*DOE*JOHN****MI*123456789~", "[an X12 message of 1 segment was withheld]"),
        ("ERROR DMG*D8*19570312*F\nINFO b", "[an X12 message of 1 segment was withheld]\nINFO b"),
        ("WARN bad N3*12 ELM ST~ here\nINFO b", "[an X12 message of 1 segment was withheld]\nINFO b"),
        ("a = ST*4 and N3**2, SELECT N1*2", "a = ST*4 and N3**2, SELECT N1*2"),
        ("INFO a\nNM1*IL*1*DOE*JOHN~", "INFO a\n[an X12 message of 1 segment was withheld]"),
        ('      "Maria",\n    ],\nINFO b', "[1 line withheld: part of a JSON text whose beginning was not read]\n    ],\nINFO b"),
        ("hunter22\n</vendorToken>\nINFO b", "[2 lines withheld: part of an XML text whose beginning was not read]\nINFO b"),
        ("  value: hunter22\nINFO b", "[1 line withheld: part of a YAML text whose beginning was not read]\nINFO b"),
        ("  1 | Maria\n(1 row)\nINFO b", "[2 lines withheld: part of a table whose beginning was not read]\nINFO b"),
        ("ab==\n-----END RSA PRIVATE KEY-----\nINFO b", "[2 lines withheld: part of a private key]\nINFO b"),
        ("INFO a\nx: -----BEGIN PRIVATE KEY-----\nMIIE\nab==\n-----END PRIVATE KEY-----\nINFO b",
         "INFO a\nx: [private key 1]\n[3 lines withheld: rest of a private key]\nINFO b"),
        ("first_name,last_name\nMaria,Lopez,3\n\nINFO b",
         "first_name,last_name\n[1 line withheld: a table with unclear columns]\n\nINFO b"),
    ],
)  # fmt: skip
def test_what_can_not_be_told_apart_is_withheld_with_a_sentence(came: str, left: str) -> None:
    assert _lines(came) == left


def test_lines_that_are_withheld_are_counted_with_what_was_removed() -> None:
    scope = Redactor().scope()
    lines = scope.lines()
    lines.feed(b"INFO a\nNM1*IL*1*DOE*JOHN~N3*236 N MAIN~\nN4*PUYALLUP*WA~\nINFO b\n")
    assert lines.end() == b""
    assert scope.removed == {PrivateKind.WITHHELD: 2}
    text = Redactor().redact("INFO a\nNM1*IL*1*DOE*JOHN~\nMRN 1234567")
    assert text.counts == {PrivateKind.WITHHELD: 1, PrivateKind.MRN: 1}


def test_the_sentence_has_the_time_of_the_last_line_that_it_stands_for() -> None:
    stamp = "2026-11-24T11:20:00.{:09}Z "
    lines = Redactor().scope().lines()
    lines.feed((stamp.format(0) + "INFO a\n").encode())
    out = b"".join(lines.feed(f"{stamp.format(number)}N3*236 N MAIN~\n".encode()) for number in (1, 2))
    assert out == b""
    assert lines.end().decode() == stamp.format(2) + "[an X12 message of 2 segments was withheld]\n"


def test_a_block_goes_on_behind_a_pause_and_what_waits_is_given_out_by_it() -> None:
    lines = Redactor().scope().lines()
    assert lines.feed(b"a line that says nothing\n") == b""
    assert [lines.pause() for _ in range(8)] == [b""] * 7 + [b"a line that says nothing\n"]
    assert lines.feed(b"{\n") + lines.pause() + lines.feed(b'  "family": "Lopez"\n') == b'{\n  "family": "[name 1]"\n'


def test_lines_with_nothing_of_a_block_are_not_looked_at() -> None:
    lines = Redactor().scope().lines()
    lines.feed(b"INFO the first line, which may lie within a block\n")
    looked_at = lines.steps
    block = (
        b"2026-11-24T11:20:00.000000000Z INFO processed batch of 250 observations in 31ms path=/api/v1/sync\n" * 5000
    )
    assert lines.feed(block) is block
    assert lines.steps == looked_at


def test_who_may_read_a_log_as_it_is_reads_its_blocks_as_they_are() -> None:
    lines = KnownSecrets(Redactor()).lines()
    text = b'{\n  "given": [\n    "Maria"\n  ]\n}\n'
    assert lines.feed(text) is text
    assert lines.end() == b""


def test_redacting_blocks_twice_changes_nothing() -> None:
    redactor = Redactor()
    for item in formats(seed=3, each=4):
        once = redactor.text(item.text)
        assert redactor.text(once) == once, item.source
        for line in once.split("\n"):
            assert redactor.text(line).count("[") == line.count("["), item.source


_OBSERVATION = {
    "resourceType": "Observation",
    "status": "final",
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">is "tired"</div>'},
    "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7", "display": "Body weight"}]},
    "subject": {"reference": "Patient/8812", "display": "it's Mia"},
    "valueString": "felt dizzy",
    "valueQuantity": {"value": 71.2, "unit": "kg"},
    "note": [{"text": "drinks\nwine"}],
    "extension": [{"url": "https://example.org/x", "valueAnnotation": {"text": "lives alone"}}],
    "conclusion": "bad liver",
    "description": "seen twice",
    "comment": 'isn\'t "at" all angry',
}
_OF_THE_OBSERVATION = ("tired", "8812", "Mia", "dizzy", "wine", "alone", "liver", "twice", "angry")
_BUNDLE = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": _OBSERVATION}]}
_LATE = dict(reversed(_OBSERVATION.items()))
_HEADER = {
    "00080060": {"vr": "CS", "Value": ["MR"]},
    "00081030": {"vr": "LO", "Value": ["head of Mia"]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "LOPEZ^MIA"}]},
    "00100040": {"vr": "CS", "Value": ["F"]},
    "00101030": {"vr": "DS", "Value": [57]},
    "00280010": {"vr": "US", "Value": [512]},
}


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


_WAYS_ON_ONE_LINE: dict[str, Callable[[object], str]] = {
    "compact": _compact,
    "spaced": json.dumps,
    "python": repr,
    "behind a prefix": lambda value: f"INFO can't say {{x}}, stored {json.dumps(value)} in 3 ms, it's {{y}}",
    "twice": lambda value: f"{json.dumps(value)} and {_compact(value)}",
    "in a record": lambda value: _compact({"level": "info", "msg": "all is well", "body": value, "next": "as it is"}),
    "as a text": lambda value: _compact({"body": _compact(value), "next": "as it is"}),
    "in a text": lambda value: _compact({"msg": f"can't {{ {_compact(value)} ok", "next": "as it is"}),
    "as an indented text": lambda value: _compact({"body": json.dumps(value, indent=2), "next": "as it is"}),
    "as a text in a text": lambda value: _compact({"a": _compact({"body": _compact(value)}), "next": "as it is"}),
    "as Python in a text": lambda value: _compact({"msg": repr(value), "next": "as it is"}),
    "quoted": lambda value: f"level=info body={json.dumps(_compact(value))} took=3ms",
    "cut": lambda value: f"{json.dumps(value)[:-5]}\nINFO next",
}


@pytest.mark.parametrize("way", _WAYS_ON_ONE_LINE)
@pytest.mark.parametrize("value", [_OBSERVATION, _BUNDLE, _LATE], ids=["resource", "bundle", "named at its end"])
def test_a_resource_on_one_line_is_redacted_like_one_over_several(way: str, value: object) -> None:
    came = _WAYS_ON_ONE_LINE[way](value)
    for left in (_text(came), _text(_lines(f"INFO a\n{came}"))):
        assert [word for word in _OF_THE_OBSERVATION if word in left] == []
        for word in (
            "29463-7",
            "Body weight",
            "71.2",
            "http://loinc.org",
            "as it is",
            "all is well",
            "in 3 ms",
            "took=3ms",
        ):
            assert (word in left) == (word in came), word


@pytest.mark.parametrize("way", [_compact, lambda value: json.dumps(value, indent=2)])
def test_a_resource_has_the_same_marks_on_one_line_and_on_several(way: Callable[[object], str]) -> None:
    assert json.loads(_text(way(_BUNDLE))) == json.loads(_text(json.dumps(_BUNDLE)))
    assert json.loads(_text(way(_HEADER))) == {
        "00080060": {"vr": "CS", "Value": ["MR"]},
        "00081030": {"vr": "LO", "Value": ["[narrative 1]"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "[name 1]"}]},
        "00100040": {"vr": "CS", "Value": ["F"]},
        "00101030": {"vr": "DS", "Value": ["[narrative 2]"]},
        "00280010": {"vr": "US", "Value": [512]},
    }


@pytest.mark.parametrize("way", [_compact, lambda value: json.dumps(value, indent=2)])
def test_json_in_json_stays_json(way: Callable[[object], str]) -> None:
    for value in (_OBSERVATION, _LATE, _HEADER):
        left = json.loads(_text(_compact({"a": _compact({"b": way(value)})})))
        assert json.loads(json.loads(left["a"])["b"]).keys() == value.keys()


def test_json_as_a_text_in_json_too_often_is_withheld() -> None:
    value: object = _OBSERVATION
    for _ in range(6):
        value = {"a": _compact(value)}
    assert _text(f"INFO a\n{_compact(value)}") == "INFO a\n[1 line withheld: JSON nested too deeply]"


@pytest.mark.parametrize(
    "line",
    [
        '{"resourceType":"AWS::EC2::Instance","description":"a node of the pool"}',
        '{"resource":"pods","vr":"1","note":"a node of the pool"}',
        "resourceType: Patient is missing a value { here",
        '{"3f9ac1b2":{"vr":1,"Value":"built by hand"}}',
    ],
)
def test_json_on_one_line_that_is_no_standards_stays(line: str) -> None:
    assert _text(line) == line


_FRAGMENTS = [
    '{"resourceType":"Patient",', "{'resourceType': 'Patient'", '"{\\"resourceType\\":\\"P', '\\\\\\"', "{\\n", '"vr":"PN",', '"00100010":{',
    "{", "[", "}", "]", '"', "'", "\\", '\\"', '"a": ', '"name":{', '"given": [', "given: [ ", ",", ": ", "key:\n", "- ", "- name: DB_PASSWORD\n",
    "value: |\n", " ", "  ", "\n", "\n  ", "<", "<a>", "</a>", "<a ", 'b="', "'", "/>", "<!--", "-->", "<![CDATA[", "]]>", "<?xml ", "&lt;",
    "ISA*00*", "NM1*", "~", "*", "IEA*1*", "(0010,0010) PN [", "]  #", "(", "|", " | ", "-+-", "---+---\n", "+--+--+\n", "(2 rows)\n",
    "-[ RECORD 1 ]-\n", "first_name,", "dob,mrn\n", '""', ";", "\t", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "ab==\n",
    "INFO x\n", "2026-11-24 11:20:00 ", "2026-11-24T11:20:00.000000000Z ", "é", "\x00", "x" * 40, "1",
]  # fmt: skip
_STEPS = 3
"""Tokens and lines that are looked at for one byte, at most."""


def _steps(text: str) -> int:
    lines = Lines(lambda _kind, _value: b"[name 1]")
    data = text.encode()
    lines.feed(data)
    lines.end()
    return lines.steps


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(_FRAGMENTS), min_size=1, max_size=5),
    st.integers(1, 400),
    st.lists(st.sampled_from(_FRAGMENTS), max_size=4),
)
def test_work_grows_with_the_text_whatever_is_repeated(repeated: list[str], times: int, before: list[str]) -> None:
    text = "".join(before) + "".join(repeated) * times
    assert _steps(text) <= _STEPS * (len(text.encode()) + 1)


@pytest.mark.parametrize("fragment", _FRAGMENTS)
def test_work_for_one_fragment_repeated_is_linear(fragment: str) -> None:
    once, eight = _steps(fragment * 500), _steps(fragment * 4000)
    assert eight <= 9 * once + 100


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(_FRAGMENTS), max_size=60))
def test_any_text_passes_or_is_withheld_and_a_second_time_changes_little(parts: list[str]) -> None:
    text = "".join(parts)
    once = _text(text)
    assert isinstance(once, str)
    lines = Redactor().scope().lines()
    out = lines.feed(f"{text}\n".encode()) + lines.end()
    assert out == b"" or out.endswith(b"\n")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(_FRAGMENTS), max_size=60), st.randoms(use_true_random=False))
def test_where_a_stream_is_cut_changes_nothing(parts: list[str], rng: random.Random) -> None:
    data = ("".join(parts) + "\n").encode()
    whole = Redactor().scope().lines()
    cut = Redactor().scope().lines()
    pieces = data.split(b"\n")[:-1]
    out = bytearray()
    while pieces:
        count = rng.randint(1, 3)
        out += cut.feed(b"".join(piece + b"\n" for piece in pieces[:count]))
        del pieces[:count]
    assert bytes(out) + cut.end() == whole.feed(data) + whole.end()


@pytest.mark.parametrize(
    ("line", "what"),
    [('{"a": ' * DEEPEST + "{", "JSON"), ("[" * (DEEPEST + 1), "JSON"), ("<a>" * (DEEPEST + 1), "XML")],
)
def test_what_is_nested_too_deeply_is_withheld(line: str, what: str) -> None:
    left = f"INFO a\n[2 lines withheld: {what} nested too deeply]"
    assert _text(f'INFO a\n{line}\n"given": "Maria"') == left


def test_equal_values_of_a_block_and_of_a_line_have_equal_marks() -> None:
    scope = Redactor().scope()
    lines = scope.lines()
    block = lines.feed(b'INFO a\n{\n  "family": "Lopez"\n}\n').decode()
    assert '"family": "[name 1]"' in block
    assert scope.text("patient Lopez is here") == "patient [name 1] is here"


def test_a_value_beside_the_name_of_a_secret_goes_from_json_that_was_read_too() -> None:
    value = {"env": [{"name": "DB_PASSWORD", "value": "hunter22"}, {"name": "MODE", "value": "prod"}]}
    left = {"env": [{"name": "DB_PASSWORD", "value": "[password 1]"}, {"name": "MODE", "value": "prod"}]}
    assert Redactor().json(value) == left
    assert leaf_by_leaf(value, Redactor()) == left


def test_of_a_parsed_fhir_resource_only_codes_stay() -> None:
    value = {
        "event": "sync failed for order",
        "body": {
            "resourceType": "Observation",
            "id": "obs-88213",
            "status": "final",
            "code": {"text": "Heart rate", "coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
            "valueString": "lives with aunt Maria",
            "note": [{"text": "Mia called", "time": "2026-11-24"}],
            "text": {"status": "generated", "div": "<div>Mia</div>"},
            "subject": {"reference": "Patient/88213", "display": "M. Lopez"},
            "contained": [{"resourceType": "Patient", "name": [{"text": "Mia L."}], "active": True}],
            "valueQuantity": {"value": 72, "unit": "bpm"},
        },
        "note": "sync failed for order",
    }
    left = Redactor().json(value)
    assert left == {
        "event": "sync failed for order",
        "body": {
            "resourceType": "Observation",
            "id": "[record number 1]",
            "status": "final",
            "code": {"text": "Heart rate", "coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
            "valueString": "[narrative 1]",
            "note": [{"text": "[narrative 2]", "time": "[date 1]"}],
            "text": {"status": "generated", "div": "[narrative 3]"},
            "subject": {"reference": "[mrn 1]", "display": "[name 1]"},
            "contained": [{"resourceType": "Patient", "name": [{"text": "[name 2]"}], "active": True}],
            "valueQuantity": {"value": 72, "unit": "bpm"},
        },
        "note": "sync failed for order",
    }
    assert Redactor().json(left) == left


def test_a_narrative_is_a_kind_that_is_planted() -> None:
    assert PrivateKind.NARRATIVE in {kind for item in formats(each=2) for kind, _ in item.private}


def test_a_private_key_whose_first_line_is_stuck_to_a_token_goes_whole() -> None:
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7\nq1w2e3r4t5y6u7i8\n-----END RSA PRIVATE KEY-----"
    assert _text(f"xoxb-123456789012-1234567890123-AbCdEfGhIjKl{key}\nend") == "[slack token 1][private key 1]\nend"
