"""What a migration's SQL would lock or destroy, as squawk finds it: a linter for PostgreSQL, run as a program that reads standard input."""

import asyncio
import json
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from runbooks.kit.targets import Frozen

Effect = Literal["against writing", "against reading and writing", "drops data"]

_SECONDS = 5.0
_MOST_SQL = 512 * 1024
_MOST_OUTPUT = 4 << 20
_MOST_FINDINGS = 500
_EFFECTS: dict[str, Effect] = {
    "require-concurrent-index-creation": "against writing",
    "adding-foreign-key-constraint": "against writing",
    "constraint-missing-not-valid": "against writing",
    "changing-column-type": "against reading and writing",
    "adding-required-field": "against reading and writing",
    "adding-not-nullable-field": "against reading and writing",
    "adding-field-with-default": "against reading and writing",
    "adding-serial-primary-key-field": "against reading and writing",
    "disallowed-unique-constraint": "against reading and writing",
    "require-concurrent-index-deletion": "against reading and writing",
    "ban-drop-column": "drops data",
    "ban-drop-table": "drops data",
    "ban-drop-database": "drops data",
    "ban-truncate-cascade": "drops data",
}
_NAME = r'((?:"[^"]+"|[A-Za-z_]\w*)(?:\.(?:"[^"]+"|[A-Za-z_]\w*))?)'
_TABLE = re.compile(
    rf"\b(?:ALTER|DROP|TRUNCATE)\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?{_NAME}|\bINDEX\b[^;]*?\bON\s+(?:ONLY\s+)?{_NAME}",
    re.IGNORECASE,
)


class LintFinding(Frozen):
    """One statement that people should know of before it runs."""

    migration: str
    rule: str
    effect: Effect
    table: str
    """Without its schema; empty where it is not known."""


class LintUnavailable(Exception):
    """The SQL could not be looked at; the text says why."""


async def lint(migrations: Sequence[tuple[str, str]]) -> tuple[LintFinding, ...]:
    """Return what these migrations (name, SQL) lock or destroy. Raises `LintUnavailable`."""
    if sum(len(sql) for _, sql in migrations) > _MOST_SQL:
        raise LintUnavailable("it is too long")
    found: list[LintFinding] = []
    try:
        async with asyncio.timeout(_SECONDS):
            for name, sql in migrations:
                found += _findings(name, sql, await _squawk(sql))
    except TimeoutError:
        raise LintUnavailable(f"squawk did not finish within {_SECONDS:g} s") from None
    return tuple(dict.fromkeys(found))


async def _squawk(sql: str) -> bytes:
    beside = Path(sys.executable).with_name("squawk")
    program = str(beside) if beside.exists() else shutil.which("squawk")
    if program is None:
        raise LintUnavailable("squawk is not installed")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        program, "--reporter", "Json", stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, env={}, cwd="/"
    )
    try:
        out, _ = await process.communicate(sql.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return out[:_MOST_OUTPUT]


def _findings(name: str, sql: str, out: bytes) -> list[LintFinding]:
    try:
        told = json.loads(out)
    except ValueError:
        raise LintUnavailable("squawk's answer can't be read") from None
    if not isinstance(told, list):
        raise LintUnavailable("squawk's answer can't be read")
    found = []
    for each in told[:_MOST_FINDINGS]:
        if not isinstance(each, dict):
            continue
        rule, line, column = each.get("rule_name"), each.get("line"), each.get("column")
        if rule == "syntax-error":
            raise LintUnavailable(f"it is not SQL that squawk can read ({name})")
        if isinstance(rule, str) and rule in _EFFECTS and type(line) is int and type(column) is int:
            table = _table_at(sql, line, column)
            found.append(LintFinding(migration=name, rule=rule, effect=_EFFECTS[rule], table=table))
    return found


def _table_at(sql: str, line: int, column: int) -> str:
    """Return the table of the statement at that place, counted from 0."""
    at = sum(len(each) for each in sql.splitlines(keepends=True)[:line]) + column
    start = sql.rfind(";", 0, at) + 1
    statement = sql[start : sql.find(";", at) if ";" in sql[at:] else len(sql)]
    hit = _TABLE.search(statement)
    return (hit[1] or hit[2]).rpartition(".")[2].strip('"') if hit is not None else ""
