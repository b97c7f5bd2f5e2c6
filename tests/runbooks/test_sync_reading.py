"""What the sync scripts print, as values; and reasons without anything that could be about a person."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.sync import reading

STATUS = {"pending": 12, "failed": 3, "oldestPendingSeconds": 41, "websocketClients": 87}
ITEM = {"id": "n-71", "reason": "conflict", "device": "ward-3", "ageSeconds": 5400}


@pytest.mark.parametrize(
    "said",
    [
        json.dumps(STATUS),
        json.dumps(STATUS, indent=2) + "\n",
        "\n> backend@1.0.0 sync:status\n> node scripts/sync-status.js\n\n" + json.dumps(STATUS, indent=2),
        "[2026-11-26] connected\n" + json.dumps(STATUS),
    ],
)
def test_json_is_found_below_npms_own_lines(said: str):
    status = reading.status_of(reading.parsed(said.encode()), "pod")
    assert status is not None
    assert (status.pending, status.failed, status.oldest_seconds, status.connected) == (12, 3, 41, 87)
    assert status.drains_in is None


@pytest.mark.parametrize(
    "said",
    [
        json.dumps(STATUS) + "\nDone in 0.31s.\n",
        "\ufeff" + json.dumps(STATUS),
        "\x1b[32m" + json.dumps(STATUS) + "\x1b[0m\n",
        "".join(f"INFO line {number}\n" for number in range(20)) + json.dumps(STATUS),
        "[1/4] resolving\n[2/4] linking\n" + json.dumps(STATUS),
    ],
)
def test_lines_around_the_json_do_not_hide_it(said: str):
    status = reading.status_of(reading.parsed(said.encode()), "pod")
    assert status is not None
    assert (status.pending, status.failed) == (12, 3)


def test_a_number_that_a_database_driver_gives_as_a_text_is_a_number():
    told = {"pending": "84", "failed": "0", "oldestPendingSeconds": "4000.500000", "ratePerMinute": "0"}
    status = reading.status_of(told, "pod")
    assert status is not None
    assert (status.pending, status.failed, status.oldest_seconds, status.per_minute) == (84, 0, 4000.5, 0)


@pytest.mark.parametrize("field", ["pending", "failed", "oldestPendingSeconds", "ratePerMinute"])
def test_a_number_that_cannot_be_read_makes_the_whole_answer_not_understood(field: str):
    assert reading.status_of({"pending": 0, "failed": 0, field: "many"}, "pod") is None


def test_of_two_json_lines_none_is_taken_for_the_answer():
    log = '{"level":30,"failed":0,"pending":0}'
    said = f"{json.dumps({'failed': 3, 'pending': 84})}\n{log}\n"
    assert reading.parsed(said.encode()) is None
    assert reading.items_of(reading.parsed(f'[{{"id": 1}}]\n{log}'.encode())) is None


def test_an_id_that_is_a_number_goes_back_as_one():
    items = reading.items_of([{"id": 17}, {"id": "18"}])
    assert items is not None
    assert [item.printed for item in items] == [17, "18"]


@pytest.mark.parametrize(
    "said", ["", "queue: 12 waiting", "12", '"text"', "{", '{"pending": 1', "[" * 100_000, "[\n" * 10_000]
)
def test_what_is_no_json_stays_text(said: str):
    assert reading.status_of(reading.parsed(said.encode()), "pod") is None


def test_names_of_fields_are_taken_in_several_spellings():
    told = {"backlog": 84, "rate_per_minute": 42, "oldest_pending_seconds": 5, "device_count": 4}
    status = reading.status_of(told, "pod")
    assert status is not None
    assert (status.pending, status.devices, status.per_minute, status.told) == (84, 4, 42, True)
    assert status.drains_in == 120


@pytest.mark.parametrize("value", [True, -1, "twelve", "-1", "1e3", "", None, [12], 1e300, float("inf")])
def test_a_number_that_is_none_is_not_made_one(value: object):
    assert reading.status_of({"pending": value}, "pod") is None


@pytest.mark.parametrize("shape", [[ITEM], {"items": [ITEM]}, {"failed": [ITEM], "total": 1}])
def test_items_are_found_bare_or_wrapped(shape: object):
    items = reading.items_of(shape)
    assert items is not None
    assert [(item.id, item.device, item.age_seconds, item.has_content) for item in items] == [
        ("n-71", "ward-3", 5400, False)
    ]


@pytest.mark.parametrize(
    "shape", [None, "n-71", [{"reason": "x"}], ["n-71"], [ITEM, ITEM], [{"id": ""}], [{"id": True}, {}], 7]
)
def test_a_list_in_which_items_cant_be_told_apart_is_none(shape: object):
    assert reading.items_of(shape) is None


def test_content_is_noticed_and_never_in_a_repr():
    items = reading.items_of([{**ITEM, "resource": {"name": "Ilse Vandermolen"}}])
    assert items is not None
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
    assert items is not None
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
    assert items is not None
    assert items[0].age_seconds is None or items[0].age_seconds >= 0
