"""What the sync scripts print, as values; and reasons without anything that could be about a person."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbooks.kit.answers import NotUnderstood, read_printed
from runbooks.sync import reading

STATUS = {"pending": 12, "failed": 3, "oldestPendingSeconds": 41, "websocketClients": 87}
ITEM = {"id": "n-71", "reason": "conflict", "device": "ward-3", "ageSeconds": 5400}


def status_of(said: str) -> reading.SyncStatus:
    return reading.status_of(read_printed(said.encode(errors="surrogatepass")), "pod")


def refusal(said: str) -> str:
    with pytest.raises(NotUnderstood) as caught:
        status_of(said)
    return str(caught.value)


@pytest.mark.parametrize(
    "said",
    [
        json.dumps(STATUS),
        json.dumps(STATUS, indent=2) + "\n",
        "\n> backend@1.0.0 sync:status\n> node scripts/sync-status.js\n\n" + json.dumps(STATUS, indent=2),
        "[2026-11-26] connected\n" + json.dumps(STATUS),
        json.dumps(STATUS) + "\nDone in 0.31s.\n",
        "\ufeff" + json.dumps(STATUS),
        "\x1b[32m" + json.dumps(STATUS) + "\x1b[0m\n",
        "".join(f"INFO line {number}\n" for number in range(20)) + json.dumps(STATUS),
        "[1/4] resolving\n[2/4] linking\n" + json.dumps(STATUS),
    ],
)
def test_lines_around_the_json_do_not_hide_it(said: str):
    status = status_of(said)
    assert (status.pending, status.failed, status.oldest_seconds, status.connected) == (12, 3, 41, 87)
    assert status.drains_in is None


@pytest.mark.parametrize(
    "printed",
    [
        "{ pending: 4000, failed: 17 }",  # Node's console.log of an object
        "{'pending': 4000, 'failed': 17}",  # Python's print of a dict
        '{"pending": 4000, "failed": 17} (3 ms)',
        "[ { pending: 4000 } ]",
        "['n-71', 'n-72']",
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_an_answer_that_is_no_json_is_not_passed_over_for_a_line_of_a_logger(printed: str, first: bool):
    logged = '{"level":30,"failed":0,"pending":0,"msg":"flushed"}'
    refusal("\n".join((printed, logged) if first else (logged, printed)))


def test_a_number_that_a_database_driver_gives_as_a_text_is_a_number():
    told = {"pending": "84", "failed": "0", "oldestPendingSeconds": "4000.500000", "ratePerMinute": "0"}
    status = reading.status_of(told, "pod")
    assert (status.pending, status.failed, status.oldest_seconds, status.per_minute) == (84, 0, 4000.5, 0)


@pytest.mark.parametrize("field", ["pending", "failed", "oldestPendingSeconds", "ratePerMinute"])
def test_a_number_that_cannot_be_read_makes_the_whole_answer_not_understood(field: str):
    assert "in the JSON is not a count" in refusal(json.dumps({"pending": 0, "failed": 0, field: "many"}))


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"pending": 0, "backlog": 84}, "the JSON has different values for `pending` and `backlog`"),
        ({"pending": 3, "queued": None, "backlog": "84"}, "the JSON has different values for `pending` and `backlog`"),
        ({"pending": 3, "PENDING": 4}, "the JSON has different values for `pending`"),
        (
            {"pending": 3, "oldestSeconds": 9000, "oldest_pending_seconds": 1},
            "the JSON has different values for `oldestpendingseconds` and `oldestseconds`",
        ),
        (
            {"pending": 3, "perMinute": 0, "ratePerMinute": 5},
            "the JSON has different values for `perminute` and `rateperminute`",
        ),
        ({"pending": 0.5}, "`pending` in the JSON is not a whole number"),
        ({"size": 30}, "the JSON has neither `pending` nor `failed`"),
        ({"level": 30, "failed": 0, "pending": 0}, "the JSON is a log line"),
        ({"@timestamp": "2026-01-05T10:00:00Z", "failed": 0, "pending": 0}, "the JSON is a log line"),
        ({"pending": 0, "failed": 0, "error": "could not connect to redis"}, "the JSON reports an error"),
        ({"pending": 0, "failed": 0, "ok": False}, "the JSON says that the script failed"),
        ({"pending": 0, "failed": 0, "truncated": True}, "the JSON says that it is incomplete"),
        ([1], "the JSON is not an object"),
    ],
)
def test_an_answer_that_is_not_one_says_what_it_is(told: object, said: str):
    assert refusal(json.dumps(told)) == said


def test_an_answer_behind_a_text_is_not_passed_over_for_a_line_of_a_logger():
    assert refusal('sync status: {"pending":4000}\n{"level":30,"failed":0,"pending":0}') == "the JSON is a log line"


def test_an_answer_that_says_that_it_is_whole_is_read():
    status = reading.status_of({"pending": 3, "error": None, "ok": True, "success": True, "has_more": False}, "pod")
    assert status.pending == 3


def test_two_names_for_one_number_that_agree_are_one():
    status = reading.status_of({"pending": 84, "backlog": "84", "queued": None}, "pod")
    assert status.pending == 84


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("", "nothing was printed"),
        (" \n\t\n", "nothing was printed"),
        ("queue: 12 waiting", "no JSON was printed"),
        ("12", "no JSON was printed"),
        ('"text"', "no JSON was printed"),
        ("{", "the JSON breaks off or has a mistake in it"),
        ('{"pending": 1', "the JSON breaks off or has a mistake in it"),
        ('{"total":\n{"pending": 0, "failed": 0}\n', "the JSON breaks off or has a mistake in it"),
        ('{"pending": 84, "pending": 0}', "an object in the JSON has one name twice"),
        ('{"pending": 1e999}', "a number in the JSON is too large"),
        ('{"pending": NaN}', "NaN is not JSON"),
        ('{"pending": 3}\n{"level": 30, "pending": 0}\n', "2 JSON documents were printed, not one"),
        ("[" * 100_000, "the JSON is nested too deeply"),
        ("[x]\n" * 300, "more than 200 lines begin like JSON"),
    ],
)
def test_an_output_that_is_not_one_document_says_what_was_found(said: str, found: str):
    assert refusal(said) == found


_NUMBERS = st.one_of(st.integers(), st.floats(), st.text(max_size=12), st.booleans(), st.none())


@settings(max_examples=1000, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["pending", "backlog", "queued", "Pending", "failed", "oldestSeconds", "x"]), _NUMBERS
    )
)
def test_no_name_of_the_backlog_is_passed_over(told: dict[str, object]):
    try:
        status = status_of(json.dumps(told))
    except NotUnderstood:
        return
    names = ("pending", "Pending", "backlog", "queued")
    said = {float(str(told[name])) for name in names if told.get(name) is not None}
    assert said == ({status.pending} if status.pending is not None else set())


def test_an_id_that_is_a_number_goes_back_as_one():
    items = reading.items_of([{"id": 17}, {"id": "18"}])
    assert [item.printed for item in items] == [17, "18"]


def test_names_of_fields_are_taken_in_several_spellings():
    told = {"backlog": 84, "rate_per_minute": 42, "oldest_pending_seconds": 5, "device_count": 4}
    status = reading.status_of(told, "pod")
    assert (status.pending, status.devices, status.per_minute, status.told) == (84, 4, 42, True)
    assert status.drains_in == 120


@pytest.mark.parametrize("value", [True, -1, "twelve", "-1", "1e3", "", None, [12], 1e300, float("inf")])
def test_a_number_that_is_none_is_not_made_one(value: object):
    with pytest.raises(NotUnderstood):
        reading.status_of({"pending": value}, "pod")


@pytest.mark.parametrize("shape", [[ITEM], {"items": [ITEM]}, {"failed": [ITEM], "total": 1}])
def test_items_are_found_bare_or_wrapped(shape: object):
    items = reading.items_of(shape)
    assert [(item.id, item.device, item.age_seconds, item.has_content) for item in items] == [
        ("n-71", "ward-3", 5400, False)
    ]


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (None, "the JSON is not a list of items"),
        ("n-71", "the JSON is not a list of items"),
        (7, "the JSON is not a list of items"),
        ({"items": [ITEM], "failed": []}, "the JSON has different values for `items` and `failed`"),
        ({"items": [ITEM], "total": 812}, "the JSON counts 812 items and lists 1"),
        ({"items": [], "count": "3"}, "the JSON counts 3 items and lists 0"),
        ({"items": [], "error": "timeout"}, "the JSON reports an error"),
        ({"items": [ITEM], "hasMore": True}, "the JSON says that it is incomplete"),
        ([{"reason": "x"}], "an item in the JSON has no id"),
        (["n-71"], "an item in the JSON is not an object"),
        ([ITEM, ITEM], "two items in the JSON have the same id"),
        ([{"id": ""}], "an item in the JSON has no id"),
        ([{"id": True}, {}], "an item in the JSON has no id"),
    ],
)
def test_a_list_that_is_not_certain_says_why(shape: object, said: str):
    with pytest.raises(NotUnderstood, match=re.escape(said)):
        reading.items_of(shape)


def test_content_is_noticed_and_never_in_a_repr():
    items = reading.items_of([{**ITEM, "resource": {"name": "Ilse Vandermolen"}}])
    assert items[0].has_content
    assert "Ilse" not in repr(items)
    assert "n-71" not in repr(items)


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("version_conflict", "version_conflict"),
        ("VersionConflict", "VersionConflict"),
        ("ECONNRESET", "ECONNRESET"),
        ("request timeout after 30000 ms", "request timeout after … ms"),
        ("Validation failed: dose missing for Ilse Vandermolen (MRN 4410093)", "Validation failed: dose missing for …"),
        ('duplicate key value violates unique constraint "obs_pk"', "duplicate key value violates unique constraint …"),
        ("Vandermolen", "…"),
        ("VANDERMOLEN^ILSE", "…"),
        ("born 1961-04-02", "born …"),
        ("", "no reason given"),
    ],
)
def test_reasons_keep_everyday_words_only(reason: str, shown: str):
    assert reading.shown_reason(reason) == shown


@given(st.text(max_size=300))
def test_a_reason_shows_no_digit_and_is_short(reason: str):
    shown = reading.shown_reason(reason)
    assert len(shown) <= 90
    assert not any(sign.isdigit() for sign in shown)


def test_groups_count_items_and_devices_the_most_frequent_first():
    items = reading.items_of(
        [
            {**ITEM, "id": 1, "reason": "a for Ann"},
            {**ITEM, "id": 2, "reason": "a for Bob", "device": "er-1", "ageSeconds": 9},
            {**ITEM, "id": 3, "reason": "b"},
        ]
    )
    groups = reading.grouped(items)
    assert [(group.reason, group.items, group.devices, group.oldest_seconds) for group in groups] == [
        ("a for …", 2, 2, 5400),
        ("b", 1, 1, 5400),
    ]


def test_the_digest_of_ids_does_not_depend_on_their_order():
    assert reading.digest_of(["a", "b"]) == reading.digest_of(["b", "a"])
    assert reading.digest_of(["a", "b"]) != reading.digest_of(["ab"])


@pytest.mark.parametrize(
    "when", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "0001-01-01", "9999-12-31", "yesterday", ""]
)
def test_a_time_that_no_clock_shows_is_no_age_or_an_old_one(when: str):
    items = reading.items_of([{"id": "a", "failedAt": when}])
    assert items[0].age_seconds is None or items[0].age_seconds >= 0
