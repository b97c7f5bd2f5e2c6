"""A node's clock that is set back: each line is shown with its own time."""

from runbooks.kit.redaction import default_redactor
from runbooks.logs.newest import Newest
from runbooks.logs.reading import shown


def test_a_line_behind_a_step_of_the_clock_has_its_own_time_and_its_place():
    newest = Newest(10)
    stamps = [f"2026-01-01T{time}.000000000Z" for time in ("10:00:00", "11:00:00", "10:00:01", "10:00:02")]
    newest.offer([f"{stamp} line".encode() for stamp in stamps], 0)
    lines, _, _ = shown(newest.entries(), ["x"], default_redactor().scope())
    assert [line.at for line in lines] == stamps
