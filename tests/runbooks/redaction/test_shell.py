"""A line for a shell has the words that it should have, whatever is in a value; what redaction would change is not pasted by anybody."""

import shlex

from hypothesis import given, settings
from hypothesis import strategies as st

from runbooks.kit.targets import Environment
from runbooks.observe.by_hand import kubectl, nodes, searched
from runbooks.redaction.redactor import default_redactor
from runbooks.redaction.shell import WITHHELD_LINE, kept_lines, pasted

STAGING = Environment(name="staging", namespace="omnicare-staging", record_namespace="omnicare-bot", services=())
HOSTILE = "password='; touch PWN #"
PIECES = (
    *(
        "'",
        '"',
        "\\",
        ";",
        "$(touch PWN)",
        "`touch PWN`",
        "#",
        "|",
        "&",
        " ",
        "\n",
        "-e",
        "--",
        "*",
        "!",
        "é",
        "\u2028",
    ),
    *("password=", "token: ", "hunter2", "patient Maria Lopez", "MRN 1234567", "postgres://a:b@c/", "[password 1]"),
)
values = st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join) | st.text(min_size=1, max_size=12)


@settings(deadline=None)
@given(values)
def test_a_shell_reads_the_words_of_each_line(value: str) -> None:
    safe = default_redactor().text(value)
    found = searched(kubectl(STAGING, "logs", value), value, 5)
    assert shlex.split(found) == [
        *("kubectl", "logs", safe, "-n", "omnicare-staging"),
        *("|", "grep", "-E", "-e", safe, "|", "tail", "-n", "5"),
    ]
    for line, verb in zip(nodes(STAGING, value), ("get", "top", "describe"), strict=True):
        assert shlex.split(line)[:4] == ["kubectl", verb, "nodes", safe]


@settings(deadline=None)
@given(values)
def test_what_is_pasted_is_not_changed_by_redaction(value: str) -> None:
    line = searched(kubectl(STAGING, "logs", "backend"), value, 5)
    (given_line,) = pasted([line])
    assert given_line in (line, WITHHELD_LINE)
    assert default_redactor().text(given_line) == given_line


def test_one_line_is_withheld_and_the_others_stay() -> None:
    hostile = f"kubectl logs backend | grep -E {shlex.quote(HOSTILE)}"
    assert pasted(["kubectl get pods", hostile]) == ("kubectl get pods", WITHHELD_LINE)
    assert shlex.split(WITHHELD_LINE, comments=True) == []


def test_nothing_stays_where_a_line_has_a_part_of_another() -> None:
    def hides_it(text: str) -> str:
        return text.replace("hunter2", "[password 1]")

    assert kept_lines(["echo 'a", "hunter2", "b'"], hides_it) == (WITHHELD_LINE,)
    assert kept_lines(["echo 'a", "b'"], hides_it) == ("echo 'a", "b'")
