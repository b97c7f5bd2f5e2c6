"""What is typed as the value of any command's argument: nothing, one character, very much, markup. Each is read or named as a mistake."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commands.kit.parsing import UsageError, parse
from commands.kit.registry import load
from commands.kit.types import Known

REGISTRY = load()
KNOWN = Known(
    environments=("production",), services=("backend",), commands=REGISTRY.names(), people=("requester",), terminal=()
)
TYPED = [(spec, p) for spec in REGISTRY for p in spec.parameters if p.type is not None]
EMPTY = ("", " ", "\t\n", "\u200b", "\u00a0\u2060")
VALUES = st.one_of(
    st.sampled_from(
        [
            *EMPTY,
            "x",
            "@",
            "#",
            "pod/",
            "`",
            "*",
            "<!channel>",
            "[a](http://b)",
            "<script>",
            "a" * 2900,
            "`" * 600,
            "\x00",
        ]
    ),
    st.text(max_size=40),
)


def _tokens(spec, parameter, value: str) -> list[str]:
    return [*spec.name.split(), *([value] if parameter.positional else [f"{parameter.flag}={value}"])]


@pytest.mark.parametrize("empty", EMPTY)
def test_an_empty_value_of_any_argument_is_named_as_a_mistake(empty: str):
    for spec, parameter in TYPED:
        if parameter.positional and next(p for p in spec.parameters if p.positional) is not parameter:
            continue
        with pytest.raises(UsageError) as caught:
            parse(_tokens(spec, parameter, empty), REGISTRY, KNOWN, default_environment="production")
        assert "is empty" in str(caught.value), (spec.name, parameter.name)
        assert "``" not in str(caught.value)


@settings(deadline=None, max_examples=150)
@given(value=VALUES)
def test_whatever_is_typed_is_read_or_refused_with_a_sentence(value: str):
    for spec, parameter in TYPED:
        said = _refusal(_tokens(spec, parameter, value))
        assert said is None or 0 < len(said) < 1500, (spec.name, parameter.name)
        assert said is None or "``" not in said or "`" in value, (spec.name, parameter.name)


@pytest.mark.parametrize("sign", ["\ue000", "\ud7fc", "\U00018cd6"])
def test_a_sign_that_this_python_does_not_know_is_not_empty(sign: str):
    assert _refusal(["lock", "--reason", sign]) is None


@pytest.mark.parametrize("tokens", [["audit", "--person", "@"], ["logs", "pod/"]])
def test_what_stands_before_a_name_is_no_name(tokens: list[str]):
    assert "name is missing" in str(_refusal(tokens))


def _refusal(tokens: list[str]) -> str | None:
    try:
        parse(tokens, REGISTRY, KNOWN, default_environment="production")
    except UsageError as error:
        return str(error)
    return None
