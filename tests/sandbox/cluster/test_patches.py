"""Patches as values: what each kind makes of an object, and what it refuses."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.cluster.errors import ApiError
from sandbox.cluster.patches import json_patch, merge_patch
from sandbox.cluster.strategic import strategic_merge

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


def pod(*containers: dict):
    return {"spec": {"containers": list(containers)}}


@pytest.mark.parametrize(
    ("operation", "after"),
    [
        ({"op": "add", "path": "/b", "value": 2}, {"a": [1, 2], "b": 2}),
        ({"op": "add", "path": "/a/-", "value": 3}, {"a": [1, 2, 3]}),
        ({"op": "add", "path": "/a/0", "value": 0}, {"a": [0, 1, 2]}),
        ({"op": "remove", "path": "/a/0"}, {"a": [2]}),
        ({"op": "replace", "path": "/a", "value": {}}, {"a": {}}),
        ({"op": "copy", "from": "/a/1", "path": "/b"}, {"a": [1, 2], "b": 2}),
        ({"op": "move", "from": "/a/1", "path": "/b~1c~0"}, {"a": [1], "b/c~": 2}),
        ({"op": "test", "path": "/a/1", "value": 2}, {"a": [1, 2]}),
    ],
)
def test_a_json_patch_does_what_its_operation_says(operation, after):
    before = {"a": [1, 2]}
    assert json_patch(before, [operation]) == after
    assert before == {"a": [1, 2]}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a", "value": 9},
        {"op": "test", "path": "/missing/deep", "value": 1},
        {"op": "remove", "path": "/missing"},
        {"op": "replace", "path": "/missing", "value": 1},
        {"op": "add", "path": "/missing/deep", "value": 1},
        {"op": "unknown", "path": "/a"},
        {"op": "add", "path": "no-slash", "value": 1},
    ],
)
def test_a_json_patch_that_does_not_hold_is_refused(operation):
    with pytest.raises(ApiError) as caught:
        json_patch({"a": 1}, [operation])
    assert caught.value.code == 422


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(max_size=3), PLAIN, max_size=4), st.dictionaries(st.text(max_size=3), PLAIN, max_size=4))
def test_a_merge_patch_is_the_same_twice_and_leaves_no_null_of_its_own(target, patch):
    before = copy.deepcopy(target)
    once = merge_patch(target, patch)
    assert target == before
    assert merge_patch(once, patch) == once
    assert all(key not in once for key, value in patch.items() if value is None)


def test_strategic_merge_knows_containers_by_name_and_env_by_name():
    target = pod({"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}]}, {"name": "b", "image": "b:1"})
    patch = pod({"name": "a", "image": "a:2", "env": [{"name": "Y", "value": "2"}]})
    patch["spec"]["$setElementOrder/containers"] = [{"name": "a"}, {"name": "b"}]
    first, second = strategic_merge(target, patch)["spec"]["containers"]
    assert first == {"name": "a", "image": "a:2", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]}
    assert second == {"name": "b", "image": "b:1"}


def test_strategic_merge_deletes_replaces_and_reorders_as_directed():
    target = pod({"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"})
    deleted = strategic_merge(target, pod({"name": "a", "$patch": "delete"}))
    assert [entry["name"] for entry in deleted["spec"]["containers"]] == ["b"]
    replaced = strategic_merge(target, pod({"$patch": "replace"}, {"name": "c", "image": "c:1"}))
    assert [entry["name"] for entry in replaced["spec"]["containers"]] == ["c"]
    order = {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}
    assert [entry["name"] for entry in strategic_merge(target, order)["spec"]["containers"]] == ["b", "a"]
    strategy = {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}
    retained = strategic_merge(strategy, {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}})
    assert retained == {"strategy": {"type": "Recreate"}}
    finalizers = {"metadata": {"finalizers": ["a", "b"]}}
    fewer = strategic_merge(finalizers, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}})
    assert fewer == {"metadata": {"finalizers": ["b"]}}


def test_strategic_merge_replaces_a_list_that_is_one_value():
    target = pod({"name": "a", "command": ["x", "y"]})
    assert strategic_merge(target, pod({"name": "a", "command": ["z"]}))["spec"]["containers"][0]["command"] == ["z"]
