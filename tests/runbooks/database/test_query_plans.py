"""Plans as people read them: parts that add up, loops that count, the dearest step named, no literal in a condition."""

from typing import Any

import pytest

from runbooks.database import query_plans


def node(kind: str, cost: float, rows: int, *below: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "Node Type": kind,
        "Total Cost": cost,
        "Plan Rows": rows,
        **({"Plans": list(below)} if below else {}),
        **more,
    }


def test_each_step_has_its_own_part_and_the_parts_add_up() -> None:
    tree = node(
        "Sort", 110.0, 10, node("Seq Scan", 100.0, 10, **{"Relation Name": "audit_events", "Filter": "(actor = $1)"})
    )
    reading = query_plans.read(tree)
    assert [round(step.own, 3) for step in reading.steps] == [0.091, 0.909]
    assert reading.dearest.what == "Seq Scan on audit_events"
    assert "filtering it" in query_plans.meaning(reading.dearest)


def test_the_inner_side_of_a_loop_counts_for_each_outer_row() -> None:
    outer = node("Seq Scan", 10.0, 50, **{"Relation Name": "encounters", "Parent Relationship": "Outer"})
    inner = node(
        "Index Scan",
        2.0,
        1,
        **{"Relation Name": "patients", "Index Name": "patients_pkey", "Parent Relationship": "Inner"},
    )
    reading = query_plans.read(node("Nested Loop", 111.0, 50, outer, inner))
    assert round(reading.steps[2].own, 2) == 0.9
    assert reading.dearest.what == "Index Scan by patients_pkey on patients"


def test_what_a_limit_cuts_off_was_never_paid() -> None:
    reading = query_plans.read(node("Limit", 5.0, 1, node("Seq Scan", 1000.0, 9000, **{"Relation Name": "t"})))
    assert abs(sum(step.own for step in reading.steps) - 1.0) < 1e-9
    assert reading.dearest.what == "Seq Scan on t"


def test_no_literal_of_a_condition_is_shown() -> None:
    tree = node(
        "Seq Scan",
        1.0,
        1,
        **{"Relation Name": "patients", "Filter": "((family_name = 'Quartermaine'::text) AND (mrn > 8812345))"},
    )
    shown = "\n".join(query_plans.lines(query_plans.read(tree)))
    assert "Quartermaine" not in shown
    assert "8812345" not in shown
    assert "keeps (family_name = '…'::text) and (mrn > ?)" in " ".join(shown.split())


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        (node("Seq Scan", 1.0, 1, **{"Relation Name": "t"}), "The statement needs every row"),
        (node("Sort", 9.0, 1, node("Result", 1.0, 7000)), "sorting about 7,000 rows"),
        (node("Aggregate", 9.0, 1, node("Result", 1.0, 1)), "grouping about 1 row."),
        (node("Nested Loop", 99.0, 1, node("Result", 1.0, 3), node("Result", 1.0, 1)), "about 3 times"),
        (node("Hash Join", 9.0, 1, node("Result", 1.0, 1)), "joining"),
        (
            node("ModifyTable", 9.0, 0, node("Result", 1.0, 1), **{"Operation": "Update", "Relation Name": "t"}),
            "writing to t",
        ),
        (node("Gather", 9.0, 1, node("Result", 1.0, 1)), "the step Gather"),
        (node("Result", 0.0, 1), "the step Result"),
    ],
)
def test_the_dearest_step_is_said_in_words(tree: dict[str, Any], said: str) -> None:
    assert said in query_plans.meaning(query_plans.read(tree).dearest)
    assert query_plans.lines(query_plans.read(tree))


def test_the_numbers_take_no_more_room_than_they_need() -> None:
    scan = {"Node Type": "Seq Scan", "Relation Name": "observations", "Filter": "(encounter_id = $1)", "Total Cost": 9}
    assert query_plans.lines(query_plans.read({**scan, "Plan Rows": 2})) == [
        "   cost rows  step",
        "▶ 100 %    2  Seq Scan on",
        "              observations",
        "               keeps encounter_id =",
        "               $1",
    ], "no line is longer than a phone is wide"
    many = query_plans.lines(query_plans.read({**scan, "Plan Rows": 1_200_000}))
    assert many[:2] == ["   cost      rows  step", "▶ 100 % 1,200,000  Seq Scan on"]


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -1, "many", None, [], {}, 10**400])
def test_a_number_that_is_none_is_taken_for_nothing(odd: object) -> None:
    below = {"Node Type": "Seq Scan", "Relation Name": "notes", "Total Cost": odd, "Plan Rows": odd}
    reading = query_plans.read(
        {"Node Type": "Nested Loop", "Total Cost": odd, "Plan Rows": odd, "Plans": [below, "odd", below]}
    )
    assert [step.rows for step in reading.steps] == [0, 0, 0]
    assert query_plans.lines(reading)
