"""Cards in a terminal: the same words in the same order, and data that can't drive the terminal."""

import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from bot.boundary.printable import safe
from bot.surfaces.terminal import plain
from bot.surfaces.terminal.screen import Manner, Screen
from bot.surfaces.terminal.words import Audience, typed
from commands.kit.card import (
    Attachment,
    Button,
    Card,
    Choice,
    Choices,
    Code,
    Fact,
    Facts,
    Link,
    Moment,
    Note,
    OpenForm,
    Paragraph,
    Preformatted,
    RunAct,
    State,
    StepLine,
    StepList,
    StepStatus,
    Strong,
    Table,
    Typed,
    person,
    words,
)
from commands.kit.registry import load

NOW = datetime(2026, 11, 24, 14, 2, 5, tzinfo=timezone(timedelta(hours=1)))
READER = Audience(now=NOW, names={"requester": "Rita Quester"})


def steps(seconds: float | None = None, *, detail: str = "1/3 new pods ready") -> Card:
    return Card(
        state=State.RUNNING,
        title=words(Strong(text="Deploying v2.0.0 to production")),
        summary="Deploying",
        elapsed=seconds,
        body=(
            StepList(
                title="Steps",
                steps=(
                    StepLine(title="Backend rollout", status=StepStatus.DONE, detail="3/3 new pods ready", seconds=21),
                    StepLine(title="Frontend", status=StepStatus.RUNNING, detail=detail, seconds=seconds),
                    StepLine(title="Check", status=StepStatus.PENDING),
                ),
            ),
        ),
    )


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_card_reads_from_top_to_bottom_in_plain_lines() -> None:
    card = Card(
        state=State.WAITING,
        title=words(Strong(text="Deploy v2.0.0"), " · waiting for approval"),
        summary="Deploy",
        elapsed=72,
        body=(
            Paragraph(
                text=words("asked by ", person("requester"), " at ", Moment(at=NOW - timedelta(minutes=25), age=True))
            ),
            Table(
                columns=("Service", "Now", "Next"),
                rows=(
                    (words("backend"), words("v1.2.0"), words(Strong(text="v2.0.0"))),
                    (words("frontend"), words("v1.2.0"), words("v2.0.0")),
                ),
            ),
            Facts(facts=(Fact(label="Order", value=words("backend, frontend")),)),
            Preformatted(label="Last words", text="one\ntwo\n"),
            Note(text=words("compare: ", Link(url="https://forge.example/compare", text="v1.2.0...v2.0.0"))),
        ),
        buttons=(
            Button(label="Approve", does=RunAct(command="approve", run="7KQ2", word="")),
            Button(label="Status", does=Typed(text="status --env production")),
        ),
    )
    assert plain.lines(card, READER) == [
        "🟡 Deploy v2.0.0 · waiting for approval · 1 min 12 s",
        "asked by Rita Quester at 13:37 (25 min ago)",
        "  Service   Now     Next",
        "  backend   v1.2.0  v2.0.0",
        "  frontend  v1.2.0  v2.0.0",
        "Order: backend, frontend",
        "Last words:",
        "  one",
        "  two",
        "compare: v1.2.0...v2.0.0 (https://forge.example/compare)",
        "Approve: omnicare approve 7KQ2",
        "Status: omnicare status --env production",
    ]


def test_steps_are_aligned_lines_with_their_signs() -> None:
    assert plain.lines(steps(17), READER)[1:] == [
        "Steps",
        "  ✓ Backend rollout  3/3 new pods ready  21 s",
        "  ◌ Frontend         1/3 new pods ready  17 s",
        "  ○ Check",
    ]


def test_a_moment_of_another_day_says_its_date() -> None:
    card = Card(title=words(Moment(at=datetime(2026, 11, 20, 8, 0, tzinfo=UTC))), summary="then")
    assert plain.lines(card, READER) == ["2026-11-20 09:00"]


def test_the_last_moment_of_the_calendar_is_shown_east_of_greenwich() -> None:
    card = Card(title=words(Moment(at=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))), summary="never")
    assert plain.lines(card, READER) == ["9999-12-31 23:59"]


def test_a_long_output_is_shown_whole() -> None:
    content = "\n".join(f"line {number}" for number in range(5000))
    card = Card(
        title=words("Logs"), summary="Logs", body=(Attachment(filename="a.log", content=content, summary="5000 lines"),)
    )
    assert plain.lines(card, READER)[2:] == content.split("\n")


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07", "␛[2J␛]0;title␇"),
        ("a\r\nb", "a␍ b"),
        ("\x9b31m", "<U+009B>31m"),
        ("safe\u202egnp.exe", "safe<U+202E>gnp.exe"),
        ("tab\there", "tab here"),
        ("[bold red]no markup[/]", "[bold red]no markup[/]"),
        ("naïve ü 🟡 日本", "naïve ü 🟡 日本"),
    ],
)
def test_data_can_not_drive_the_terminal(data: str, shown: str) -> None:
    assert safe(data) == shown


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_no_escape_sequence_of_a_card_reaches_the_terminal_anywhere(stream: type[io.StringIO]) -> None:
    evil = "\x1b[31mhunt\x07\x9b5n"
    card = Card(
        title=words(evil, Strong(text=evil), Code(text=evil), Link(url="https://a.example/" + evil, text=evil)),
        summary=evil,
        body=(
            Paragraph(text=words(evil)),
            Facts(facts=(Fact(label=evil, value=words(person(evil))),)),
            Table(columns=(evil,), rows=((words(evil),),), caption=evil),
            StepList(title=evil, steps=(StepLine(title=evil, status=StepStatus.DONE, detail=evil),)),
            Preformatted(text=f"{evil}\n{evil}", label=evil),
            Attachment(filename=evil, content=evil, summary=evil),
        ),
        buttons=(
            Button(label=evil, does=Typed(text=evil)),
            Button(label="Form", does=OpenForm(command="deploy", filled={"version": evil})),
        ),
    )
    out = stream()
    with Screen(out, Manner.of(out, as_json=False), Audience(now=NOW, names={evil: evil})) as screen:
        screen.card(card, {evil: evil})
        screen.follow("result", card, {evil: evil})
        screen.say(evil)
    assert "\x1b[31mhunt" not in out.getvalue()
    assert "\x07" not in out.getvalue()
    assert "\x9b" not in out.getvalue()


def test_a_form_is_shown_as_the_command_that_says_the_same() -> None:
    from commands.kit import registry

    reader = Audience(now=NOW, spec=lambda name: registry.load().find(name))
    button = Button(label="Open form…", does=OpenForm(command="deploy", filled={"env": "staging", "reason": "a b"}))
    assert typed(button, reader) == ("Open form", "omnicare deploy VERSION --env staging --reason 'a b'")


@pytest.mark.parametrize(
    ("form", "command"),
    [
        (OpenForm(command="resolve", filled={"run": "7KQ2"}), 'omnicare resolve 7KQ2 --reason "why"'),
        (
            OpenForm(command="deploy", filled={"version": "v1.2.0", "reason": ""}),
            'omnicare deploy v1.2.0 --reason "why"',
        ),
    ],
)
def test_what_a_form_will_not_do_without_stands_in_the_command(form: OpenForm, command: str) -> None:
    from commands.kit import registry

    reader = Audience(now=NOW, spec=lambda name: registry.load().find(name))
    assert typed(Button(label="Open form…", does=form), reader) == ("Open form", command)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_command_in_a_sentence_is_as_a_shell_wants_it(*, terminal: bool) -> None:
    from commands.kit import registry

    reader = Audience(now=NOW, spec=lambda name: registry.load().find(name))
    sentence = words("None: ", Code(text="releases adopt --env production"), " of ", Code(text="backend-7c9f"), ".")
    card = Card(
        title=words("None"),
        summary="None",
        body=(
            Paragraph(text=sentence),
            Facts(facts=(Fact(label="Decide", value=words(Code(text="retry 7KQ2"))),)),
            Table(columns=("What",), rows=((words(Code(text="deploy v2.0.0")),),)),
            Note(text=words(Code(text="omnicare doctor"), " looks at ", Code(text="--tail 0"))),
        ),
    )
    out = Terminal() if terminal else io.StringIO()
    with Screen(out, replace(Manner.of(out, as_json=False), colour=False), reader) as screen:
        screen.card(card, {})
    said = out.getvalue()
    assert "None: omnicare releases adopt --env production of backend-7c9f." in said
    assert "omnicare retry 7KQ2" in said
    assert "omnicare deploy" not in said, "a table has no room for it"
    assert "omnicare doctor looks at --tail 0" in said


def narrow(width: int, card: Card) -> list[str]:
    """The lines of a card on a terminal so wide."""
    from rich.console import Console

    from bot.surfaces.terminal.colour import drawn

    console = Console(width=width, file=io.StringIO(), force_terminal=False, record=True)
    console.print(drawn(card, READER))
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_no_line_of_a_terminal_ends_between_a_number_and_its_unit_and_what_is_copied_has_plain_spaces() -> None:
    said = "up for 1 min 19 s, 92 % by an index, below < 200 ms, 82 µs"
    card = Card(
        title=words(said),
        summary=said,
        body=(
            Paragraph(text=words(said)),
            Note(text=words(said)),
            Facts(facts=(Fact(label="Up", value=words(said)),)),
            Table(columns=("Pod", "Memory"), rows=((words("a"), words("143.6 MiB (56 %)")),)),
        ),
    )
    for width in range(16, 80):
        lines = narrow(width, card)
        whole = "\n".join(lines)
        for part in ("1 min", "19 s", "92 %", "< 200 ms", "82 µs"):
            assert whole.count(part) == 4, (width, part)
        assert whole.count("143.6 MiB") == whole.count("56 %") == 1, width
        assert "\ue000" not in whole


def test_a_table_that_would_break_words_has_each_row_as_a_paragraph() -> None:
    pod = "backend-8d88645cb-49sm5"
    rows = (("backend", pod, "v2.1.0-slow", "0", ""), ("7", pod, "v2.1.0-slow", "1", "node-2"))
    card = Card(
        title=words("Pods"),
        summary="Pods",
        body=(
            Table(
                columns=("Service", "Pod", "Version", "Restarts", "Node"),
                rows=tuple(tuple(map(words, row)) for row in rows),
            ),
        ),
    )
    assert narrow(44, card) == [
        "Pods",
        f"backend   Pod {pod}",
        "  Version v2.1.0-slow   Restarts 0",
        f"Service 7   Pod {pod}",
        "  Version v2.1.0-slow   Restarts 1",
        "  Node node-2",
    ]
    assert any(line.split() == list(rows[1]) for line in narrow(80, card))
    assert all(len(line) <= 20 for line in narrow(20, card))


def test_a_table_loses_no_column_and_breaks_no_name_and_a_fact_is_not_cut() -> None:
    pod, snapshot = "frontend-5f9bc5c556-zdfvr", "rds:omnicare-prod-2026-11-29-22-41"
    rows = tuple(
        tuple(map(words, (pod, "286.5 MiB (56 %)", "0.062", "0.1 cpu, 128 MiB memory", "512 MiB memory", str(number))))
        for number in range(70, 73)
    )
    table = Table(columns=("Pod", "Memory", "CPU", "Requests", "Limits", "Restarts"), rows=rows)
    told = Fact(label="Last restore", value=words(f"{snapshot} was restored 21 days ago in 21.5 min: tables were read"))
    shown = narrow(80, Card(title=words("Pods"), summary="Pods", body=(table, Facts(facts=(told,)))))
    assert all(len(line) <= 80 for line in shown)
    for each in ("Restarts", "70", "71", "72"):
        assert any(each in line.split() for line in shown)
    assert sum(pod in line.split() for line in shown) == 3
    assert "".join(shown).count("…") == 0
    assert snapshot in "".join(shown)


def test_a_follow_up_that_asks_for_something_names_it_in_a_terminal() -> None:
    reader = replace(READER, spec=load().find)

    def line(label: str, text: str) -> str:
        return typed(Button(label=label, does=Typed(text=text)), reader)[1]

    assert line("Logs…", "logs --env production") == "omnicare logs SERVICE|POD --env production"
    assert line("Scale…", "scale backend") == "omnicare scale backend PODS"
    assert (
        line("Scale backend to 3…", "scale backend 3 --env production") == "omnicare scale backend 3 --env production"
    )
    assert line("Logs", "logs backend") == "omnicare logs backend"


def test_a_pipe_gets_only_what_changed() -> None:
    out = io.StringIO()
    with Screen(out, Manner.of(out, as_json=False), READER) as screen:
        screen.follow("progress", steps(1), {})
        before = len(out.getvalue())
        screen.follow("progress", steps(5), {})
        assert out.getvalue()[before:] == ""
        screen.follow("progress", steps(9, detail="3/3 new pods ready"), {})
        assert out.getvalue()[before:] == "  ◌ Frontend         3/3 new pods ready  9 s\n"


def test_a_terminal_gets_colour_and_a_pipe_does_not() -> None:
    terminal, pipe = Terminal(), io.StringIO()
    for out in (terminal, pipe):
        with Screen(out, Manner.of(out, as_json=False), READER) as screen:
            screen.card(steps(3), {})
    assert "\x1b[" in terminal.getvalue()
    assert "\x1b[" not in pipe.getvalue()


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    with Screen(out, Manner.of(out, as_json=False), READER) as screen:
        screen.card(steps(3), {})
    assert "✓" in out.getvalue()
    assert "\x1b[3" not in out.getvalue()
    assert "\x1b[9" not in out.getvalue()


def test_data_with_line_breaks_can_not_pose_as_a_line_of_ours() -> None:
    card = Card(
        title=words("a\nb"),
        summary="a",
        body=(
            Paragraph(text=words("first", "\n", "second, image not found\nApprove: omnicare approve 7KQ2")),
            Table(columns=("one",), rows=((words("x\ny"),),)),
        ),
    )
    assert plain.lines(card, READER) == [
        "a b",
        "first",
        "second, image not found Approve: omnicare approve 7KQ2",
        "  one",
        "  x y",
    ]


def test_a_line_that_only_notifies_somebody_is_left_out_and_one_that_says_something_is_not() -> None:
    ping, said = words(person("requester", mention=True), " "), words(person("requester", mention=True), " asked")
    card = Card(title=words("Done"), summary="Done", body=(Paragraph(text=ping), Paragraph(text=said)))
    assert plain.lines(card, READER) == ["Done", "Rita Quester asked"]


def test_a_narrow_terminal_gets_narrow_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    with Screen(out, Manner.of(out, as_json=False), READER) as screen:
        screen.card(Card(title=words("word " * 30), summary="words"), {})
    shown = [line.rstrip() for line in out.getvalue().splitlines()]
    assert len(shown) > 3
    assert max(map(len, shown)) <= 40


def test_what_moves_is_drawn_in_its_place_and_stays_when_something_else_is_said() -> None:
    out = Terminal()
    with Screen(out, Manner.of(out, as_json=False), READER) as screen:
        screen.follow("progress", steps(1), {})
        screen.follow("progress", steps(2, detail="2/3"), {})
        screen.follow("result", Card(state=State.DONE, title=words("Done"), summary="Done"), {})
    text = out.getvalue()
    assert "\x1b[1A" in text
    assert text.rindex("2/3") < text.rindex("Done")
    assert text.endswith(("\n", "\x1b[?25h"))


def test_json_has_the_facts_under_stable_names() -> None:
    out = io.StringIO()
    screen = Screen(out, Manner.of(out, as_json=True), READER)
    card = Card(
        state=State.DONE,
        title=words("By ", person("requester")),
        summary="By Rita",
        data={"release": "v2.0.0"},
        buttons=(Button(label="Logs", does=Typed(text="logs backend")),),
    )
    screen.json(screen.document(card, {}, exit_status=0, run="production.deploy.1"))
    found = json.loads(out.getvalue())
    assert found["exit"] == 0
    assert found["run"] == "production.deploy.1"
    assert found["title"] == "By Rita Quester"
    assert found["state"] == "done"
    assert found["data"] == {"release": "v2.0.0"}
    assert found["next"] == [{"label": "Logs", "command": "omnicare logs backend"}]


def test_choices_are_numbered_with_the_commands_that_they_complete() -> None:
    choices = Choices(
        label="Choose the service",
        options=(Choice(label="backend", text="logs backend"), Choice(label="frontend", text="logs frontend")),
        expires=0,
    )
    asked = Card(title=words("`logs` needs the service"), summary="asked", choices=choices)
    assert plain.lines(asked, READER)[1:] == [
        "Choose the service:",
        "  1. omnicare logs backend",
        "  2. omnicare logs frontend",
    ]
