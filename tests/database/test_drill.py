"""What a restore drill reads from a real PostgreSQL: rows and times, with a right to one column of each table and no more."""

from datetime import UTC, datetime, timedelta

import pytest

from runbooks.kit.errors import RunbookError
from runbooks.kit.reasons import ReasonCode
from tests.support.databases import Served


async def test_rows_are_counted_and_the_newest_is_found_with_a_right_to_that_column_alone(here: Served) -> None:
    encounters, events = await here.database().table_counts({"encounters": "started_at", "audit_events": "at"}, 60)
    assert (encounters.rows, events.rows) == (16000, 50000)
    assert encounters.newest is not None
    assert timedelta(0) < datetime.now(UTC) - encounters.newest < timedelta(hours=2)
    with pytest.raises(RunbookError) as caught:
        await here.database().table_counts({"patients": "birth_date"}, 60)
    assert caught.value.code is ReasonCode.DATABASE_RIGHTS


async def test_an_empty_table_has_no_newest_row(here: Served) -> None:
    here.sql("CREATE TABLE drilled (at date)")
    here.sql("GRANT SELECT (at) ON drilled TO omnicare_reader")
    try:
        (empty,) = await here.database().table_counts({"public.drilled": "at"}, 60)
        here.sql("INSERT INTO drilled VALUES ('2026-02-03')")
        (found,) = await here.database().table_counts({"public.drilled": "at"}, 60)
    finally:
        here.sql("DROP TABLE drilled")
    assert (empty.rows, empty.newest) == (0, None)
    assert (found.rows, found.newest) == (1, datetime(2026, 2, 3, tzinfo=UTC))
