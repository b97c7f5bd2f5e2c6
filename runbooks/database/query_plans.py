"""A plan as people read it: what each step does, which one costs most, and what that means.

PostgreSQL's own numbers are sums: a step's cost has all steps below it in it, and the inner side of a nested loop counts once for each
outer row. Here each step gets its own part of the whole, so the parts add up to the plan.
"""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runbooks.kit.sql import masked
from runbooks.wording import counted, shortened

Json = dict[str, Any]

_CONDITIONS = {
    "Index Cond": "looks up",
    "Recheck Cond": "checks again",
    "Filter": "keeps",
    "Hash Cond": "matches",
    "Merge Cond": "matches",
    "Join Filter": "keeps",
    "One-Time Filter": "only if",
    "Sort Key": "by",
    "Presorted Key": "already sorted by",
    "Group Key": "for each",
}
_LONGEST = 160
_WIDTH, _LEAST = 36, 12
"""Characters of a line on a phone, and of what a step does in it, however deep it stands."""
_MOST = 1e100
"""Of cost or rows; no planner expects more, and sums of it are still numbers."""
_TELLING = 0.1
"""A part of the cost from which a step is worth its own number."""


@dataclass(frozen=True, slots=True)
class PlanNode:
    """One node of the plan."""

    depth: int
    what: str
    """`Seq Scan on audit_events`."""
    rows: int
    """As the planner expects; for each round, where it is the inner side of a loop."""
    own: float
    """Its own part of the plan's cost, 0 to 1."""
    conditions: tuple[str, ...]
    node: Json

    @property
    def reads_all_of(self) -> str:
        """The table that it reads from its beginning to its end; empty where it does not."""
        return str(self.node.get("Relation Name") or "") if self.node.get("Node Type") == "Seq Scan" else ""


@dataclass(frozen=True, slots=True)
class PlanReading:
    """The whole plan."""

    steps: tuple[PlanNode, ...]
    cost: float
    rows: int

    @property
    def dearest(self) -> PlanNode:
        """The step that costs most by itself."""
        return max(self.steps, key=lambda step: step.own)


def read(tree: Json) -> PlanReading:
    """PostgreSQL's JSON, in the order in which EXPLAIN prints it."""
    cost = _number(tree, "Total Cost")
    steps = tuple(_steps(tree, cost or 1.0, cost or 1.0, 0))
    return PlanReading(steps, cost, int(_number(tree, "Plan Rows")))


def _number(node: Json, key: str) -> float:
    """Return the cost or the rows; 0 where it is no number, since the tree comes from a function that the DBA may have changed."""
    value = node.get(key)
    return float(value) if isinstance(value, int | float) and 0 <= value <= _MOST else 0.0


def _steps(node: Json, budget: float, whole: float, depth: int) -> Iterator[PlanNode]:
    """`budget`: so much of the plan's cost is this node's and what is below it."""
    below = [child for child in node.get("Plans") or () if isinstance(child, dict)]
    wanted = [_number(child, "Total Cost") * _rounds(node, child, below) for child in below]
    # what a LIMIT cuts off, or a cache saves, was never going to be paid
    scale = min(1.0, budget / sum(wanted)) if sum(wanted) else 0.0
    own = max(0.0, budget - sum(wanted) * scale)
    yield PlanNode(depth, _what(node), int(_number(node, "Plan Rows")), own / whole, tuple(_conditions(node)), node)
    for child, cost in zip(below, wanted, strict=True):
        yield from _steps(child, cost * scale, whole, depth + 1)


def _rounds(node: Json, child: Json, below: list[Json]) -> float:
    relation = child.get("Parent Relationship")
    if node.get("Node Type") == "Nested Loop" and relation == "Inner":
        return max(1.0, _number(below[0], "Plan Rows"))
    return max(1.0, _number(node, "Plan Rows")) if relation == "SubPlan" else 1.0


def _what(node: Json) -> str:
    kind = str(node.get("Node Type") or "Step")
    if node.get("Parallel Aware"):
        kind = f"Parallel {kind}"
    if node.get("Join Type") not in (None, "Inner"):
        kind = f"{kind} ({str(node['Join Type']).lower()})"
    if node.get("Index Name"):
        kind = f"{kind} by {node['Index Name']}"
    if node.get("Operation"):
        kind = f"{node['Operation']}"
    if node.get("Relation Name"):
        kind = f"{kind} on {node['Relation Name']}"
    elif node.get("CTE Name") or node.get("Function Name"):
        kind = f"{kind} on {node.get('CTE Name') or node.get('Function Name')}"
    return kind


def _conditions(node: Json) -> Iterator[str]:
    for key, verb in _CONDITIONS.items():
        found = node.get(key)
        if found:
            said = ", ".join(map(str, found)) if isinstance(found, list) else str(found)
            yield f"{verb} {shortened(_bare(masked(said)), _LONGEST)}"


def _bare(text: str) -> str:
    """Without one pair of parentheses around all of it."""
    depth = 0
    for place, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if depth == 0 and place < len(text) - 1:
            return text
    return text[1:-1] if text.startswith("(") else text


def lines(reading: PlanReading) -> list[str]:
    """The tree, the dearest step marked, each with its part of the cost and the rows that are expected of it."""
    dearest = reading.dearest
    wide = max(
        len("rows"), *(len(f"{step.rows:,}") for step in reading.steps)
    )  # no wider than need be: a phone breaks lines
    shown = [f"   cost {'rows':>{wide}}  step"]
    for step in reading.steps:
        mark = "▶" if step is dearest else " "
        part = f"{step.own * 100:.0f} %" if step.own >= 0.005 else "·"  # noqa: PLR2004 - rounds to 1
        branch = "  " * (step.depth - 1) + "└ " if step.depth else ""
        shown += _hanging(f"{mark} {part:>5} {step.rows:>{wide},}  {branch}", step.what)
        under = f"{'':>{wide + 8}} {'  ' * step.depth}  "
        shown += [line for condition in step.conditions for line in _hanging(under, condition)]
    return shown


def _hanging(start: str, text: str) -> list[str]:
    """Return a text behind what its line begins with, in as many lines as a phone needs, each beginning at the same place."""
    width = max(_LEAST, _WIDTH - len(start))
    first, *more = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
    return [f"{start}{first}", *(f"{'':>{len(start)}}{each}" for each in more)]


def meaning(step: PlanNode) -> str:
    """What the dearest step does, in a sentence, and where to look."""
    node = step.node
    where = node.get("Relation Name") or "it"
    kind = str(node.get("Node Type") or "")
    part = f"{step.own * 100:.0f} % of the cost is"
    if node.get("Operation"):
        return f"{part} writing to {where}, with its indexes and constraints."
    match kind:
        case "Seq Scan" if node.get("Filter"):
            return (
                f"{part} reading all of {where} and filtering it. If only a few rows match, an index on the compared columns would "
                "avoid that."
            )
        case "Seq Scan":
            return f"{part} reading all of {where}. The statement needs every row or has no condition."
        case "Sort" | "Incremental Sort":
            return f"{part} sorting about {_rows(_below(node))}. An index in that order would avoid it."
        case "Nested Loop":
            return f"{part} repeating the inner side for each outer row, about {counted(_below(node), 'time')}."
        case "Hash" | "Hash Join" | "Merge Join":
            return f"{part} joining. That pays off for many rows; if you need few, filter both sides earlier."
        case "Aggregate" | "Group" | "WindowAgg" | "Unique":
            return f"{part} grouping about {_rows(_below(node))}."
        case "Index Scan" | "Index Only Scan" | "Bitmap Heap Scan" | "Bitmap Index Scan":
            return f"{part} fetching about {_rows(step.rows)} of {where} by an index: fine, unless the statement needs fewer."
        case _:
            return f"{part} the step {step.what}."


def _rows(count: int) -> str:
    return f"{counted(count, 'row')}"


def _below(node: Json) -> int:
    below = node.get("Plans") or [node]
    return int(below[0].get("Plan Rows") or 0)
