"""Any card is drawn within Slack's limits, and nothing in it is live but what the card says is."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.boundary.redacting import redacted
from bot.surfaces.slack.render.blocks import DrawnCard, drawn
from bot.surfaces.slack.render.button_values import as_option, read, written
from bot.surfaces.slack.render.mrkdwn import safe_link, unbroken
from commands.kit.card import (
    Attachment,
    Button,
    Card,
    Choice,
    Choices,
    Code,
    Confirm,
    Fact,
    Facts,
    Link,
    Moment,
    Note,
    OpenForm,
    Paragraph,
    PersonName,
    Plain,
    Preformatted,
    RunAct,
    State,
    StepLine,
    StepList,
    StepStatus,
    Strong,
    Table,
    Text,
    Typed,
    words,
)
from sandbox.slack.limits import check_message, check_view
from tests.bot.surfaces.slack.conftest import SCHEMAS, SECRET, Names, card, hide, validator

NASTY = [
    "<!channel>",
    "<@U1REQUESTER>",
    "*bold*",
    "`code`",
    "<http://evil.example|Approve>",
    "a & b",
    "\x1b[31mred",
    "\u202egnp",
    ":fire:",
]

# long ones repeat a short one: to draw each of their characters takes longer than all else here
_long = st.builds(
    lambda part, size: (part * size)[:size],
    st.text(alphabet="a \n<>&*_", min_size=1, max_size=60),
    st.integers(2500, 4000),
)
_words = st.one_of(st.text(max_size=200), st.sampled_from(NASTY), _long)
_moments = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
_spans = st.one_of(
    st.builds(Plain, text=_words),
    st.builds(Strong, text=_words),
    st.builds(Code, text=_words),
    st.builds(PersonName, key=st.sampled_from(["requester", "approver", "U0NOBODY", "<!here>"]), mention=st.booleans()),
    st.builds(Moment, at=_moments, age=st.booleans()),
    st.builds(
        Link, url=st.sampled_from(["https://example.org/a", "javascript:alert(1)", "http://evil.example"]), text=_words
    ),
)
_texts = st.builds(lambda spans: Text(spans=tuple(spans)), st.lists(_spans, max_size=5))
_rows = st.lists(st.lists(_texts, max_size=4).map(tuple), max_size=120).map(tuple)
_elements = st.one_of(
    st.builds(Paragraph, text=_texts),
    st.builds(Note, text=_texts),
    st.builds(Facts, facts=st.lists(st.builds(Fact, label=_words, value=_texts), max_size=12).map(tuple)),
    st.builds(Table, columns=st.lists(st.text(max_size=20), max_size=25).map(tuple), rows=_rows, caption=_words),
    st.builds(
        StepList,
        title=_words,
        steps=st.lists(
            st.builds(
                StepLine,
                title=_words,
                status=st.sampled_from(StepStatus),
                detail=_words,
                seconds=st.none() | st.floats(0, 1e6),
            ),
            max_size=60,
        ).map(tuple),
    ),
    st.builds(Preformatted, text=st.text(max_size=9000), label=_words),
    st.builds(Attachment, filename=_words, content=_words, summary=_words),
)
_acts = st.one_of(
    st.builds(RunAct, command=_words, run=_words, word=_words, form=st.booleans()),
    st.builds(Typed, text=_words),
    st.builds(OpenForm, command=_words, filled=st.dictionaries(st.text(max_size=10), _words, max_size=3)),
)
_buttons = st.builds(
    Button,
    label=_words,
    does=_acts,
    style=st.sampled_from(["default", "primary", "danger"]),
    confirm=st.none() | st.builds(Confirm, title=_words, text=_words, yes=_words, no=_words),
    quiet=st.booleans(),
)
_cards = st.builds(
    Card,
    title=_texts,
    summary=_words,
    state=st.none() | st.sampled_from(State),
    elapsed=st.none() | st.floats(0, 1e6),
    body=st.lists(_elements, max_size=6).map(tuple),
    buttons=st.lists(_buttons, max_size=30).map(tuple),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(shown=_cards, newest=st.booleans())
def test_any_card_is_a_message_that_slack_takes(shown: Card, newest: bool) -> None:
    made = drawn(shown, Names(), newest=newest)
    check_message(made.text, made.blocks)
    json.dumps(made.blocks, ensure_ascii=False).encode()
    if SCHEMAS:
        validator("message.schema.json").validate({"text": made.text, "blocks": made.blocks})
    _nothing_is_live(made.text, made.blocks)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(shown=_cards)
def test_any_card_is_a_home_and_a_modal_that_slack_takes(shown: Card) -> None:
    home = drawn(shown, Names(), surface="home").blocks
    modal = drawn(shown, Names(), surface="modal").blocks
    title = {"type": "plain_text", "text": "x"}
    for view in ({"type": "home", "blocks": home}, {"type": "modal", "title": title, "blocks": modal}):
        check_view(view)
        if SCHEMAS:
            validator("view.schema.json").validate(view)


def _nothing_is_live(text: str, blocks: list[dict[str, object]]) -> None:
    assert "<!channel" not in text
    assert not any(each.get("type") == "broadcast" for each in _objects(blocks))
    for block in blocks:
        for element in _objects(block):
            if element.get("type") == "mrkdwn":
                said = str(element["text"])
                assert element["verbatim"] is True
                assert "<!channel" not in said
                assert "<http" not in said.replace("<https://example.org", "")
            if element.get("type") == "link":
                assert safe_link(str(element["url"]))
    shown = text + "".join(str(each["text"]) for each in _objects(blocks) if isinstance(each.get("text"), str))
    assert "\u202e" not in shown
    assert "\x1b" not in shown


def _objects(value: object) -> list[dict[str, object]]:
    if isinstance(value, dict):
        return [value, *(found for each in value.values() for found in _objects(each))]
    return [found for each in value for found in _objects(each)] if isinstance(value, list) else []


@pytest.mark.parametrize("nasty", NASTY)
def test_markup_in_data_stays_words(nasty: str) -> None:
    shown = card(
        nasty, body=(Note(text=words(nasty, Code(text="x"))), Facts(facts=(Fact(label=nasty, value=words(nasty)),)))
    )
    for element in _objects({"blocks": drawn(shown, Names()).blocks}):
        if element.get("type") == "mrkdwn":
            assert not any(sign in str(element["text"]).replace("`x`", "") for sign in ("<", ":fire:", "_", "`"))
        assert element.get("type") not in {"user", "broadcast", "link"}


def test_a_mention_of_a_listed_person_notifies_and_a_name_does_not() -> None:
    shown = card(
        "x", body=(Note(text=words(PersonName(key="approver", mention=True), " for ", PersonName(key="requester"))),)
    )
    (context,) = [block for block in drawn(shown, Names()).blocks if block["type"] == "context"]
    assert context["elements"][0]["text"] == "<@U2APPROVER> for Requester"


def test_what_does_not_fit_is_counted_and_stands_whole_in_a_file() -> None:
    lines = "\n".join(f"line {number}" for number in range(2000))
    made = drawn(card("x", body=(Preformatted(text=lines),)), Names())
    said = json.dumps(made.blocks)
    shown = said.count("line ")
    assert f"{2000 - shown + 1:,} lines" in said or f"{2000 - shown:,} lines" in said
    assert made.files[0].filename in said
    assert "line 1999" in made.files[0].content


def test_a_cut_log_points_to_the_file_that_the_card_has() -> None:
    lines = "\n".join(f"line {number}" for number in range(2000))
    file = Attachment(filename="logs.txt", content=lines, summary="2 000 lines")
    made = drawn(card("x", body=(Preformatted(text=lines), file)), Names())
    assert [each.filename for each in made.files] == ["logs.txt"]
    assert "in the file logs.txt" in json.dumps(made.blocks)


def test_short_parts_are_left_out_only_where_slack_takes_no_more_blocks() -> None:
    def parts(count: int) -> DrawnCard:
        body = tuple(Note(text=words(f"part {number}")) for number in range(count))
        return drawn(card("Home", body=body), Names())

    assert not parts(30).files
    assert "part 29" in json.dumps(parts(30).blocks)
    more = parts(60)
    assert more.files
    assert "Omitted because of length" in json.dumps(more.blocks)
    assert len(more.blocks) <= 50


def test_a_second_table_that_is_too_wide_for_a_phone_has_its_values_behind_their_names() -> None:
    first = Table(columns=("A",), rows=((words("1"),),))
    since = datetime(2026, 11, 18, 6, 12, tzinfo=UTC)
    rows = (
        (words("backend"), words("v1.2.0 be0af7"), words(Strong(text="v2.0.0 b81c07")), words(Moment(at=since))),
        (words("7"), words(), words("*bold* <!channel>"), words("frontend")),
    )
    wide = Table(columns=("Service", "Now", "Next", "Running since"), rows=rows)
    narrow = Table(columns=("CDN", "To invalidate"), rows=((words("E2EXAMPLE"), words("/*")),))
    made = drawn(card("x", body=(first, wide, narrow)), Names()).blocks
    assert [block["type"] for block in made] == ["rich_text", "table", "rich_text", "rich_text"]
    (section,) = [element for element in _objects(made[2]) if element.get("type") == "rich_text_section"]
    said = "".join(str(part.get("text", "<date>")) for part in section["elements"])
    assert said == (
        "backend · Now: v1.2.0 be0af7 · Next: v2.0.0 b81c07 · Running since: <date>\n"
        "Service: 7 · Next: *bold* <!channel> · Running since: frontend"
    )
    assert "E2EXAMPLE  /*" in json.dumps(made[3])


def test_a_minor_table_is_small_print_and_leaves_slacks_one_table_to_another() -> None:
    rows = tuple((words(f"Gate {number}"), words("8 of 8 <!channel>")) for number in range(9))
    minor = Table(columns=("Gate", "Evidence"), rows=rows, minor=True)
    other = Table(columns=("Service",), rows=((words("backend"),),))
    made = drawn(card("x", body=(minor, other)), Names()).blocks
    assert [block["type"] for block in made] == ["rich_text", "context", "context", "table"]
    said = [element["text"] for block in made[1:3] for element in block["elements"]]
    assert said[0].startswith("*Gate 0*: ")
    assert said[0].count(" · ") == 7
    assert said[1].startswith("*Gate 8*: ")
    assert "<!channel>" not in "".join(said)


def test_no_line_ends_between_a_number_and_its_unit_and_what_may_be_pasted_keeps_its_spaces() -> None:
    said = "12 writes/s, 4.1 M rows, 1 min 12 s, 20 % of 71 MiB in 2 days, 3 pods, 3 items, v1 s3, limit ≥ 1, 82 µs"
    shown = card(
        "x",
        body=(
            Paragraph(text=words(Strong(text=said), Code(text="logs --since 5 min"))),
            Note(text=words(said)),
            Facts(facts=(Fact(label="Usual", value=words(said, " ", Code(text="5 min"))),)),
            Table(columns=("a",), rows=((words(said),),)),
            StepList(title="Steps", steps=(StepLine(title="A", status=StepStatus.RUNNING, detail=said, seconds=72),)),
            Preformatted(text="sleep 5 s"),
        ),
    )
    made = json.dumps(drawn(shown, Names()).blocks, ensure_ascii=False)
    kept = "12_writes/s, 4.1_M rows, 1_min 12_s, 20_% of 71_MiB in 2_days, 3_pods, 3 items, v1 s3, limit ≥_1, 82_µs".replace(
        "_", "\u00a0"
    )
    assert made.count(kept) == 5
    assert unbroken("above its limit (< 0.1 %), &lt; 5") == "above its limit (<\u00a00.1\u00a0%), &lt;\u00a05"
    assert "A · 1\u00a0min 12\u00a0s" in made
    assert "logs --since 5 min" in made
    assert "`5 min`" in made
    assert "sleep 5 s" in made


def test_each_state_of_a_message_has_new_block_ids() -> None:
    first, second = (drawn(card("x"), Names()).blocks[0]["block_id"] for _ in range(2))
    assert first != second


def test_newest_blocks_can_be_left_out() -> None:
    steps = StepList(
        title="Steps", steps=(StepLine(title="Backend", status=StepStatus.DONE, detail="3/3", seconds=21.0),)
    )
    shown = card("x", body=(steps, Table(columns=("A",), rows=((words("1"),),))))
    assert {"plan", "table"} <= {block["type"] for block in drawn(shown, Names()).blocks}
    old = drawn(shown, Names(), newest=False).blocks
    assert {block["type"] for block in old} == {"rich_text"}
    assert "✓ Backend · 3/3 · 21\u00a0s" in json.dumps(old, ensure_ascii=False)


@given(act=_acts)
def test_what_a_button_carries_comes_back(act: RunAct | Typed | OpenForm) -> None:
    value = written(act)
    if len(value) <= 2000:
        assert read(value) == act
    option = as_option(act)
    if option is not None and isinstance(act, RunAct) and all((act.command, act.run, act.word)):
        assert read(option) == act


@given(value=st.one_of(st.text(), st.none(), st.integers(), st.text(alphabet='{}":,|rtkcw[]', max_size=30)))
def test_a_guessed_value_is_nothing_or_an_act_and_never_an_error(value: object) -> None:
    assert read(value) is None or isinstance(value, str)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(shown=_cards, where=st.integers(0, 5))
def test_no_text_of_a_card_escapes_the_redactor(shown: Card, where: int) -> None:
    secret = words("a ", SECRET[:3], SECRET[3:], " b")
    parts = (
        Paragraph(text=secret),
        Facts(facts=(Fact(label=SECRET, value=words(SECRET)),)),
        Table(columns=(SECRET,), rows=((secret,),)),
        StepList(title=SECRET, steps=(StepLine(title=SECRET, status=StepStatus.DONE, detail=SECRET),)),
        Preformatted(text=SECRET, label=SECRET),
        Attachment(filename=SECRET, content=SECRET, summary=SECRET),
    )
    more = Button(label=SECRET, does=Typed(text=f"logs --grep {SECRET}"))
    form = Button(
        label="x",
        does=OpenForm(command="logs", filled={"grep": SECRET}),
        confirm=Confirm(title=SECRET, text=SECRET, yes=SECRET),
    )
    full = shown.model_copy(update={"body": (*shown.body, parts[where]), "buttons": (more, form), "title": secret})
    made = drawn(redacted(full, hide), Names())
    assert SECRET not in json.dumps([made.blocks, made.text, [file.model_dump() for file in made.files]])


def test_times_are_in_the_readers_zone() -> None:
    at = datetime(2026, 11, 24, 14, 5, tzinfo=UTC) - timedelta(hours=0)
    (block,) = drawn(card("x").model_copy(update={"title": words(Moment(at=at, age=True))}), Names()).blocks
    assert block["elements"][0]["elements"][0] == {
        "type": "date",
        "timestamp": int(at.timestamp()),
        "format": "{time} ({ago})",
        "fallback": "14:05 UTC",
    }


def asked_of(count: int) -> Card:
    options = tuple(Choice(label=f"service-{at}", text=f"logs service-{at} --env production") for at in range(count))
    choices = Choices(label="Choose the service", options=options, expires=1_795_988_277)
    return Card(title=words("Which service?"), summary="Which service?", choices=choices)


@pytest.mark.parametrize("count", [1, 5, 6, 300])
def test_few_choices_are_buttons_and_more_a_select_and_each_is_read_back(count: int) -> None:
    made = drawn(redacted(asked_of(count), hide), Names())
    check_message(made.text, made.blocks)
    (elements,) = [block["elements"] for block in made.blocks if block["type"] == "actions"]
    assert isinstance(elements, list)
    values = [one["value"] for each in elements for one in each.get("options", [each])]
    assert [each["type"] for each in elements] == (["button"] * count if count < 6 else ["static_select"])
    assert len(values) == min(count, 100)
    for at, value in enumerate(values):
        assert read(value) == Typed(text=f"logs service-{at} --env production", expires=1_795_988_277)
    for broken in ("e|x|logs", "e|1", "e||logs"):
        assert read(broken) is None
