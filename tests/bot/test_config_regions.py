"""Regions in the configuration: each has a name and a cluster of its own, and what does not fit is refused with its place."""

from typing import Any

import pytest

from bot.config import ConfigurationError, validate
from tests.support.thresholds import configuration

EU, US = {"name": "eu", "cluster": {"context": "a"}}, {"name": "us", "cluster": {"context": "b"}}


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"home": "eu"}, "home: there is no region `eu`; it needs `regions`"),
        ({"regions": [EU], "home": "us"}, "home: there is no region `us`; write one of eu"),
        ({"regions": [{"name": "eu"}, {"name": "us"}]}, "regions.1.cluster: eu and us have the same cluster; set `"),
        ({"regions": [EU, US | {"name": "eu"}]}, "regions.1.name: two regions are called `eu`"),
        ({"regions": [EU | {"aws_region": "Ireland"}]}, "regions.0.aws_region"),
        ({"regions": [EU | {"bake": -1}]}, "regions.0.bake"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(tables: dict[str, Any], words: str):
    raw = configuration()
    raw["environments"]["production"].update(tables)
    with pytest.raises(ConfigurationError) as refused:
        validate(raw)
    assert f"environments.production.{words}" in str(refused.value)


def test_a_deployment_of_two_environments_is_refused_in_each_region():
    raw = configuration()
    production, staging = raw["environments"]["production"], raw["environments"]["staging"]
    production.update(regions=[EU, US], namespace="same")
    staging.update(cluster=US["cluster"], namespace="same")
    with pytest.raises(ConfigurationError, match="has the same Deployment"):
        validate(raw)


def test_regions_take_what_they_do_not_say_from_the_environments_cluster():
    raw = configuration()
    raw["environments"]["production"].update(
        cluster={"kubeconfig": "/etc/kube/config"},
        regions=[
            {"name": "eu", "cluster": {"context": "emr eu"}, "aws_region": "eu-west-1"},
            {"name": "us", "cluster": {"kubeconfig": "/etc/kube/us"}, "bake": 0, "maintenance": "new nodes"},
        ],
        home="us",
    )
    settings = validate(raw)
    found = settings.environments["production"]
    assert str(found.clusters()["eu"].kubeconfig) == "/etc/kube/config"
    assert found.home_cluster == found.clusters()["us"]
    where = settings.environment("production")
    assert [each.kubectl for each in where.regions] == [
        "kubectl --context 'emr eu'",
        "kubectl --kubeconfig /etc/kube/us",
    ]
    assert (where.home, where.regions[1].maintenance, where.regions[0].bake_seconds) == ("us", "new nodes", 300.0)
    assert where.within("us").kubectl == "kubectl --kubeconfig /etc/kube/us"
    assert settings.environment("staging").regions == ()


@pytest.mark.parametrize(
    ("metrics", "prometheus", "own"),
    [
        ({}, "http://127.0.0.1:1", {"us": ("http://127.0.0.1:2", "http://127.0.0.1:4")}),
        ({"alertmanager": {"url": "http://127.0.0.1:5"}}, "http://127.0.0.1:1", {"us": ("http://127.0.0.1:2", None)}),
        (
            {"prometheus": {"url": "http://127.0.0.1:6"}, "alertmanager": {"url": "http://127.0.0.1:5"}},
            "http://127.0.0.1:6",
            {},
        ),
    ],
)
def test_metrics_are_read_from_a_regions_own_servers_unless_their_table_has_one_for_all(
    metrics: dict[str, Any], prometheus: str, own: dict[str, tuple[str, str | None]]
):
    raw = configuration()
    raw["environments"]["production"].update(
        regions=[EU, US],
        metrics=metrics,
        verification={
            "db_test": [],
            "prometheus": {"url": "http://127.0.0.1:1"},
            "alertmanager": {"url": "http://127.0.0.1:3", "matchers": ['team="emr"']},
            "regions": {
                "us": {"prometheus": {"url": "http://127.0.0.1:2"}, "alertmanager": {"url": "http://127.0.0.1:4"}}
            },
        },
    )
    found = validate(raw).monitoring("production")
    assert found is not None
    assert found.metrics.prometheus is not None
    assert found.metrics.prometheus.url == prometheus
    servers = {name: (each.prometheus, each.alertmanager) for name, each in found.own.items()}
    assert {
        name: (one.url if one is not None else None, other.url if other is not None else None)
        for name, (one, other) in servers.items()
    } == own
    assert all(other is None or other.matchers == ('team="emr"',) for _, other in servers.values())


def test_a_prometheus_of_one_region_alone_is_enough_for_metrics():
    raw = configuration()
    raw["environments"]["production"].update(
        regions=[EU, US], verification={"db_test": [], "regions": {"us": {"prometheus": {"url": "http://127.0.0.1:2"}}}}
    )
    found = validate(raw).monitoring("production")
    assert found is not None
    assert (found.metrics.prometheus, list(found.own)) == (None, ["us"])
