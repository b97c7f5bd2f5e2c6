"""What the dispatcher and the runs ask of a command stands in its base class, and nowhere else."""

import ast
import dataclasses
import re
from pathlib import Path

import pytest

from commands.kit.card import Card
from commands.kit.command import Command, Decision, EnvironmentDecision, Observation, Operation, Query, RunDecision
from commands.kit.context import Context
from commands.kit.registry import Registry, load
from commands.kit.spec import CommandMeta, DecisionMeta, DefinitionError, OperationMeta, QueryMeta, RunDecisionMeta

ROOT = Path(__file__).parents[2]
BASES = (Command, Query, Observation, Operation, Decision, EnvironmentDecision, RunDecision)
METAS = {Query: QueryMeta, Operation: OperationMeta, EnvironmentDecision: DecisionMeta, RunDecision: RunDecisionMeta}


def hooks(base: type[Command]) -> set[str]:
    """What a command may override of this base: its public methods and properties that are not final."""
    fields = {field.name for field in dataclasses.fields(base)}
    found = set()
    for name, value in vars(base).items():
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if callable(function) and not name.startswith("_") and name not in fields:
            found |= set() if getattr(function, "__final__", False) else {name}
    return found


def test_every_hook_says_what_it_is_for() -> None:
    for base in BASES:
        for name in hooks(base):
            assert vars(base)[name].__doc__, f"{base.__name__}.{name}"


def rows() -> dict[str, list[set[str]]]:
    """The tables of CONTRIBUTING's "A new command": the class in the first cell → the names in each further cell."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    _, _, section = page.partition("\n## A new command\n")
    table = [
        line.split("|")[1:-1] for line in section.partition("\n## ")[0].splitlines() if line.strip().startswith("| `")
    ]
    return {_names(first).pop(): [set(_names(cell)) for cell in rest] for first, *rest in table}


def _names(cell: str) -> list[str]:
    return re.findall(r"`([A-Za-z_]+)`", cell)


def test_contributing_names_every_hook_of_every_base_class_and_no_other() -> None:
    named = rows()
    for base in BASES:
        must = {name for name in hooks(base) if getattr(vars(base)[name], "__isabstractmethod__", False)}
        assert named.get(base.__name__, [set(), set()]) == [must, hooks(base) - must], base.__name__


def test_contributing_names_every_field_of_a_meta_and_no_other() -> None:
    named = rows()
    for meta in (CommandMeta, *METAS.values()):
        own = {field.name for field in dataclasses.fields(meta)} - {
            field.name for base in meta.__mro__[1:-1] for field in dataclasses.fields(base)
        }
        changed = named[meta.__name__][0] - own
        assert named[meta.__name__][0] >= own, meta.__name__
        assert changed <= set(meta.__annotations__), meta.__name__


def test_every_command_is_of_one_of_the_kinds_and_has_its_kinds_meta() -> None:
    for spec in load():
        command = load().command(spec.name)
        (meta,) = [meta for base, meta in METAS.items() if issubclass(command, base)]
        assert type(command.meta) is meta, spec.name


def test_a_hook_that_no_base_class_names_is_refused() -> None:
    with pytest.raises(DefinitionError, match=r"Wrong\.goes_backwards: no base class has a hook of that name"):

        class Wrong(Query):
            """Something."""

            meta = QueryMeta(permission=None, examples=[""])
            goes_backwards = True

            async def answer(self, context: Context) -> Card:
                raise NotImplementedError


def test_a_command_without_what_its_kind_needs_is_refused() -> None:
    class Empty(Query):
        """Something."""

        meta = QueryMeta(permission=None, examples=[""])

    with pytest.raises(DefinitionError, match="Empty: Query needs answer"):
        Registry([Empty])


def test_nothing_is_asked_of_a_command_by_the_name_of_an_attribute() -> None:
    """`getattr(request, "goes_back", False)` hides a misspelt hook: no hook's name is written as a string."""
    names = {name for base in BASES for name in hooks(base)} | {
        field.name for each in METAS.values() for field in dataclasses.fields(each)
    }
    found = []
    for path in [*(ROOT / "bot").rglob("*.py"), *(ROOT / "commands").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("getattr", "hasattr")
            ):
                asked = node.args[1]
                if isinstance(asked, ast.Constant) and asked.value in names:
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno} {asked.value}")
    assert found == []


def test_between_the_dispatcher_the_runs_and_a_command_nothing_is_of_any_type() -> None:
    """A request, a command or a context that is `Any` would keep mypy from checking a hook."""
    found = []
    for path in (ROOT / "bot").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.is_relative_to(ROOT / "bot" / "dispatch") and re.search(r"\bAny\b", text):
            found.append(str(path.relative_to(ROOT)))
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for arg in (*node.args.args, *node.args.kwonlyargs):
                of_a_command = arg.arg in ("request", "command", "context", "asked", "spec")
                if of_a_command and arg.annotation is not None and ast.unparse(arg.annotation) == "Any":
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno} {arg.arg}")
    assert found == []
