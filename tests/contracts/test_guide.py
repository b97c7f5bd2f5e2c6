"""Every command and every check of the production guide is done by something that exists, and proved by a test that exists.

The guide itself is compared where it is at hand: beside the clone, or in the folder that `OMNICARE_SHARED` names.
"""

import os
import re
from pathlib import Path

import pytest

from bot.reference.guide import Coverage, lines
from commands.kit import registry
from commands.kit.types import Invalid, Known
from runbooks.gates.settings import CodeSettings, GateSettings
from runbooks.kit import steps

ROOT = Path(__file__).parents[2]
GUIDE = Path(os.environ.get("OMNICARE_SHARED", ROOT.parent / "shared")) / "guide.md"
EVERY = list(lines())
NAMES = registry.load().names()


def _lines_of(guide: str) -> list[tuple[str, str]]:
    """(section, line): the check boxes, the commands, and what is listed to be verified."""
    found: list[tuple[str, str]] = []
    section, inside, begun = "", False, ""
    for raw in guide.splitlines():
        line = raw.strip()
        if raw.startswith("```"):
            inside = not inside
        elif not inside and (heading := re.match(r"#{2,4} (.+)", raw)):
            section = heading[1]
        elif line.startswith("- [ ] "):
            found.append((section, line.removeprefix("- [ ] ")))
        elif section in ("Monitoring Verification", "Key Metrics to Monitor") and line.startswith("- "):
            found.append((section, line.removeprefix("- ")))
        elif inside and (listed := re.match(r"# (\d\. .+|- .+<.+)", line)):
            found.append((section, listed[1]))
        elif inside and line and not line.startswith("#"):
            whole = line.removesuffix("\\").strip()
            begun = f"{begun} {whole}".strip()
            if whole == line:
                found.append((section, begun))
                begun = ""
    return found


@pytest.mark.skipif(not GUIDE.exists(), reason="the production guide is not beside the clone")
def test_every_line_of_the_guide_has_an_entry_in_its_order() -> None:
    assert list(dict.fromkeys(_lines_of(GUIDE.read_text(encoding="utf-8")))) == [
        (section, line) for section, line, _ in EVERY
    ]


@pytest.mark.parametrize("coverage", dict.fromkeys(coverage for _, _, coverage in EVERY), ids=lambda each: each.what)
def test_what_covers_a_line_exists_and_so_does_the_test_that_proves_it(coverage: Coverage) -> None:
    match coverage.how:
        case "command":
            assert coverage.what in NAMES
        case "step":
            assert coverage.what in steps.kinds()
        case "gate":
            code = CodeSettings(checks=("any",), coverage="any")
            known = GateSettings(code=code, backups=("snapshot", "configuration-backup", "restore")).keys()
            assert coverage.what in (*known, "checks") or coverage.what.startswith(("check:", "signature:"))
    path, _, name = coverage.test.partition("::")
    assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), coverage.test


def test_there_is_no_command_that_runs_anything() -> None:
    assert not {"exec", "sh", "shell"} & set(NAMES)
    script = registry.load().get("run").parameter("script")
    assert script is not None
    assert script.type is not None
    with pytest.raises(Invalid):
        script.type.parse("/bin/sh", Known(scripts=("cache-warm",)))
