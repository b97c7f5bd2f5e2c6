"""How many pods may come and go: percentages, fenceposts, and what never happens in any rollout."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.cluster.controllers import rollouts


def deployment(replicas, surge="25%", unavailable="25%"):
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    return {"spec": {"replicas": replicas, "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling}}}


def replica_set(name, size, available):
    metadata = {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"}
    status = {"replicas": size, "availableReplicas": available}
    return {"metadata": metadata, "spec": {"replicas": size}, "status": status}


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (3, "25%", "25%", (1, 0)),
        (4, "25%", "25%", (1, 1)),
        (10, "25%", "25%", (3, 2)),
        (1, "25%", "25%", (1, 0)),
        (3, 0, 0, (0, 1)),
        (2, "100%", "100%", (2, 2)),
        (2, 1, 5, (1, 2)),
        (0, "25%", "25%", (0, 0)),
    ],
)
def test_surge_is_rounded_up_and_unavailable_down(replicas, surge, unavailable, expected):
    assert rollouts.fenceposts(deployment(replicas, surge, unavailable)) == expected


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 12), st.integers(0, 100), st.integers(0, 100), st.randoms(use_true_random=False))
def test_every_rollout_ends_and_never_leaves_its_fenceposts(replicas, surge, unavailable, rng):
    wanted = deployment(replicas, f"{surge}%", f"{unavailable}%")
    most, fewest = rollouts.fenceposts(wanted)
    old, new = replica_set("old", replicas, replicas), replica_set("new", 0, 0)
    for _ in range(10 * replicas + 10):
        size = min(rollouts.new_size(wanted, new, [old, new]), replicas)
        new = replica_set("new", size, new["status"]["availableReplicas"])
        smaller = rollouts.old_sizes(wanted, new, [old]).get("old", old["spec"]["replicas"])
        old = replica_set("old", smaller, min(smaller, old["status"]["availableReplicas"]))
        assert rollouts.asked([old, new]) <= replicas + most
        assert rollouts.counted([old, new], "availableReplicas") >= replicas - fewest
        if not smaller and new["status"]["availableReplicas"] == replicas:
            return
        more = min(size, new["status"]["availableReplicas"] + rng.randint(1, 2))
        new = replica_set("new", size, more)
    pytest.fail("the rollout did not end")


def test_old_pods_that_are_not_available_anyway_go_first():
    wanted = deployment(4, "50%", "25%")
    broken, good, new = replica_set("a", 2, 0), replica_set("b", 3, 3), replica_set("new", 1, 1)
    assert rollouts.old_sizes(wanted, new, [broken, good]) == {"a": 0, "b": 2}


def test_a_scale_in_the_middle_of_a_rollout_is_shared_out():
    wanted = deployment(20, "25%", "25%")
    sizes = rollouts.proportional(wanted, [replica_set("old", 8, 8), replica_set("new", 4, 2)])
    assert sum(sizes.values()) == 25
    assert sizes["old"] > sizes["new"] > 4
