"""Text as clients send it becomes text as it was meant, then words; what is too long is refused at once."""

# ruff: noqa: RUF001 - signs that look like others are the subject

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands.kit.parsing import LONGEST, UsageError, parse, split
from commands.kit.registry import load
from commands.kit.typed_again import quoted
from commands.kit.typed_text import made_plain
from commands.kit.types import Known
from tests.support.steps import counted, steps_of

REGISTRY = load()
KNOWN = Known(
    environments=("production",),
    services=("backend",),
    commands=REGISTRY.names(),
    people=("requester",),
    terminal=("doctor", "audit verify"),
)


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("deploy v2.0.0 —env production", "deploy v2.0.0 --env production"),
        ("deploy v2.0.0 –dry-run", "deploy v2.0.0 --dry-run"),
        ("deploy v2.0.0 —reason “fixes sync”", 'deploy v2.0.0 --reason "fixes sync"'),
        ("deploy v2.0.0 --reason „fixes sync“", 'deploy v2.0.0 --reason "fixes sync"'),
        ("deploy v2.0.0 --reason «fixes sync»", 'deploy v2.0.0 --reason "fixes sync"'),
        ("lock --reason ‘go live’", "lock --reason 'go live'"),
        ("logs backend --grep a&lt;b&gt;c&amp;d", "logs backend --grep a<b>c&d"),
        ("logs backend --grep &amp;lt;", "logs backend --grep &lt;"),
        ("deploy <http://v2.0.0|v2.0.0>", "deploy v2.0.0"),
        ("logs <http://backend.prod|backend.prod>", "logs backend.prod"),
        ("deploy v2.0.0 --ticket <https://jira/OPS-1>", "deploy v2.0.0 --ticket https://jira/OPS-1"),
        ("audit --person <@U012AB3CD|maya>", "audit --person @U012AB3CD"),
        ("audit --person <@U012AB3CD>", "audit --person @U012AB3CD"),
        ("lock --reason <#C012|deploys>", "lock --reason #C012"),
        ("lock --reason <!subteam^S1|@oncall>", "lock --reason @oncall"),
        ("lock --reason <mailto:a@b.org|a@b.org>", "lock --reason a@b.org"),
        ("lock --reason <tel:+41|+41>", "lock --reason +41"),
        ("deploy\u00a0v2.0.0\u00a0--dry-run", "deploy v2.0.0 --dry-run"),
        ("deploy\u200b v2.0.0\ufeff", "deploy v2.0.0"),
        ("lock --reason well—known", "lock --reason well—known"),
        ("lock --reason doesn’t", "lock --reason doesn't"),
        # a value's own signs: between straight quotation marks nothing was put in by a keyboard
        ('lock --reason "x” --env staging “y"', 'lock --reason "x” --env staging “y"'),
        ('lock --reason "x —env staging"', 'lock --reason "x —env staging"'),
        ("lock --reason “x —env staging”", 'lock --reason "x —env staging"'),
        ('lock —reason "x" —until 18:00', 'lock --reason "x" --until 18:00'),
        ('lock --reason "x”', 'lock --reason "x”'),
        ("lock --reason “doesn’t ‘work’”", "lock --reason \"doesn't 'work'\""),
    ],
)
def test_what_a_client_did_to_the_text_is_undone(sent: str, meant: str) -> None:
    assert made_plain(sent) == meant


@given(st.text(st.characters(codec="ascii", exclude_characters="<>&")))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert made_plain(text) == text


@given(st.text(max_size=300))
def test_what_slack_escapes_comes_back(text: str) -> None:
    """Whatever signs a text has (but those that are undone on purpose), Slack's escaping of it means the text."""
    sent = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    undone = made_plain(text.replace("&", "").replace("<", "").replace(">", ""))
    assert made_plain(sent).replace("&", "").replace("<", "").replace(">", "") == undone or "—" in text or "–" in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('a "b c" d', ["a", "b c", "d"]),
        ('--reason="b c"', ["--reason=b c"]),
        ("--reason='b \"c\" d'", ['--reason=b "c" d']),
        ("it's done", ["it's", "done"]),
        ("'it is' done", ["it is", "done"]),
        ('""', [""]),
        ("  a\t\nb  ", ["a", "b"]),
        ("", []),
    ],
)
def test_quotes_keep_words_together(text: str, words: list[str]) -> None:
    assert split(text) == words


@pytest.mark.parametrize("text", ['deploy v2.0.0 --reason "fixes', "lock --reason 'x", '"'])
def test_a_quote_that_is_left_open_runs_nothing(text: str) -> None:
    with pytest.raises(UsageError, match="is not closed"):
        split(text)


@pytest.mark.parametrize(
    "text",
    ['rollback --env "s"taging', 'rollback --env stag"ing"', '--reason="b"c', 'a""b', '"a""b"', "'it's broken'", '""x'],
)
def test_a_quote_inside_a_word_runs_nothing(text: str) -> None:
    with pytest.raises(UsageError, match="Put quotation marks around the whole value"):
        split(text)


@given(st.text(max_size=50))
def test_a_quoted_value_is_read_back_as_one_word(value: str) -> None:
    assert split(quoted(value)) == [value.replace('"', "'")]


@given(st.text(st.sampled_from("ab \"'“”„«»‘’‚—–-=&;lt<>|\u200b"), max_size=30))
def test_a_text_that_is_shown_and_typed_into_slack_means_the_same_values(value: str) -> None:
    """Who copies what somebody asked for, or presses a button that says it, gives no option that stood in their reason."""
    shown = f"lock --reason {quoted(value)} --env production"
    sent = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    words = split(made_plain(sent))
    assert words == ["lock", "--reason", value.replace('"', "'").replace("\u200b", ""), "--env", "production"]


def test_what_was_probably_meant_keeps_the_words_that_stood_in_quotes_together() -> None:
    typed = ["deplyo", "v2.0.0", "--reason", 'x --env "production', "--ticket=a b", ""]
    with pytest.raises(UsageError) as raised:
        parse(typed, REGISTRY, KNOWN, default_environment="production")
    assert raised.value.suggestion is not None
    assert split(raised.value.suggestion) == ["deploy", *(word.replace('"', "'") for word in typed[1:])]


@pytest.mark.parametrize(
    "text",
    [
        "a" * 1_000_000,
        "deploy " + "v" * 1_000_000,
        '"' + "x" * 1_000_000 + '"',
        "--" * 500_000,
        "a " * 500_000,
        "=" * 1_000_000,
    ],
)
def test_huge_input_is_refused_in_a_bounded_number_of_steps(text: str) -> None:
    with counted() as steps, pytest.raises(UsageError):
        parse(split(text), REGISTRY, KNOWN, default_environment="production")
    assert steps.count < 10 * len(text)


@pytest.mark.parametrize(
    "text",
    [
        "<" * LONGEST,
        "<a|" * (LONGEST // 3),
        "&" * LONGEST,
        "&lt;" * (LONGEST // 4),
        "—" * LONGEST,
        "<mailto:" * (LONGEST // 8),
    ],
)
def test_the_longest_text_is_made_plain_in_a_bounded_number_of_steps(text: str) -> None:
    assert steps_of(lambda: made_plain(text)) < 20 * LONGEST


def mistyped(text: str) -> UsageError:
    with pytest.raises(UsageError) as error:
        parse(split(text), REGISTRY, KNOWN, default_environment="production")
    return error.value


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("deploy v2.0.0 production", "an extra word: `production`. Did you mean `--env production`?"),
        ("status prod", "Did you mean `--env production`?"),
        ("status --env prod", "Did you mean `production`?"),
        ("rollback v1.2.0", "`v1.2.0` is a version. Did you mean `--to v1.2.0`?"),
        ("deploy v2.0.0 -n", "`deploy` has no option `-n`. There are: --env, "),
        ("logs backend -f", "`logs` has no option `-f`. Did you mean `--follow`?"),
        ("logs", "`logs` needs the service or pod: a service, or a pod by the end of its name."),
        ("run", "`run` needs the script: one of those that `help run` lists."),
        ("why is the backend slow", "There is no `why`. Did you mean `diagnose`?"),
        ("What changed?", "Did you mean `diagnose`?"),
        ("what is wrong", "Did you mean `diagnose`?"),
        ("what\u2019s wrong?", "Did you mean `diagnose`?"),
        ("what's wrong?", "Did you mean `diagnose`?"),
        ("slow queries", "Did you mean `slow-queries`?"),
        ("dep v2.0.0", "Did you mean `deploy`?"),
        ("kubectl get pods", "There is no `kubectl`. `help` lists all commands."),
        ("scale", "`scale` needs the service and the pods: "),
        ("syncfaild", "Did you mean `sync failed`?"),
        ("snyc stauts", "Did you mean `sync status`?"),
        ("evidence", "`evidence` needs the run: the run's id, shown on its card."),
        (
            "sync",
            "`sync` needs another word: `sync clear-failed`, `sync failed`, `sync retry-failed`, `sync status`, `sync websocket`.",
        ),
        ("help db", "`db` needs another word: `db activity`, `db connect`, "),
        ("help gibberish", "There is no command `gibberish`. `help` lists all commands."),
        ("gibberish", "There is no `gibberish`. `help` lists all commands."),
        ("doctor", "`doctor` works in a terminal only, on the machine it concerns: `omnicare doctor`."),
        ("audit verify", "`audit verify` works in a terminal only"),
    ],
)
def test_what_people_try_first_is_answered_with_what_to_type(typed: str, said: str) -> None:
    assert said in mistyped(typed).message


@pytest.mark.parametrize(
    ("typed", "form"),
    [
        ("rollback --env stagng", ("rollback", {"env": ""})),
        ("deploy v2.0.0 --env stagng", ("deploy", {"version": "v2.0.0", "env": ""})),
        (
            "deploy v2.0.0 --only backnd --env production",
            ("deploy", {"version": "v2.0.0", "only": "", "env": "production"}),
        ),
        ("deploy v2.0.0 --evn x --env production", ("deploy", {"version": "v2.0.0", "env": "production"})),
    ],
)
def test_what_was_typed_beside_a_mistake_stays_and_the_wrong_value_is_asked_for(
    typed: str, form: tuple[str, dict[str, str]]
) -> None:
    """Without it the form, and the line that a terminal shows for it, would act on another environment."""
    assert mistyped(typed).form == form


def test_the_form_is_filled_with_what_was_meant() -> None:
    assert mistyped("deploy v2.0.0 prod").form == ("deploy", {"version": "v2.0.0", "env": "production"})
    assert mistyped("rollback v1.2.0").form == ("rollback", {"to": "v1.2.0"})


def test_a_word_that_begins_several_commands_offers_those_that_only_look() -> None:
    assert mistyped("sync").choices == ("sync failed", "sync status", "sync websocket")
    assert {"db connect", "db restore"}.intersection(mistyped("db").choices) == {"db connect"}


@pytest.mark.parametrize(
    ("typed", "command"),
    [("--help", None), ("-h", None), ("?", None), ("deploy --help", "deploy"), ("sync status -h", "sync status")],
)
def test_help_is_asked_for_as_in_a_shell(typed: str, command: str | None) -> None:
    parsed = parse(split(typed), REGISTRY, KNOWN, default_environment="production")
    assert (parsed.spec.name, parsed.arguments().get("topic")) == ("help", command)


def test_a_value_that_looks_like_a_question_for_help_stays_a_value() -> None:
    parsed = parse(split("logs backend --grep -h"), REGISTRY, KNOWN, default_environment="production")
    assert parsed.arguments()["grep"] == "-h"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("deploy v2.0.0 ——env production", "deploy v2.0.0 --env production"),
        ("deploy v2.0.0 ‑‑dry‑run", "deploy v2.0.0 --dry-run"),
        ("deploy v2.0.0 --dry‑run", "deploy v2.0.0 --dry-run"),
        ("deploy v2.0.0 —–dry–run", "deploy v2.0.0 --dry-run"),
        ("deploy v2.0.0 −−env=production", "deploy v2.0.0 --env=production"),
        ("deploy v2.0.0 ⸺env production", "deploy v2.0.0 --env production"),
        ("deploy v2.0.0 －－env production", "deploy v2.0.0 --env production"),
        ("logs backend --since=‐5m", "logs backend --since=-5m"),
        ("lock --reason Mon–Fri — go-live", "lock --reason Mon–Fri — go-live"),
        ('lock --reason "—env stays"', 'lock --reason "—env stays"'),
        ("de\u00adploy\u2060 \u200ev2.0.0\u200f", "deploy v2.0.0"),
        ("deploy\u3000v2.0.0\u2009--env\u202fproduction", "deploy v2.0.0 --env production"),
        ("deploy v2.0.0\ufe0f\u3164\U000e0041", "deploy v2.0.0"),
    ],
)
def test_dashes_blanks_and_invisible_characters_of_every_keyboard_are_what_was_meant(typed: str, meant: str) -> None:
    assert made_plain(typed) == meant


@pytest.mark.parametrize(
    ("tokens", "named"),
    [
        (["deploy", "v2.0.0\u200e"], "U+200E (left-to-right mark)"),
        (["dep\u00adloy", "v2.0.0"], "U+00AD (soft hyphen)"),
        (["deploy", "v2.0.0", "--env\u2060", "production"], "U+2060 (word joiner)"),
        (["deploy", "v2.0.0\x07"], "U+0007 (a control character)"),
    ],
)
def test_what_is_refused_for_an_invisible_character_names_it(tokens: list[str], named: str) -> None:
    """A terminal takes words as they are, and they look right."""
    with pytest.raises(UsageError) as error:
        parse(tokens, REGISTRY, KNOWN, default_environment="production")
    assert error.value.message.endswith(f"There is an invisible character in what you typed: {named}.")


@given(st.text(st.characters(codec="utf-8"), max_size=80))
def test_what_is_made_plain_stays_as_it_is(text: str) -> None:
    quiet = text.translate(dict.fromkeys(map(ord, "&<>")))
    assert made_plain(made_plain(quiet)) == made_plain(quiet)
