"""`config apply --restart` in two regions: what changes is applied, and what reads it gets new pods before the next region is touched."""

import copy
from datetime import UTC, datetime, timedelta

import pytest

from runbooks.clients.github.access import GithubSettings, GithubToken
from runbooks.clients.github.client import GithubClient
from runbooks.clients.kubernetes.connection import FIELD_MANAGER
from runbooks.deployments.service_state import RESTARTED
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Plan
from runbooks.kit.steps import applied, done
from runbooks.manifests.settings import ManifestSettings
from runbooks.redaction.redactor import default_redactor
from runbooks.release.config_restart import plan_config_apply_and_restart
from sandbox.cluster.resources import CONFIG_MAP
from sandbox.outside.github import CONFIG, NAME, OWNER, Github
from tests.support.real import first
from tests.support.two_regions import NAMESPACE, TwoRegions

RUN = "production.config-apply.1111"
IN_TURN = [
    *("take@eu", "apply-config-map:backend-config@eu", "restart:backend@eu", "check@eu", "bake@eu", "check:baked@eu"),
    *("take@us", "apply-config-map:backend-config@us", "restart:backend@us", "check@us"),
]


async def planned(both: TwoRegions, github: Github) -> Plan:
    client = GithubClient(
        GithubSettings(repository=f"{OWNER}/{NAME}", api_url=github.url),
        GithubToken(default_redactor()),
        default_redactor(),
    )
    settings = ManifestSettings(paths=(CONFIG,))
    return await plan_config_apply_and_restart(
        both.clusters["eu"], both.fleet, client, both.environment, settings, "v2.0.0", places=both.places
    )


def pods(both: TwoRegions, region: str) -> set[str]:
    return {pod.name for pod in both.servers[region].cluster.pods(NAMESPACE) if pod.deployment == "backend"}


def batch(both: TwoRegions, region: str) -> str | None:
    found = both.servers[region].cluster.store.get(CONFIG_MAP, NAMESPACE, "backend-config")
    assert found is not None
    value = found["data"].get("OFFLINE_SYNC_BATCH")
    return None if value is None else str(value)


async def test_what_reads_a_changed_config_map_restarts_in_one_region_after_the_other(both: TwoRegions) -> None:
    github = Github()
    async with github.serve():
        plan = await planned(both, github)
        assert [step.key for step in plan.steps] == IN_TURN
        assert plan.title == "Apply the configuration of v2.0.0 to production and restart backend"
        before = {region: pods(both, region) for region in both.servers}
        # it ends after the first region's ConfigMap: a second try restarts there too, though nothing differs any more
        await both.do(plan.model_copy(update={"steps": plan.steps[:2]}), RUN)
        assert (batch(both, "eu"), batch(both, "us")) == ("50", None)
        again = await planned(both, github)
        assert [step.key for step in again.steps] == [key for key in IN_TURN if key != IN_TURN[1]]
        await both.do(again, RUN)
        for region, old in before.items():
            assert batch(both, region) == "50"
            assert len(pods(both, region) - old) == 3, "an old one may still be ending"
        done = await planned(both, github)
        assert done.empty
        assert done.title == "production already has the configuration of v2.0.0. Nothing to do."
        assert not any("restart" in each for each in done.notes)
        store = both.servers["eu"].cluster.store
        forged = copy.deepcopy(store.get(CONFIG_MAP, NAMESPACE, "backend-config"))
        assert forged is not None
        (entry, *_) = forged["metadata"]["managedFields"]
        forged["metadata"]["managedFields"] = [entry | {"manager": FIELD_MANAGER, "time": "9998-01-01T00:00:00Z"}]
        store.put(CONFIG_MAP, forged)
        assert (await planned(both, github)).empty, "no pod can be younger than a time that has not come"


async def test_nothing_restarts_where_no_service_reads_what_changes(both: TwoRegions) -> None:
    github = Github()
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: reports}\ndata: {EVERY: day}\n"
    github.versions["v2.0.0"].files[CONFIG] = text
    async with github.serve():
        plan = await planned(both, github)
    assert [step.key for step in plan.steps] == ["apply-config-map:reports@eu", "apply-config-map:reports@us"]
    assert plan.notes[0] == "No service reads reports, so nothing is restarted."


async def test_a_restart_that_hangs_or_failed_alone_is_tried_again_while_old_pods_serve(both: TwoRegions) -> None:
    github, eu = Github(), both.clusters["eu"]
    async with github.serve():
        plan = await planned(both, github)
        await both.do(plan.model_copy(update={"steps": plan.steps[:2]}), RUN)
        before = pods(both, "eu")
        both.servers["eu"].cluster.faults.unready.add("/backend:v1.2.0")
        restarted = {"op": "add", "path": "/spec/template/metadata/annotations", "value": {RESTARTED: RUN}}
        await eu.patch_deployment(NAMESPACE, "backend", [restarted])
        await first(
            eu.watch_pods(NAMESPACE, "app=backend"),
            lambda seen: seen.view is not None and seen.view.name not in before,
            seconds=60,
        )
        again = await planned(both, github)
        assert [step.key for step in again.steps] == [key for key in IN_TURN if key != IN_TURN[1]]


@pytest.mark.parametrize("annotation", ["note", "control-plane.alpha.kubernetes.io/leader"])
async def test_who_writes_the_config_map_after_the_bot_does_not_hide_that_pods_are_older(
    both: TwoRegions, annotation: str
) -> None:
    github, store = Github(), both.servers["eu"].cluster.store
    async with github.serve():
        plan = await planned(both, github)
        await both.do(plan.model_copy(update={"steps": plan.steps[:2]}), RUN)
        found = copy.deepcopy(store.get(CONFIG_MAP, NAMESPACE, "backend-config"))
        assert found is not None
        found["metadata"].setdefault("annotations", {})[annotation] = "{}"
        later = {"operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {}}
        for manager, after in (("kubectl-annotate", timedelta(seconds=5)), (FIELD_MANAGER, timedelta(days=9))):
            at = f"{datetime.now(UTC) + after:%Y-%m-%dT%H:%M:%SZ}"
            found["metadata"]["managedFields"].append({**later, "manager": manager, "time": at})
        store.put(CONFIG_MAP, found)
        again = await planned(both, github)
        assert [step.key for step in again.steps] == [key for key in IN_TURN if key != IN_TURN[1]]


async def test_a_value_that_somebody_changes_before_the_pods_read_it_stops_the_restart(both: TwoRegions) -> None:
    github, store = Github(), both.servers["eu"].cluster.store
    async with github.serve():
        plan = await planned(both, github)
    await both.do(plan.model_copy(update={"steps": ()}), RUN)
    context, before = both.context(RUN), pods(both, "eu")
    await done(plan.steps[:2], context)  # and then it is held
    found = copy.deepcopy(store.get(CONFIG_MAP, NAMESPACE, "backend-config"))
    assert found is not None
    found["data"]["OFFLINE_SYNC_BATCH"] = "9000"
    store.put(CONFIG_MAP, found)
    with pytest.raises(PermanentError, match="Somebody changed OFFLINE_SYNC_BATCH in ConfigMap backend-config in eu"):
        await applied(plan.steps[2], context)
    assert pods(both, "eu") == before
