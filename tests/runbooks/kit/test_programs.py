"""No program that the configuration names is a shell, whatever table it is in."""

import pytest
from pydantic import BaseModel, ValidationError

from runbooks.clients.kubernetes.exec import Program
from runbooks.database.pool import PoolScript
from runbooks.kit.programs import plain
from runbooks.migrations.settings import MigrationSettings, ProofSettings
from runbooks.scripts.settings import ConfiguredScript
from runbooks.sync.queue import SyncScripts
from runbooks.verification.benchmark import Benchmark
from runbooks.verification.settings import VerificationSettings
from runbooks.verification.smoke import SmokeTests

SHELLS = [("sh", "run.sh"), ("/bin/bash", "run.sh"), ("/usr/bin/env", "node"), ("busybox", "ash"), ("xargs", "rm")]
PLACES: list[tuple[type[BaseModel], str, dict[str, str]]] = [
    *((SyncScripts, each, {}) for each in ("status", "failed", "retry_failed", "clear_failed", "contents")),
    (PoolScript, "status", {}),
    (VerificationSettings, "db_test", {}),
    *((MigrationSettings, each, {}) for each in ("up", "down", "list")),
    *((ProofSettings, each, {"image": "postgres:15"}) for each in ("test", "smoke")),
    (SmokeTests, "words", {}),
    (Benchmark, "words", {}),
    (ConfiguredScript, "words", {}),
]


@pytest.mark.parametrize(("model", "field", "others"), PLACES, ids=lambda part: getattr(part, "__name__", str(part)))
def test_a_shell_is_refused_in_each_place_and_the_program_itself_is_not(
    model: type[BaseModel], field: str, others: dict[str, str]
) -> None:
    for words in SHELLS:
        with pytest.raises(ValidationError, match="a shell runs whatever it is told"):
            model.model_validate({**others, field: words})
    assert getattr(model.model_validate({**others, field: ("node", "dist/run.js")}), field) == ("node", "dist/run.js")


@pytest.mark.parametrize("words", SHELLS)
def test_nothing_that_is_run_in_a_pod_is_a_shell(words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="a shell"):
        Program(words)


def test_a_script_whose_name_begins_like_a_shell_is_none() -> None:
    assert plain(("bin/sh-check", "--all")) == ("bin/sh-check", "--all")


@pytest.mark.parametrize("model", [SmokeTests, Benchmark])
def test_the_environments_name_may_be_part_of_a_word(model: type[SmokeTests] | type[Benchmark]) -> None:
    words = ("npm", "run", "test:smoke", "--", "--env=$environment")
    assert model(words=words).program("production")[-1] == "--env=production"
    with pytest.raises(ValidationError, match="letters, digits"):
        model(words=("npm", "run", "$(x)"))
