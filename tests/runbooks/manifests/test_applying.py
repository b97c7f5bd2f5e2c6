"""The release's configuration in a cluster, the sandbox's and a real one: compared, applied, and never by force."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from runbooks.clients.github.access import GithubSettings, GithubToken
from runbooks.clients.github.client import GithubClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.errors import Conflict, OwnedByAnother
from runbooks.deployments.places import Place as Region
from runbooks.fleet.fleet import Fleet
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import PlainPulse, StepContext, Stop, Stopped, applied
from runbooks.manifests.planning import plan_config_apply
from runbooks.manifests.reading import WantedConfigMap
from runbooks.manifests.settings import ManifestSettings
from runbooks.manifests.steps import ApplyConfigMap, differences
from runbooks.redaction.redactor import default_redactor
from sandbox.outside.github import CONFIG, NAME, OWNER, Answer, Github, error
from tests.support.real import Place

SETTINGS = ManifestSettings(paths=(CONFIG,))


@pytest.fixture
async def github() -> AsyncIterator[Github]:
    server = Github()
    async with server.serve():
        yield server


def _client(github: Github) -> GithubClient:
    settings = GithubSettings(repository=f"{OWNER}/{NAME}", api_url=github.url)
    return GithubClient(settings, GithubToken(default_redactor()), default_redactor())


def _places(here: Place) -> tuple[Region, ...]:
    return (Region(here.environment, here.cluster),)


async def _planned(here: Place, github: Github, **data: str) -> tuple[ApplyConfigMap, ...]:
    lines = "".join(f"  {key}: {value!r}\n" for key, value in data.items())
    text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: backend-config}}\ndata:\n{lines}"
    github.versions["v2.0.0"].files[CONFIG] = text
    plan = await plan_config_apply(_client(github), here.environment, SETTINGS, "v2.0.0", places=_places(here))
    assert plan.empty == (not plan.steps)
    assert any("This is not recorded with the running release" in each for each in plan.notes) == bool(plan.steps)
    return tuple(step for step in plan.steps if isinstance(step, ApplyConfigMap))


async def _done(here: Place, step: ApplyConfigMap) -> None:
    await here.take("run")
    await applied(step, _context(here, PlainPulse("run")))


def _context(here: Place, pulse: PlainPulse) -> StepContext:
    services = {ClusterClient: here.cluster, Fleet: here.fleet}
    return StepContext(pulse=pulse, environment=here.environment, services=services)


async def _data(here: Place) -> dict[str, str]:
    return dict((await here.cluster.config_map(here.namespace, "backend-config")).data)


async def test_what_differs_is_planned_key_by_key_applied_once_and_then_nothing_is_left(
    here: Place, github: Github
) -> None:
    (step,) = await _planned(here, github, LOG_LEVEL="info")
    assert [(each.key, each.before, each.after) for each in step.differences] == [("LOG_LEVEL", None, "info")]
    await _done(here, step)
    await _done(here, step)  # a step that was killed runs again
    assert await _data(here) == {"LOG_LEVEL": "info"}
    assert await _planned(here, github, LOG_LEVEL="info") == ()
    (step,) = await _planned(here, github, LOG_LEVEL="warn", SYNC="on")
    assert [(each.key, each.before, each.after) for each in step.differences] == [
        ("LOG_LEVEL", "info", "warn"),
        ("SYNC", None, "on"),
    ]
    await _done(here, step)
    (step,) = await _planned(here, github, SYNC="on")
    assert [(each.key, each.before, each.after) for each in step.differences] == [("LOG_LEVEL", "warn", None)]


async def test_a_config_map_without_data_is_created_and_one_that_loses_its_keys_says_so_first(
    here: Place, github: Github
) -> None:
    (step,) = await _planned(here, github)
    ((name, now, then),) = step.shown().rows
    assert (name.text, now.text, then.text) == ("backend-config", "not there", "created without keys")
    await _done(here, step)
    assert await _data(here) == {}
    assert await _planned(here, github) == ()
    (step,) = await _planned(here, github, LOG_LEVEL="info", SYNC="on")
    await _done(here, step)
    await _planned(here, github)
    plan = await plan_config_apply(_client(github), here.environment, SETTINGS, "v2.0.0", places=_places(here))
    assert plan.warnings == (f"ConfigMap backend-config has no keys in {CONFIG}, so 2 keys will be removed.",)


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("", ()),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: backend}\n", ("Not applied, because the bot applies only ConfigMaps: Service backend.",)),
    ],
)  # fmt: skip
async def test_a_release_without_a_config_map_has_nothing_to_apply_and_says_why(
    here: Place, github: Github, text: str, notes: tuple[str, ...]
) -> None:
    github.versions["v2.0.0"].files[CONFIG] = text
    plan = await plan_config_apply(_client(github), here.environment, SETTINGS, "v2.0.0", places=_places(here))
    assert plan.empty
    assert plan.title == "The manifests of v2.0.0 contain no ConfigMap. Nothing to do."
    assert plan.notes == notes


@pytest.mark.parametrize("back", [False, True])
async def test_a_run_that_was_overtaken_or_asked_to_stop_applies_nothing_more(
    here: Place, github: Github, *, back: bool
) -> None:
    (first,) = await _planned(here, github, LOG_LEVEL="info")
    await _done(here, first)
    (step,) = await _planned(here, github, LOG_LEVEL="warn")
    step, pulse = step.model_copy(update={"back": back}), PlainPulse("run")
    pulse.ask_to_stop(Stop(kind="cancelled", by="Maya"))
    with pytest.raises(Stopped):
        await applied(step, _context(here, pulse))
    await here.take("rollback", over=True)
    with pytest.raises(PermanentError, match="no longer holds") as refused:
        await applied(step, _context(here, PlainPulse("run")))
    assert refused.value.code is ReasonCode.OVERTAKEN
    assert await _data(here) == {"LOG_LEVEL": "info"}


LONG = "a=1 " * 40


@pytest.mark.parametrize(
    ("before", "after", "now", "then"),
    [
        ("info", "warn", "info", "warn"),
        ("info", "", "info", "empty"),
        (f"{LONG}LEVEL=info {LONG}", f"{LONG}LEVEL=warn {LONG}", "LEVEL=info", "LEVEL=warn"),
        (f"{LONG}LEVEL=info", f"{LONG}LEVEL=warn", "LEVEL=info", "LEVEL=warn"),
        ("a: 1\nlevel: info\nb: 2\n", "a: 1\nlevel: warn\nb: 2\n", "line 2: level: info", "line 2: level: warn"),
        (f"a\n{LONG}LEVEL=info\nb\n", f"a\n{LONG}LEVEL=warn\nb\n", "line 2: … ", "LEVEL=warn"),
        ("a\nb\nc", "a\nx\ny\nc", "line 2: b", "lines 2 to 3: x"),
        ("a\nb", "a\nb\nc", "nothing after line 2", "line 3: c"),
        ("a\nb", "a\nc\nb", "nothing between lines 1 and 2", "line 2: c"),
        ("info", "info  ", "info (4 characters", "info   (6 characters"),
        ("a\nb", "a\nb\n", "(3 characters", "(4 characters"),
        ("postgres://u:Xk93jf02@db/a", "postgres://u:Pq71mz55@db/a", "@db/a", "(changed where it is hidden)"),
    ],
)
def test_now_and_next_are_shown_around_the_first_difference(before: str, after: str, now: str, then: str) -> None:
    changed = differences({"KEY": before}, {"KEY": after})
    wanted = WantedConfigMap(name="backend-config", data={"KEY": after}, source=CONFIG)
    step = ApplyConfigMap(namespace="prod", wanted=wanted, differences=changed, commit="c" * 40)
    ((_, old, new),) = step.shown().rows
    assert now in old.text
    assert then in new.text
    assert old.text != new.text
    assert len(old.text) < 120
    assert "Xk93jf02" not in changed[0].model_dump_json()


async def test_a_plan_changes_nothing(here: Place, github: Github) -> None:
    await _planned(here, github, LOG_LEVEL="info")
    assert "backend-config" not in [each.name for each in await here.cluster.config_maps(here.namespace)]


async def test_a_value_that_another_manager_owns_is_named_with_its_owner_and_left_alone(
    here: Place, github: Github
) -> None:
    await here.connection.call(
        "POST",
        f"/api/v1/namespaces/{here.namespace}/configmaps",
        doing="make a test's object",
        query={"fieldManager": "helm"},
        body={"metadata": {"name": "backend-config"}, "data": {"LOG_LEVEL": "debug"}},
    )
    with pytest.raises(OwnedByAnother) as refused:
        await _planned(here, github, LOG_LEVEL="info")
    assert refused.value.code is ReasonCode.FIELD_CONFLICT
    assert "helm" in str(refused.value.evidence)
    assert await _data(here) == {"LOG_LEVEL": "debug"}
    (step,) = await _planned(here, github, LOG_LEVEL="debug", SYNC="on")  # the same value is no conflict
    await _done(here, step)
    assert await _data(here) == {"LOG_LEVEL": "debug", "SYNC": "on"}


async def test_what_another_manager_owns_is_taken_over_where_that_is_asked_for(here: Place, github: Github) -> None:
    await here.connection.call(
        "POST",
        f"/api/v1/namespaces/{here.namespace}/configmaps",
        doing="make a test's object",
        query={"fieldManager": "kubectl-edit"},
        body={"metadata": {"name": "backend-config"}, "data": {"LOG_LEVEL": "debug"}},
    )
    github.versions["v2.0.0"].files[CONFIG] = (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: backend-config}\ndata: {LOG_LEVEL: info}\n"
    )
    plan = await plan_config_apply(
        _client(github), here.environment, SETTINGS, "v2.0.0", places=_places(here), take_over=True
    )
    (step,) = (each for each in plan.steps if isinstance(each, ApplyConfigMap))
    assert "kubectl-edit" in plan.warnings[0]
    assert step.changes()["take_over"] is True
    assert "--force-conflicts" in step.by_hand()[0]
    await _done(here, step)
    assert await _data(here) == {"LOG_LEVEL": "info"}
    path = f"/api/v1/namespaces/{here.namespace}/configmaps/backend-config"
    found = await here.connection.call("GET", path, doing="see who owns what")
    if (
        len(found["metadata"]["managedFields"]) > 1
    ):  # Kubernetes 1.20 leaves the other one `f:data: {}`, which still conflicts
        return
    (step,) = await _planned(here, github, LOG_LEVEL="warn")
    assert "take_over" not in step.changes(), "the bot owns it now"


async def test_what_somebody_changes_after_the_plan_is_not_taken_over(here: Place, github: Github) -> None:
    path = f"/api/v1/namespaces/{here.namespace}/configmaps"

    async def edited(method: str, at: str, **data: str) -> None:
        await here.connection.call(
            method,
            at,
            doing="do what a person does",
            query={"fieldManager": "kubectl-edit"},
            body={"metadata": {"name": "backend-config"}, "data": data},
            content_type="application/merge-patch+json" if method == "PATCH" else "application/json",
        )

    async def planned() -> ApplyConfigMap:
        plan = await plan_config_apply(
            _client(github), here.environment, SETTINGS, "v2.0.0", places=_places(here), take_over=True
        )
        (step,) = (each for each in plan.steps if isinstance(each, ApplyConfigMap))
        return step

    await edited("POST", path, LOG_LEVEL="debug", SYNC="on")
    github.versions["v2.0.0"].files[CONFIG] = (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: backend-config}\ndata: {LOG_LEVEL: info, SYNC: 'on'}\n"
    )
    step, there = await planned(), {"LOG_LEVEL": "debug", "SYNC": "on"}
    for key, value in (("LOG_LEVEL", "trace"), ("SYNC", "off")):  # of a key that was approved, and of one that was not
        await edited("PATCH", f"{path}/backend-config", **{key: value})
        there[key] = value
        with pytest.raises(PermanentError, match="Somebody changed ConfigMap backend-config after this") as refused:
            await _done(here, step)
        assert refused.value.code is ReasonCode.CHANGED_MEANWHILE
        assert await _data(here) == there
        again = await planned()
        assert again.changes() != step.changes(), "it is approved anew"
        step = again
    with pytest.raises(Conflict):
        await here.cluster.apply_config_map(
            here.namespace, "backend-config", {"LOG_LEVEL": "info"}, {}, take_over=True, over="1"
        )
    await _done(here, step)
    await _done(here, step)  # a step that was killed runs again
    assert await _data(here) == {"LOG_LEVEL": "info", "SYNC": "on"}


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (lambda _: error(503, "away"), ReasonCode.GITHUB_UNREACHABLE, "GitHub answers with status 503"),
        (
            lambda _: error(429, "slow down", retry_after="7"),
            ReasonCode.GITHUB_UNREACHABLE,
            "limits the bot's requests",
        ),
        (lambda _: error(401, "Bad credentials"), ReasonCode.GITHUB_REFUSED, "rejects the bot's token"),
        (lambda _: error(403, "no"), ReasonCode.GITHUB_REFUSED, "denies the bot access"),
        (lambda _: web.Response(text="<html>"), ReasonCode.GITHUB_UNREACHABLE, "can't be read"),
    ],
)
async def test_where_github_does_not_give_the_file_nothing_is_planned(
    here: Place, github: Github, fault: Answer, code: ReasonCode, words: str
) -> None:
    github.fault = fault
    with pytest.raises(RunbookError, match=words) as refused:
        await _planned(here, github, LOG_LEVEL="info")
    assert refused.value.code is code


async def test_a_long_file_is_read_to_its_end(here: Place, github: Github) -> None:
    (step,) = await _planned(here, github, **{f"KEY_{number}": "x" * 100 for number in range(200)}, LAST="yes")
    assert step.wanted.data["LAST"] == "yes"
    assert len(step.differences) == 201


async def test_a_version_without_a_tag_and_a_file_that_is_not_there_are_named(here: Place, github: Github) -> None:
    with pytest.raises(PermanentError, match=r"has no tag v9\.9\.9"):
        await plan_config_apply(_client(github), here.environment, SETTINGS, "v9.9.9", places=_places(here))
    github.versions["v2.0.0"].files.clear()
    with pytest.raises(PermanentError, match=f"There is no {CONFIG} at "):
        await plan_config_apply(_client(github), here.environment, SETTINGS, "v2.0.0", places=_places(here))
    github.versions["v2.0.0"].files[CONFIG] = "x" * 2_000_000
    with pytest.raises(PermanentError, match="is not a file of at most 1024 KiB"):
        await plan_config_apply(_client(github), here.environment, SETTINGS, "v2.0.0", places=_places(here))
