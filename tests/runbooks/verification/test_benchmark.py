"""What a benchmark prints, value by value: the limits are the configuration's, and what is not clear is never passed."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from runbooks.jobs.running import JobEnd
from runbooks.verification.benchmark import LIMITS, Benchmark, judged
from runbooks.verification.findings import Verdict, VerificationFinding

P, F, U = Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE
GOOD = {"API p95": (143, "ms"), "database p95": (41.2, "ms"), "page load": (1.9, "s")}


def printed(**other: Any) -> str:
    return json.dumps(
        {"metrics": [{"name": name, "value": value, "unit": unit} for name, (value, unit) in (GOOD | other).items()]}
    )


def found(out: str, code: int = 0, *, whole: bool = True) -> tuple[VerificationFinding, ...]:
    end = JobEnd(name="omnicare-benchmark-7kq2", exit_code=code, log=(), output=out.encode(), whole=whole)
    return judged(end, LIMITS)


@pytest.mark.parametrize(
    ("out", "expected"),
    [
        (printed(), [P, P, P]),
        ("> backend@2.0.0 benchmark:production\n\n" + printed(), [P, P, P]),
        (printed(**{"API p95": (200, "ms")}), [F, P, P]),
        (printed(**{"API p95": (0.143, "s")}), [U, P, P]),
        (printed(**{"page load": (1900, "")}), [P, P, U]),
        ('[{"name": "api P95", "value": 12, "unit": "ms"}]', [P, U, U]),
        (printed(requests=(412, "/s")), [P, P, P, P]),
    ],
)
def test_each_value_is_held_to_its_limit_in_its_own_unit(out: str, expected: list[Verdict]) -> None:
    assert [each.verdict for each in found(out)] == expected


@pytest.mark.parametrize(
    "out",
    [
        "",
        "p95 143 ms",
        "[]",
        '{"metrics": {}}',
        '[{"name": "API p95", "value": "143", "unit": "ms"}]',
        '[{"name": "API p95", "value": true, "unit": "ms"}]',
        '[{"name": "API p95", "value": -1, "unit": "ms"}]',
        '[{"name": "API p95", "value": NaN, "unit": "ms"}]',
        '[{"name": "API p95", "value": 1e999, "unit": "ms"}]',
        '[{"name": "API p95", "value": 143, "unit": 1}]',
        '[{"name": "", "value": 143, "unit": "ms"}]',
        printed(**{"api P95": (143, "ms")}),
        printed() + "\n" + printed(),
        printed()[:-9],
    ],
)
def test_an_unclear_output_is_not_understood_and_fails_where_the_script_failed(out: str) -> None:
    assert [(each.name, each.verdict) for each in found(out)] == [("benchmark", U)]
    assert [(each.name, each.verdict) for each in found(out, 1)] == [("benchmark", F)]


def test_an_output_that_was_cut_is_not_understood_and_a_script_that_failed_alone_failed() -> None:
    assert [each.verdict for each in found(printed(), whole=False)] == [U]
    assert "exited with status 3" in found(printed(), 3)[-1].detail


def test_a_values_name_is_shown_without_what_may_be_about_a_patient_and_no_limit_is_named_twice() -> None:
    assert "4410093" not in str(found(printed(**{"chart of MRN 4410093": (1, "s")})))
    with pytest.raises(ValidationError, match="two are called api p95"):
        Benchmark.model_validate({"limits": [{"name": "API p95", "limit": 1}, {"name": "api p95", "limit": 2}]})
