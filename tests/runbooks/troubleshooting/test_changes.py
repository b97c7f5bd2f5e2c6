"""What changed: by how well its time fits the start of the trouble, never by its contents."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.fleet.fleet import Fleet
from runbooks.fleet.records import Release, utc_now
from runbooks.kit.targets import Service
from runbooks.manifests.settings import ManifestSettings
from runbooks.troubleshooting.asking import ranked
from runbooks.troubleshooting.case import RecentRun
from runbooks.troubleshooting.changes import Change, blamed, changes_of, suspect
from runbooks.troubleshooting.findings import Confidence, Finding, ToDo, Trouble
from sandbox.cluster import Cluster, seed_omnicare
from sandbox.cluster.fields import Writer
from sandbox.cluster.resources import CONFIG_MAP, DEPLOYMENT, Json
from sandbox.cluster.settings import Rule, Settings, User
from tests.support.cases import BACKEND, PRODUCTION, case

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WHERE = "omnicare-prod"
FRONTEND = Service(name="frontend", deployment="frontend", container="frontend", repository="ghcr.io/omnicare/frontend")


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def change(began: float, ended: float, what: str = "", **more: object) -> Change:
    return Change.model_validate({"what": what or f"{began} to {ended}", "at": ago(began), "ended": ago(ended)} | more)


def errors(since: float | None, **more: object) -> Finding:
    began = ago(since) if since is not None else None
    known = {"kind": Trouble.ERRORS, "cause": "Error rate: 4 %, the limit is 0.1 %", "confidence": Confidence.CERTAIN}
    return Finding.model_validate(known | {"since": began} | more)


def named(since: float | None, *changes: Change, **more: object) -> str:
    found = suspect(errors(since, **more), changes)
    return found.what if found is not None else ""


def test_the_change_that_ended_last_before_the_start_is_the_suspect():
    assert named(10, change(60, 50), change(14, 12), change(20, 13), change(8, 5)) == "14 to 12"
    assert named(10, change(12, 8), change(14, 11)) == "12 to 8"  # it was under way


def test_what_came_later_or_long_before_is_no_suspect_nor_is_any_without_a_start():
    assert named(10, change(8, 5), change(60, 40)) == ""
    assert named(None, change(10, 10)) == ""


def test_a_start_at_either_end_of_the_calendar_has_no_suspect():
    for at in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
        began = errors(None).model_copy(update={"since": at})
        assert suspect(began, [change(10, 10)]) is None


def test_only_a_release_or_what_waits_as_alerts_do_is_linked_long_after():
    assert named(10, change(16, 16)) == ""
    assert named(10, change(16, 16, release=True)) == "16 to 16"
    assert named(10, change(16, 16), kind=Trouble.ALERT) == "16 to 16"


def test_one_change_is_not_linked_to_what_began_later_than_what_it_fits():
    config = change(15, 15, "ConfigMap backend-config", how="configuration")
    drops = errors(10.5, kind=Trouble.WEBSOCKET_DROPS)
    (alone,) = blamed([drops], [config])
    assert "ConfigMap backend-config" in alone.evidence[-1]
    cause, late, soon = blamed([drops, errors(14.7)], [config])
    assert (cause.kind, late.evidence) == (Trouble.CHANGE, ())
    assert "ConfigMap backend-config" in soon.evidence[-1]


def test_connections_that_drop_after_a_release_stand_behind_it_but_not_those_that_dropped_before():
    release = change(12, 11, "Deploy v2", release=True)
    for minutes, behind in ((10, True), (100, False)):
        drops = errors(minutes, kind=Trouble.WEBSOCKET_DROPS)
        kinds = [each.kind for each in ranked(blamed([drops, errors(10)], [release]))]
        assert (kinds.index(Trouble.CHANGE) < kinds.index(Trouble.WEBSOCKET_DROPS)) is behind


def test_a_release_before_a_symptom_is_not_lost_to_what_began_sooner():
    release = change(15, 15, "Deploy v2.0.0", release=True)
    found = blamed([errors(14.9, kind=Trouble.SYNC_STUCK), errors(11)], [release])
    assert [each.kind for each in found] == [Trouble.CHANGE, Trouble.SYNC_STUCK, Trouble.ERRORS]


def test_a_change_stays_linked_to_the_cause_of_what_was_seen_before_it():
    release = change(15, 15, "Deploy v2.0.0", release=True)
    crash = errors(11, kind=Trouble.CRASHES, explains=(Trouble.ERRORS,))
    found = blamed([crash, errors(14.7)], [release])
    assert [each.kind for each in found] == [Trouble.CRASHES, Trouble.ERRORS]
    assert "Deploy v2.0.0" in found[0].evidence[-1]


def test_another_service_or_region_is_no_suspect():
    assert named(10, change(11, 11, service="frontend"), service="backend", kind=Trouble.IMAGE) == ""
    assert named(10, change(11, 11, region="eu"), region="us") == ""
    assert named(10, change(11, 11, "a", service="backend"), region="us") == "a"


def test_a_change_of_another_service_is_the_suspect_only_where_no_other_fits():
    other = change(11, 11, "of the backend", service="backend", elsewhere=True)
    assert named(10, other) == "of the backend"
    assert named(10, other, change(14, 14, "of the frontend", service="frontend")) == "of the frontend"
    assert named(10, change(11, 11, "of the backend", service="backend"), service="frontend") == "of the backend"


def test_a_restart_is_blamed_for_the_configuration_that_it_took_up():
    restart = change(11, 11, "A restart of backend", how="restart", service="backend")
    config = change(13, 13, "ConfigMap backend-config", how="configuration")
    assert named(10, restart, config) == "ConfigMap backend-config; backend read it when it restarted"
    assert named(10, restart, change(40, 40, how="configuration")) == "A restart of backend"
    assert named(10, restart, change(10.5, 10.5, "later", how="configuration")) == "later"


def test_a_release_before_a_symptom_is_named_first_and_can_be_undone():
    first, second = ranked(blamed([errors(10)], [change(14, 11, "Deploy v2.0.0, run 7KQ2", release=True)]))
    assert first.cause == "Deploy v2.0.0, run 7KQ2; since then error rate: 4 %, the limit is 0.1 %"
    assert [each.command for each in first.to_do] == ["rollback"]
    assert second.evidence == ("It began 1 min after this change: Deploy v2.0.0, run 7KQ2.",)


def test_what_was_wrong_long_before_a_symptom_hides_no_change_right_before_it():
    crash = errors(10, kind=Trouble.CRASHES, cause="backend crashes", explains=(Trouble.ERRORS,))
    config = change(10.5, 10.5, "ConfigMap backend-config", how="configuration")
    assert [each.kind for each in blamed([crash, errors(10)], [config])] == [Trouble.CRASHES, Trouble.ERRORS]
    old = crash.model_copy(update={"since": ago(17)})
    assert blamed([old, errors(10)], [config])[0].kind is Trouble.CHANGE


def test_what_has_no_known_start_hides_no_change_right_before_a_symptom():
    cache = errors(None, kind=Trouble.CACHE_MEMORY, cause="The cache is full", explains=(Trouble.ERRORS, Trouble.SLOW))
    config = change(10.5, 10.5, "ConfigMap backend-config", how="configuration")
    found = ranked(blamed([cache, errors(10)], [config]))
    assert [each.kind for each in found] == [Trouble.CHANGE, Trouble.CACHE_MEMORY, Trouble.ERRORS]
    crash = errors(10.2, kind=Trouble.CRASHES)
    assert [each.kind for each in ranked([*found, crash])][:2] == [Trouble.CRASHES, Trouble.CHANGE]


def test_a_certain_cause_stays_first_and_names_the_change_before_it():
    crash = errors(10).model_copy(update={"kind": Trouble.CRASHES, "explains": (Trouble.ERRORS,)})
    found = ranked(blamed([errors(9), crash], [change(14, 11, "Deploy v2.0.0")]))
    assert [each.kind for each in found] == [Trouble.CRASHES, Trouble.ERRORS]
    assert "Deploy v2.0.0" in found[0].evidence[-1]


def test_what_undoes_the_configuration_stands_first_also_under_what_is_certain():
    undo = ToDo(text="Put it back", command="config apply v1.2.0 --take-over")
    config = change(10.5, 10.5, "ConfigMap backend-config", how="configuration", undo=(undo,))
    crash = errors(10, kind=Trouble.CRASHES, to_do=(ToDo(text="Look"),))
    (found,) = blamed([crash], [config])
    assert found.to_do[0] == undo
    (first, _) = blamed([errors(10)], [config])
    assert first.to_do[0] == undo


def _edited(cluster: Cluster, by: str) -> None:
    def key(draft: Json) -> None:
        draft["data"]["LOG_LEVEL"] = "the planted value"

    def image(draft: Json) -> None:
        draft["spec"]["template"]["spec"]["containers"][0]["image"] = "ghcr.io/omnicare/backend:v1.2.1"

    cluster.create(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "limits", "namespace": WHERE}, "data": {}}
    )
    cluster.api.modify(CONFIG_MAP, WHERE, "limits", key, Writer(by))
    cluster.api.modify(CONFIG_MAP, WHERE, "backend-config", key, Writer(by))

    def scale(draft: Json) -> None:
        draft["spec"]["replicas"] = 5

    cluster.api.modify(DEPLOYMENT, WHERE, "backend", image, Writer("kubectl-set"))
    cluster.api.modify(DEPLOYMENT, WHERE, "frontend", scale, Writer("kubectl-scale"))
    # as the API server does it with `kubectl scale`: whoever applied the Deployment stays the one who set its number of pods
    cluster.api.modify(DEPLOYMENT, "omnicare-staging", "frontend", scale, Writer("kubectl-client-side-apply"))


@pytest.fixture(params=["all", "no config maps"])
async def there(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[ClusterClient, bool]]:
    kinds = ("deployments", "replicasets", "pods", "events")
    may = Rule(("*",)) if request.param == "all" else Rule(("list",), kinds)
    cluster = Cluster(Settings(users=(User("bot", "t", (may,)),)))
    seed_omnicare(cluster)
    _edited(cluster, "kubectl-edit")
    async with cluster.serve():
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(cluster.kubeconfig("bot"))
        async with ClusterClient(kubeconfig=str(kubeconfig)) as client:
            yield client, request.param == "all"


async def test_runs_and_what_was_written_past_the_bot_are_told_without_contents(there: tuple[ClusterClient, bool]):
    client, may_list = there
    now = datetime.now(UTC)
    runs = [
        RecentRun(id="7KQ2", title="Deploy v2.0.0 to production", command="deploy", state="failed", at=now, by="Maya"),
        RecentRun(id="7KQ1", title="Sign v2.0.0", command="sign", state="succeeded", at=now),
    ]
    async with case(cluster=client, runs=runs, now=now) as asked:
        found = await changes_of(asked)
    said = {each.what for each in found.found}
    assert "Deploy v2.0.0 to production (failed), by Maya, run 7KQ2" in said
    assert "backend v1.2.0 → v1.2.1, set outside the bot (kubectl-set)" in said
    assert ("ConfigMap limits (LOG_LEVEL) was changed by kubectl-edit" in said) is may_list
    assert not any("Sign" in each or "planted" in each for each in said)
    assert bool(found.unknown) is not may_list


async def test_the_way_back_of_a_configuration_is_the_release_that_runs_and_a_restart_of_what_reads_it(
    there: tuple[ClusterClient, bool],
):
    client, may_list = there
    both = PRODUCTION.model_copy(update={"services": (BACKEND, FRONTEND)})
    clients = {ManifestSettings: ManifestSettings(paths=("config.yml",))}
    async with case(clients, cluster=client, environment=both, service=FRONTEND) as asked:
        found = (await changes_of(asked)).found
    assert any(each.what.startswith("backend v1.2.0 → v1.2.1") and each.elsewhere for each in found)
    (scaled,) = (each for each in found if "scaled" in each.what)
    assert scaled.what == "frontend was scaled to 5 pods outside the bot (kubectl-scale)"
    assert not scaled.elsewhere
    undone = {
        each.what.partition(" (")[0]: [order.command for order in each.undo]
        for each in found
        if each.how == "configuration"
    }
    wanted = {
        "ConfigMap limits": ["config apply --take-over"],  # the services run different versions
        "ConfigMap backend-config": ["config apply --take-over --restart"],
    }
    assert undone == (wanted if may_list else {})


async def test_a_version_that_is_only_marked_bad_was_not_released_then(there: tuple[ClusterClient, bool]):
    client, may_list = there
    if not may_list:
        return  # this account may not keep a record
    fleet = Fleet(client)
    await fleet.mark_bad(PRODUCTION, "v2.1.0", "it crashed")
    release = {"version": "v1.9.0", "services": (), "run": "production.deploy.7kq2", "by": "maya", "at": utc_now()}
    services = ({"service": "backend", "image": {"repository": "r", "tag": "v1.9.0", "digest": "sha256:" + "0" * 64}},)
    await fleet.record_release(PRODUCTION, Release.model_validate({**release, "services": services}))
    async with case({Fleet: fleet}, cluster=client) as asked:
        told = [each.what for each in (await changes_of(asked)).found if each.release and not each.service]
    assert told == ["Release v1.9.0, by maya, run 7KQ2"]


async def test_a_scaling_that_nobody_is_named_for_is_told_by_its_event(there: tuple[ClusterClient, bool]):
    client, _ = there
    staging = PRODUCTION.model_copy(update={"namespace": "omnicare-staging", "services": (BACKEND, FRONTEND)})
    async with asyncio.timeout(60):
        told: list[Change] = []
        while not told:  # the Deployment's controller writes its event after the change
            async with case(cluster=client, environment=staging) as asked:
                told = [each for each in (await changes_of(asked)).found if "scaled" in each.what]
    assert [each.what for each in told] == ["frontend was scaled to 5 pods outside the bot"]
