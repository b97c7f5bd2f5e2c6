"""Every command keeps its definition's promises: what is typed is understood as typed, or answered with the fix."""

import difflib
import json
import unicodedata
from datetime import date

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from commands.kit.command import Command, Operation, RunDecision
from commands.kit.parsing import UsageError, parse, split
from commands.kit.regions import RegionsType, RegionType
from commands.kit.registry import load
from commands.kit.spec import CommandSpec, Kind, Parameter, environment_parameter
from commands.kit.topics import GROUPS, TopicType
from commands.kit.typed_again import typed_again
from commands.kit.typed_text import made_plain
from commands.kit.types import (
    CdnPathType,
    ChoiceType,
    CommandNameType,
    DurationType,
    EnvironmentType,
    KeyType,
    Known,
    NumberType,
    PersonType,
    QueryType,
    RegexType,
    RunType,
    ServiceType,
    SnapshotType,
    StartType,
    TargetType,
    TextType,
    UntilType,
    VersionType,
)
from commands.release.deploy import Deploy

REGISTRY = load()
KNOWN = Known(
    environments=("production", "staging"),
    services=("backend", "frontend"),
    commands=REGISTRY.names(),
    people=("maya", "requester", "approver"),
    regions=("eu", "us"),
    scripts=("cache-warm", "sessions"),
)
EVERY = pytest.mark.parametrize("spec", list(REGISTRY), ids=lambda spec: spec.name)
OPERATIONS = [spec for spec in REGISTRY if spec.kind is Kind.OPERATION]
PLACED = [spec for spec in REGISTRY if environment_parameter(spec) is not None]
ODD = [
    "\x00",
    "\x1b[2J",
    "\u202e",
    "\u200f",
    "\u2066",
    "👩🏽‍⚕️",
    "'",
    '"',
    "“",
    "—",
    "\u00a0",
    "\ud800",
    "\u0085",
    "`",
    "<!channel>",
    "&lt;",
]


def understood(text: str, *, where: str | None = "production") -> Command:
    return parse(split(made_plain(text)), REGISTRY, KNOWN, default_environment=where)


def refused(text: str, *, where: str | None = "production") -> UsageError:
    with pytest.raises(UsageError) as error:
        understood(text, where=where)
    return error.value


# definitions


@EVERY
def test_a_command_understands_its_own_examples(spec: CommandSpec) -> None:
    assert spec.examples
    for text in spec.examples:
        parsed = understood(f"{spec.name} {text}")
        assert parsed.spec is spec
        assert isinstance(parsed, REGISTRY.command(spec.name))


@EVERY
def test_a_command_and_each_of_its_parameters_says_what_it_is_for(spec: CommandSpec) -> None:
    assert spec.summary
    assert spec.usage.startswith(spec.name)
    for parameter in spec.parameters:
        assert len(parameter.help) > 2
        assert parameter.help[0].islower() or parameter.help[0].isdigit()
        assert not parameter.help.endswith(".")
        assert parameter.positional or parameter.flag in spec.usage


@pytest.mark.parametrize("spec", OPERATIONS, ids=lambda spec: spec.name)
def test_every_operation_can_be_tried_explained_and_tied_to_a_ticket(spec: CommandSpec) -> None:
    options = {p.flag for p in spec.parameters if not p.positional}
    assert {"--dry-run", "--reason", "--ticket", "--env"} <= options
    assert spec.risk is not None
    assert spec.permission is not None
    typed = f"{spec.name} {spec.examples[0]} --dry-run --ticket OPS-1 --reason 'because of it'".replace("'", '"')
    request = understood(typed)
    assert isinstance(request, Operation)
    assert (request.dry_run, request.ticket, request.reason) == (True, "OPS-1", "because of it")


def test_only_a_decision_on_a_run_has_a_button_on_the_runs_card() -> None:
    for spec in REGISTRY:
        assert not spec.on_card or issubclass(REGISTRY.command(spec.name), RunDecision)


@pytest.mark.parametrize("spec", PLACED, ids=lambda spec: spec.name)
def test_where_a_channel_means_no_environment_none_is_guessed(spec: CommandSpec) -> None:
    where = environment_parameter(spec)
    assert where is not None
    text = f"{spec.name} {spec.examples[0].partition(' --env')[0]}"
    if where.default is None:
        assert spec.kind is Kind.QUERY
        assert understood(text, where=None).environment is None
        assert understood(text, where="production").environment is None
        return
    error = refused(text, where=None)
    assert "this channel has none of its own" in error.message
    assert f"`{where.flag} production` or `{where.flag} staging`" in error.message
    assert error.example is not None
    assert understood(error.example, where=None).spec == spec
    assert understood(f"{text} --env staging", where=None).environment == "staging"
    assert understood(text, where="staging").environment == "staging"


@EVERY
def test_a_missing_argument_is_asked_for_with_usage_example_and_a_form(spec: CommandSpec) -> None:
    required = [p for p in spec.parameters if p.required]
    if not required:
        where = environment_parameter(spec)
        filled = {where.name: "production"} if where and where.default is not None else {}
        assert understood(spec.name) == REGISTRY.make(spec.name, filled)
        return
    error = refused(spec.name)
    name = required[0].type.name.replace("|", " or ") if required[0].type else ""
    assert error.message.startswith(f"`{spec.name}` needs the {name}")
    assert error.usage == spec.usage
    assert error.example is not None
    assert understood(error.example)
    assert error.form == (spec.name, {})


# requests and their arguments


def _numbers(kind: NumberType) -> st.SearchStrategy[str]:
    return st.integers(kind.low, kind.high).map(str)


_WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=60).filter(
    lambda text: any(unicodedata.category(sign) not in ("Zs", "Cf") for sign in text)  # what nobody sees is no word
)
_CLOCK = st.times().map(lambda time: f"{time:%H:%M}")
_DAYS = st.dates(min_value=date(2000, 1, 1), max_value=date(2999, 12, 31))
_LENGTHS = st.tuples(st.integers(1, 700), st.sampled_from("smh")).map(lambda pair: f"{pair[0]}{pair[1]}")
_VALUES: dict[type, st.SearchStrategy[str]] = {
    VersionType: st.from_regex(r"\Av?[0-9]{1,4}(\.[0-9]{1,3}){0,3}(-[a-z0-9][a-z0-9.]{0,8})?\Z").filter(
        lambda v: v.isascii()
    ),
    EnvironmentType: st.sampled_from(KNOWN.environments),
    ServiceType: st.sampled_from(KNOWN.services),
    RegionType: st.sampled_from(KNOWN.regions),
    RegionsType: st.sampled_from([*KNOWN.regions, "eu,us", "us eu"]),
    TargetType: st.sampled_from(KNOWN.services),
    CommandNameType: st.sampled_from(KNOWN.commands),
    TopicType: st.sampled_from([*KNOWN.commands, *GROUPS]),
    PersonType: st.sampled_from([*KNOWN.people, "@maya", "MAYA"]),
    KeyType: st.from_regex(r"\A[a-z][a-z0-9-]{0,20}\Z").filter(str.isascii),
    CdnPathType: st.from_regex(r"\A(/[a-z0-9._~-]{0,9}){1,3}\*?\Z").filter(str.isascii),
    QueryType: st.from_regex(r"\Aq[0-9a-f]{6,16}\Z") | st.integers(-(2**63), 2**63 - 1).map(str),
    RunType: st.from_regex(r"\A[0-9a-z][0-9a-z.-]{2,40}\Z"),
    DurationType: _LENGTHS,
    StartType: _CLOCK | st.tuples(_DAYS, _CLOCK).map(lambda pair: f"{pair[0]}T{pair[1]}+01:00"),
    UntilType: _CLOCK | _LENGTHS | st.tuples(_DAYS, _CLOCK).map(lambda pair: f"{pair[0]} {pair[1]}") | _DAYS.map(str),
    RegexType: st.sampled_from(["timeout", "time out", "a|b", r"\d+", '"quoted"', "it's", "--x", "[<>]", "(?i)x"]),
    SnapshotType: st.from_regex(r"\A(rds:)?[a-z](-?[a-z0-9]){0,20}\Z").filter(str.isascii),
    TextType: _WORDS,
}


def _value(parameter: Parameter) -> st.SearchStrategy[str]:
    kind = parameter.type
    if isinstance(kind, NumberType):
        return _numbers(kind)
    if isinstance(kind, TextType):
        return _WORDS.filter(lambda words: len(words) <= kind.longest)
    if isinstance(kind, ChoiceType):
        return st.sampled_from(kind.choices)
    assert kind is not None, "a flag has no value"
    return _VALUES.get(type(kind), st.just(kind.example))  # a type that one command has for itself


@st.composite
def _typed(draw: st.DrawFn) -> tuple[CommandSpec, list[str]]:
    """A command with some of its arguments, as a terminal's shell would hand it over."""
    spec = draw(st.sampled_from(list(REGISTRY)))
    options: list[str] = []
    positional: list[str] = []
    for parameter in spec.parameters:
        if not (parameter.required or parameter.asked or draw(st.booleans())):
            continue
        if parameter.type is None:
            options.append(parameter.flag)
        elif parameter.repeated:
            positional += draw(st.lists(_value(parameter), unique=True, max_size=2))
        elif parameter.positional:
            positional.append(draw(_value(parameter)))
        else:
            options.append(f"{parameter.flag}={draw(_value(parameter))}")
    return spec, [spec.name, *draw(st.permutations(options)), "--", *positional]


@settings(max_examples=300, deadline=None)
@given(_typed())
def test_a_request_survives_being_stored_as_json(typed: tuple[CommandSpec, list[str]]) -> None:
    spec, tokens = typed
    request = parse(tokens, REGISTRY, KNOWN, default_environment="production")
    stored = json.loads(json.dumps(request.arguments()))
    assert REGISTRY.make(spec.name, stored) == request
    assert REGISTRY.make(spec.name, stored).arguments() == stored
    assert None not in stored.values()


@settings(max_examples=300, deadline=None)
@given(_typed())
def test_a_request_typed_again_is_the_same_request(typed: tuple[CommandSpec, list[str]]) -> None:
    spec, tokens = typed
    tokens = [token.replace('"', "'") for token in tokens]  # it has no sign to escape
    request = parse(tokens, REGISTRY, KNOWN, default_environment="production")
    again = parse(split(typed_again(request)), REGISTRY, KNOWN, default_environment=None)
    assert (again.spec, again) == (spec, request)


@settings(max_examples=200, deadline=None)
@given(_WORDS)
@example('x" --env production "')
@example("--env production")
@example('it\'s "quoted"')
def test_no_reason_can_pose_as_another_option_when_it_is_typed_again(reason: str) -> None:
    request = parse(
        ["deploy", "v2.0.0", "--env=staging", f"--reason={reason}"], REGISTRY, KNOWN, default_environment=None
    )
    again = parse(split(typed_again(request)), REGISTRY, KNOWN, default_environment=None)
    assert isinstance(again, Deploy)
    assert (again.version, again.env, again.dry_run, again.ticket) == ("v2.0.0", "staging", False, None)
    assert again.reason == " ".join(reason.split()).replace('"', "'")


# typos


def _one_letter_wrong(word: str) -> set[str]:
    letters = "aeiostrz"
    left_out = {word[:at] + word[at + 1 :] for at in range(len(word))}
    swapped = {word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(len(word) - 1)}
    other = {word[:at] + letter + word[at + 1 :] for at in range(len(word)) for letter in letters}
    doubled = {word[: at + 1] + word[at:] for at in range(len(word))}
    return (left_out | swapped | other | doubled) - {word}


@EVERY
def test_a_command_with_one_letter_wrong_is_named_and_never_run(spec: CommandSpec) -> None:
    for wrong in _one_letter_wrong(spec.name) - set(REGISTRY.names()):
        if " ".join(wrong.split()) == spec.name:
            continue  # a space more than there need be is no mistake
        error = refused(f"{wrong} {spec.examples[0]}")
        assert error.message.startswith(f"There is no `{wrong}`."), wrong
        if len(wrong) > 3:
            assert "Did you mean `" in error.message, wrong
            assert error.suggestion is not None
            assert error.form is not None
            meant = error.message.split("`")[3]
            assert _nearness(wrong, meant) >= _nearness(wrong, spec.name), (wrong, meant)


def _nearness(typed: str, name: str) -> float:
    return difflib.SequenceMatcher(None, name, typed).ratio()


@EVERY
def test_an_option_with_one_letter_wrong_is_named_and_never_taken(spec: CommandSpec) -> None:
    options = {p.flag: p for p in spec.parameters if not p.positional}
    for flag in options:
        for wrong in sorted(_one_letter_wrong(flag.removeprefix("--"))):
            if not wrong or f"--{wrong}" in options:
                continue
            error = refused(f"{spec.name} --{wrong} 5m")
            assert f"has no option `--{wrong}`" in error.message
            assert "Did you mean `--" in error.message or "There are: --" in error.message
            assert error.usage == spec.usage


@pytest.mark.parametrize("spec", [spec for spec in REGISTRY if spec.on_card], ids=lambda s: s.name)
def test_what_only_a_button_carries_can_not_be_typed(spec: CommandSpec) -> None:
    for typed in ("--word x", "--word=x", "--WORD x", "—word x", "&#45;-word x"):
        error = refused(f"{spec.name} 7KQ2 {typed}")
        assert "no option `--" in error.message
        assert "Did you mean `--word`" not in error.message
        assert "--word" not in error.message.partition("There are:")[2]


_TYPED = st.sampled_from(
    [
        "deploy v2.0.0 --env production",
        "rollback --env staging",
        "rollback backend --to v1.1.0",
        'deploy v2.0.0 --reason "fixes sync" --dry-run',
        "lock --until 18:00 --reason x",
        "cancel 7KQ2",
        "approve 7KQ2",
    ]
)


@settings(max_examples=500, deadline=None)
@given(_TYPED, st.data())
def test_a_near_miss_is_never_understood_as_something_that_was_not_typed(text: str, data: st.DataObject) -> None:
    """Whatever a slip makes of it: each value that would act stands in the text as it was typed, and the command too."""
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        sign = data.draw(st.characters(exclude_categories=["Cs"]) | st.sampled_from("-– —\"'=v.0"))  # noqa: RUF001
        text = data.draw(
            st.sampled_from(
                [text[:at] + text[at + 1 :], text[:at] + sign + text[at:], text[:at] + sign + text[at + 1 :]]
            )
        )
        assume(text)
    try:
        parsed = understood(text)
    except UsageError:
        return
    plain = made_plain(text)
    words = split(plain)
    assert words[0].lower() == parsed.spec.name
    for name, value in parsed.arguments().items():
        for each in value if isinstance(value, list) else [value]:
            if each is True:
                assert f"--{name.replace('_', '-')}" in [word.lower() for word in words]
            elif name == "env":
                assert each == "production" or "staging" in plain.lower()
            else:
                typed = {word.partition("=")[2] or word for word in words} | set(words)
                plainly = {" ".join(word.strip("#").split()) for word in typed}
                dated = {word.replace("T", " ") for word in plainly}
                assert {str(each), str(each).removeprefix("v")} & (plainly | dated)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.text(max_size=8)
        | st.sampled_from([*ODD, *REGISTRY.names(), "--env", "--reason", "--", "=", "v2.0.0", "7KQ2", "production"]),
        max_size=12,
    ),
    st.sampled_from(["", " "]),
    st.sampled_from([None, "production"]),
)
def test_whatever_is_typed_is_a_request_or_a_sentence(parts: list[str], between: str, where: str | None) -> None:
    text = between.join(parts)
    try:
        parsed = understood(text, where=where)
    except UsageError as error:
        message = error.message
        assert 0 < len(message) < 1500
        return
    json.dumps(parsed.arguments()).encode()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(max_size=20) | st.sampled_from(ODD), max_size=8), st.sampled_from(list(REGISTRY)))
def test_whatever_a_shell_hands_over_is_a_request_or_a_sentence(tokens: list[str], spec: CommandSpec) -> None:
    try:
        parsed = parse([spec.name, *tokens], REGISTRY, KNOWN, default_environment="staging")
    except UsageError:
        return
    asks_for_help = {"-h", "--help"} & set(tokens)
    assert parsed.spec.name in {spec.name, "help" if asks_for_help else spec.name}
    json.dumps(parsed.arguments(), ensure_ascii=False).encode()
