"""What smoke tests print, flow by flow: whatever is not clear is never passed."""

import json
from typing import Any

import pytest

from runbooks.jobs.running import JobEnd
from runbooks.verification.findings import Verdict
from runbooks.verification.smoke import FLOWS, judged

P, F, U = Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE
TAP = "TAP version 13\n1..4\nok 1 - User authentication\nok 2 - Patient data retrieval\n{third}\nok 4 - Offline sync functionality\n"


def flows(**other: Any) -> str:
    found = dict.fromkeys(FLOWS, "passed") | other
    return json.dumps({"flows": [{"name": name, "status": status} for name, status in found.items() if status]})


def verdicts(out: str, code: int = 0, *, whole: bool = True) -> dict[str, Verdict]:
    end = JobEnd(name="omnicare-smoke-7kq2", exit_code=code, log=(), output=out.encode(), whole=whole)
    return {each.name: each.verdict for each in judged(end, FLOWS)}


@pytest.mark.parametrize(
    ("out", "code", "expected"),
    [
        (flows(), 0, [P, P, P, P]),
        ("> backend@1.0.0 test:smoke\n\n" + flows(), 0, [P, P, P, P]),
        (flows(**{"Clinical note creation": "failed"}), 1, [P, P, F, P]),
        (flows(**{"Clinical note creation": "failed"}), 0, [P, P, F, P]),
        (flows(**{"Clinical note creation": "skipped"}), 0, [P, P, U, P]),
        (flows(**{"Clinical note creation": None}), 0, [P, P, U, P]),
        (TAP.format(third="ok 3 - Clinical note creation"), 0, [P, P, P, P]),
        (TAP.format(third="not ok 3 - Clinical note creation"), 1, [P, P, F, P]),
        (TAP.format(third="ok 3 - Clinical note creation # SKIP no account"), 0, [P, P, U, P]),
    ],
)
def test_each_flow_has_its_own_verdict(out: str, code: int, expected: list[Verdict]) -> None:
    assert list(verdicts(out, code).values()) == expected


@pytest.mark.parametrize(
    "out",
    [
        "",
        "all good",
        "[]",
        '{"flows": {}}',
        '[{"name": "User authentication", "status": "green"}]',
        '[{"name": "User authentication", "status": true}]',
        flows() + "\n" + flows(),
        flows()[:-9],
        json.dumps([{"name": "User authentication", "status": "passed"}] * 2),
        TAP.format(third="# the third is missing"),
        "1..1\nok 1 - User authentication\n1..1\n",
    ],
)
def test_an_unclear_output_is_not_understood_and_fails_where_the_script_says_that_it_failed(out: str) -> None:
    assert verdicts(out) == {"smoke tests": U}
    assert verdicts(out, 1) == {"smoke tests": F}


def test_an_output_that_was_cut_is_not_understood() -> None:
    assert verdicts(flows(), whole=False) == {"smoke tests": U}


def test_a_script_that_failed_without_a_failed_flow_failed() -> None:
    assert verdicts(flows(), 3)["smoke tests"] is F


def test_what_a_flow_is_called_is_shown_without_what_may_be_about_a_patient() -> None:
    name = "Note for MRN 4410093 is saved"
    found = verdicts(flows(**{name: "failed"}), 1)
    assert "4410093" not in str(found)
    assert list(found.values()) == [P, P, P, P, F]
