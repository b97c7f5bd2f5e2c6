"""When a CronJob is overdue: by its own schedule and zone, whichever way they are written; one that can't be read is unknown."""

from datetime import UTC, datetime

import pytest

from runbooks.clients.kubernetes.schedules import cron_job
from runbooks.troubleshooting.jobs import _overdue

NOW = datetime(2026, 3, 2, 3, 30, tzinfo=UTC)


def _when(schedule: str, zone: str = "", last: str = "2026-03-01T02:30:00Z") -> datetime | None:
    spec = {"schedule": schedule, "timeZone": zone}
    item = {"metadata": {"name": "nightly"}, "spec": spec, "status": {"lastScheduleTime": last}}
    return _overdue(cron_job(item), NOW)


@pytest.mark.parametrize(
    ("schedule", "zone", "since"),
    [
        ("30 2 * * *", "", "2026-03-02T02:30:00+00:00"),
        ("25 3 * * *", "", "2026-03-01T03:25:00+00:00"),
        ("30 3 * * *", "Europe/Berlin", "2026-03-02T02:30:00+00:00"),
        ("CRON_TZ=Europe/Berlin 30 3 * * *", "", "2026-03-02T02:30:00+00:00"),
        ("TZ=Asia/Kolkata 0 8 ? * MON", "", "2026-03-02T02:30:00+00:00"),
        ("@hourly", "", "2026-03-01T03:00:00+00:00"),
        ("@weekly", "", None),
        ("21 3 * * 1", "", None),
    ],
)
def test_a_cron_job_is_overdue_ten_minutes_after_it_should_have_started(schedule: str, zone: str, since: str | None):
    assert _when(schedule, zone) == (datetime.fromisoformat(since) if since else None)


@pytest.mark.parametrize(
    ("schedule", "zone"), [("@every 1h", ""), ("nonsense", ""), ("0 0 * * *", "Mars/Olympus"), ("0 0 30 2 *", "")]
)
def test_a_schedule_that_can_not_be_read_is_no_schedule_that_is_kept(schedule: str, zone: str):
    with pytest.raises(ValueError, match=r"CronJob nightly: its schedule `.*` can.t be read"):
        _when(schedule, zone)
    assert _when(schedule, zone, last="") is None, "nothing is known of when it began"


@pytest.mark.parametrize(
    ("schedule", "last"), [("0 0 29 2 *", "9996-03-01T00:00:00Z"), ("0 0 29 2 *", "9998-12-31T23:59:59Z")]
)
def test_a_time_at_the_end_of_the_calendar_hides_no_other_schedule(schedule: str, last: str):
    with pytest.raises(ValueError, match="CronJob nightly: its schedule"):
        _when(schedule, last=last)
    assert _when("59 23 31 12 *", last="9997-12-31T23:59:59Z") is None
