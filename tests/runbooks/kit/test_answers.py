"""Whatever a server says ends as a value or as a `RunbookError`: headers, JSON, numbers, times."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbooks.clients.image_registry.challenges import address_of, challenges
from runbooks.clients.kubernetes.errors import refusal
from runbooks.kit.answers import read_http_date, read_object, read_time, read_wait
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.reasons import ReasonCode

PIECES = st.sampled_from(
    [
        "Basic",
        "Bearer",
        "realm",
        "=",
        '"',
        "\\",
        ",",
        " ",
        "http://[",
        "é",
        "²",
        "٣",
        "\ud800",
        "[",
        "{",
        "1e999",
        "NaN",
        ":",
        "a",
    ]
)
HOSTILE = st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=60).map("".join))


def unreadable() -> RunbookError:
    return PermanentError("It can't be read.", code=ReasonCode.REGISTRY_UNREACHABLE)


@settings(max_examples=1000, deadline=None)
@given(st.lists(HOSTILE, max_size=4))
def test_whatever_a_registry_wants_to_be_shown_is_read(headers: list[str]):
    for each in challenges(headers):
        assert each.scheme == each.scheme.lower()
        address_of(each.fields.get("realm", ""), plain_http=True)


@settings(max_examples=1000, deadline=None)
@given(HOSTILE)
def test_whatever_is_asked_to_be_waited_for_is_a_bounded_number(header: str):
    asked = read_wait(header)
    assert asked is None or 0 <= asked <= 300
    read_http_date(header)
    read_time(header)


@settings(max_examples=1000, deadline=None)
@given(st.one_of(st.binary(max_size=300), HOSTILE.map(lambda text: text.encode(errors="surrogatepass"))))
def test_whatever_is_answered_is_an_object_that_can_be_kept_or_a_runaudit_log_error(body: bytes):
    try:
        found = read_object(body, unreadable)
    except RunbookError:
        pass
    else:
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    assert isinstance(refusal(503, body, "do it", "²"), RunbookError)


@pytest.mark.parametrize(
    "body", [b"[" * 200_000, b'{"a":' * 200_000, b'{"a": 1e999}', b'{"a": NaN}', b"1" * 9000, b"[]"]
)
def test_what_is_no_object_with_an_end_is_a_runaudit_log_error(body: bytes):
    with pytest.raises(PermanentError):
        read_object(body, unreadable)


@pytest.mark.parametrize(
    "text", ["9999-12-31T23:59:59Z", "9998-12-31T23:59:59-00:01", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00+00:01"]
)
def test_a_year_at_the_ends_of_the_calendar_is_no_time(text: str):
    assert read_time(text) is None


def test_half_a_character_is_replaced_and_a_whole_one_stays():
    assert read_object(rb'{"a": "\ud800", "b": "\ud83d\ude00"}', unreadable) == {"a": "?", "b": "😀"}
