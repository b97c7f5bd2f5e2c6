"""Rules of the code that no linter knows, over the syntax tree; and that everything closed or settable is documented."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from bot.audit import EventName
from bot.config import FROM_ENVIRONMENT, Settings
from bot.doctor.access import NEEDED
from bot.policy.permissions import PERMISSIONS
from bot.reference.generate import generate, pages
from bot.reference.settings import sections
from commands.kit import registry
from commands.kit.command import Query
from runbooks.kit.reasons import ReasonCode

ROOT = Path(__file__).parents[2]
PACKAGES = ("bot", "commands", "runbooks", "sandbox")
LONGEST = 500
"""Lines of a module; 250 is the aim."""
NAMELESS = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "core", "misc"}
SAYS = {"bot/cli.py"}
"""Where `print` speaks to a person."""
ONLY_IN = {
    "boto3": ("runbooks/clients/", "sandbox/"),
    "botocore": ("runbooks/clients/", "sandbox/"),
    "psycopg": ("runbooks/clients/", "sandbox/"),
    "psycopg2": ("runbooks/clients/", "sandbox/"),
    "kubernetes": ("runbooks/clients/", "sandbox/"),
    "slack_sdk": ("bot/surfaces/slack/",),
    "slack_bolt": ("bot/surfaces/slack/",),
    "dbos": ("bot/runs/",),
    "sqlite3": ("bot/audit/",),
    "sqlite_utils": ("bot/audit/",),
    "pickle": (),
    "shelve": (),
    "marshal": (),
}
"""Libraries with one place of their own; import-linter sees only those that are imported somewhere."""
CLOCKS = {
    "perf_counter",
    "perf_counter_ns",
    "process_time",
    "process_time_ns",
    "thread_time",
    "getrusage",
    "monotonic_ns",
}
SHELLS = {
    "os.system",
    "os.popen",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
    "asyncio.create_subprocess_shell",
}


def modules(*tops: str) -> list[Path]:
    return sorted(path for top in tops for path in (ROOT / top).rglob("*.py") if "__pycache__" not in path.parts)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def dotted(node: ast.expr) -> str:
    """`a.b.c` of an expression; empty where it is none."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            yield dotted(node.func), node


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


PRODUCT = modules(*PACKAGES)
TESTS = modules("tests")
EVERYTHING = [*PRODUCT, *TESTS, *modules("benchmarks")]


def in_assert(path: Path, wanted: ast.Call) -> bool:
    return any(wanted in ast.walk(node) for node in ast.walk(tree_of(path)) if isinstance(node, ast.Assert))


def test_there_is_something_to_look_at() -> None:
    assert len(PRODUCT) > 100
    assert len(TESTS) > 20


def test_no_module_is_longer_than_a_person_reads() -> None:
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in EVERYTHING}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


def test_every_module_has_a_name_that_says_something() -> None:
    assert [name_of(path) for path in EVERYTHING if path.stem in NAMELESS or path.parent.name in NAMELESS] == []


def test_every_module_opens_with_what_it_is_for() -> None:
    silent = [name_of(path) for path in PRODUCT if not ast.get_docstring(tree_of(path)) and path.read_text().strip()]
    assert silent == []


def test_the_server_is_faked_not_the_client() -> None:
    found = []
    for path in EVERYTHING:
        found += [
            f"{name_of(path)}:{call.lineno} {name}"
            for name, call in calls(path)
            if name.split(".")[-2:] in (["monkeypatch", "setattr"], ["mp", "setattr"], ["patch", "object"])
        ]
        found += [f"{name_of(path)} {name}" for name in imports(path) if name.split(".")[0] in ("mock", "pytest_mock")]
        found += [f"{name_of(path)} {name}" for name in imports(path) if name.startswith("unittest.mock")]
    assert found == []


def test_no_shell_is_ever_started() -> None:
    found = []
    for path in EVERYTHING:
        for name, call in calls(path):
            shell = any(
                word.arg == "shell" and not (isinstance(word.value, ast.Constant) and word.value.value is False)
                for word in call.keywords
            )
            if name in SHELLS or name.endswith("create_subprocess_shell") or shell:
                found.append(f"{name_of(path)}:{call.lineno} {name}")
    assert found == []


def test_nothing_sleeps_in_a_thread() -> None:
    found = [
        f"{name_of(path)}:{call.lineno}"
        for path in EVERYTHING
        if not name_of(path).startswith("tests/support/")
        for name, call in calls(path)
        if name == "time.sleep"
    ]
    assert found == []


def test_no_test_asserts_on_a_clock() -> None:
    """What costs too much is counted (`tests/support/steps.py`), or is a benchmark: a busy machine upsets every clock."""
    found = [
        f"{name_of(path)} {name}"
        for path in modules("tests")
        for name, call in calls(path)
        if name.rsplit(".", 1)[-1] in CLOCKS
        or (name.rsplit(".", 1)[-1] in {"time", "monotonic"} and in_assert(path, call))
    ]
    assert found == ["tests/runbooks/clients/test_cluster.py loop.time"]


def test_only_the_terminal_prints() -> None:
    found = [
        f"{name_of(path)}:{call.lineno}"
        for path in PRODUCT
        if name_of(path) not in SAYS and not name_of(path).startswith("bot/surfaces/terminal/")
        for name, call in calls(path)
        if name == "print"
    ]
    assert found == []


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_imported_in_its_own_package_only(library: str) -> None:
    found = [
        name_of(path)
        for path in PRODUCT
        if not name_of(path).startswith(ONLY_IN[library] or ("nowhere",))
        and any(name.split(".")[0] == library for name in imports(path))
    ]
    assert found == []


UNREDACTED = {
    "KnownSecrets": ("runbooks/redaction/redactor.py", "runbooks/logs/unredacted.py"),
    "Unredacted": (
        "runbooks/redaction/unredacted.py", "runbooks/logs/unredacted.py", "commands/kit/disclosure.py", "commands/observe/logs.py", "bot/boundary/inbound.py",
    ),
    "Disclosed": ("commands/kit/disclosure.py", "commands/observe/logs.py"),
    "TerminalOnly": ("bot/boundary/inbound.py", "bot/dispatch/disclosure.py", "bot/surfaces/terminal/server.py"),
    "terminal_only": ("bot/boundary/inbound.py", "bot/dispatch/query.py", "bot/surfaces/terminal/server.py"),
}  # fmt: skip
"""What `logs --raw` is made of, and the modules that it passes through. None of Slack, of runs, or of anything that is kept."""


def _said(path: Path) -> Iterator[str]:
    """Every name that the module's code has: of classes, variables, attributes, arguments and imports."""
    for node in ast.walk(tree_of(path)):
        for field in ("id", "attr", "arg", "name", "asname"):
            if isinstance(said := getattr(node, field, None), str):
                yield said


@pytest.mark.parametrize("name", UNREDACTED)
def test_what_is_unredacted_has_one_way_out(name: str) -> None:
    found = {name_of(path) for path in PRODUCT if name in set(_said(path))}
    assert found == set(UNREDACTED[name])


def test_only_what_is_written_in_the_audit_log_first_is_made_for_a_terminal() -> None:
    made = [name_of(path) for path in PRODUCT for name, _ in calls(path) if name.split(".")[-1] == "TerminalOnly"]
    assert made == ["bot/dispatch/disclosure.py"]
    commands = [registry.load().command(spec.name) for spec in registry.load()]
    asking = [each.spec.name for each in commands if issubclass(each, Query) and each.discloses is not Query.discloses]
    assert asking == ["logs"]


# documentation


def page(name: str) -> str:
    return (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")


def test_what_is_generated_is_what_the_definitions_say() -> None:
    assert generate(ROOT, check=True) == [], "run `make generate`"


def test_nothing_else_stands_among_the_generated_pages() -> None:
    generated = {path.name for path in pages(registry.load()) if path.parent.name == "reference"}
    assert {path.name for path in (ROOT / "docs" / "reference").iterdir()} == generated


def test_every_command_and_each_of_its_options_is_documented() -> None:
    text = page("commands.md")
    for spec in registry.load():
        _, _, section = text.partition(f"\n## {spec.name}\n")
        section = section.partition("\n## ")[0]
        assert spec.summary in section
        for parameter in spec.parameters:
            assert parameter.positional or f"`{parameter.flag}" in section, (
                spec.name,
                parameter.flag,
            )


def test_every_reason_code_is_documented() -> None:
    text = page("reason-codes.md")
    for code in ReasonCode:
        assert f"| `{code}` | {code.meaning.replace('|', chr(92) + '|')} |" in text


def test_every_audit_event_is_documented() -> None:
    text = page("audit-events.md")
    assert [name for name in EventName if f"| `{name}` | " not in text] == []


def test_every_permission_is_documented() -> None:
    text = page("permissions.md")
    assert [name for name in PERMISSIONS if f"| `{name}` | " not in text] == []
    assert [each.shown for each in NEEDED if f"`{each.shown}`" not in text] == []


def test_every_permission_that_a_command_asks_for_can_be_given() -> None:
    asked = {spec.permission for spec in registry.load() if spec.permission}
    asked |= {option.permission for spec in registry.load() for option in spec.parameters if option.permission}
    assert asked <= set(PERMISSIONS)


def test_every_setting_is_documented_and_says_what_it_means() -> None:
    text = page("configuration.md")
    for name, model in sections(Settings, ""):
        heading = f"[[{name.removesuffix('[]')}]]" if name.endswith("[]") else f"[{name}]"
        _, found, section = text.partition(f"\n## `{heading}`\n")
        assert found, name
        rows = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("| `")]
        listed = {row.split("`")[1]: row.removesuffix("|").split(" | ")[-1].strip(" |") for row in rows}
        nested = {
            key.removeprefix(name + ".").split(".")[0].removesuffix("[]")
            for key, _ in sections(Settings, "")
            if key.startswith(name + ".")
        }
        for key, field in model.model_fields.items():
            if not field.exclude and key not in nested | {"approval"}:
                assert listed.get(key), f"{name}.{key}: say below it what it means"


def test_every_variable_is_documented() -> None:
    text = page("configuration.md")
    assert [name for name in FROM_ENVIRONMENT if f"`{name}`" not in text] == []
