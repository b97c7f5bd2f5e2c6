"""What may be shown of a slow command: no argument, and of a key only known words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.cache.slow_log import WORDS, pattern, shown
from runbooks.clients.redis.parsing import SlowEntry


@pytest.mark.parametrize(
    ("words", "command", "key"),
    [
        ((b"hgetall", b"patient:4711:1970-01-01:notes"), "HGETALL", "patient/*/notes"),
        ((b"SET", b"{hollis}:session:user", b"eyJhbGciOi"), "SET", "*/session/user"),
        ((b"EVALSHA", b"9f2c", b"1", b"queue:sync:4711", b"hollis"), "EVALSHA", "queue/sync/*"),
        ((b"KEYS", b"patient:hollis*"), "KEYS", ""),
        ((b"GET", b"hollis"), "GET", "*"),
        ((b"GET", b""), "GET", "*"),
        ((b"GET",), "GET", ""),
        ((b"hollis amberton", b"x"), "", ""),
        ((), "", ""),
    ],
)
def test_commands_and_known_words_are_shown(words: tuple[bytes, ...], command: str, key: str) -> None:
    found = shown(SlowEntry(None, 12_000, words))
    assert (found.command, found.key) == (command, key)


def test_words_of_the_configuration_may_be_shown_too() -> None:
    assert pattern(b"Ward7:hollis:patient", ("ward7",)) == "Ward7/*/patient"


@given(st.binary(max_size=90))
def test_nothing_but_known_words_is_ever_shown(key: bytes) -> None:
    assert set(pattern(key).lower().split("/")) <= WORDS | {"*"}
