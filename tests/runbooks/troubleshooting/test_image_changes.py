"""A change of an image past the bot says from what to what; what nobody knows stays unknown."""

from datetime import UTC, datetime, timedelta

from runbooks.clients.kubernetes.reading import deployment, replica_set
from runbooks.clients.kubernetes.views import FieldOwner
from runbooks.troubleshooting.image_changes import changed_image
from tests.support.cases import BACKEND

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ONE, TWO = "ghcr.io/omnicare/backend:v1.2.0", "ghcr.io/omnicare/backend:v2.0.0"
OTHER = "ghcr.io/omnicare/backend:v1.2.0@sha256:" + "ab" * 32


def stamp(minutes: float) -> str:
    return f"{NOW - timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"


def changed(now: str, *sets: tuple[int, float, str], container: str = "backend", beside: str = "") -> str:
    """Return what it says of a write 10 minutes ago; each ReplicaSet is its revision, its age in minutes, and its image."""

    def template(image: str) -> dict[str, object]:
        containers = [{"name": container, "image": image}, *([{"name": "backend", "image": beside}] if beside else [])]
        return {"spec": {"containers": containers}}

    owner = [{"uid": "d", "controller": True, "kind": "Deployment", "name": "backend"}]
    return changed_image(
        BACKEND,
        deployment({"metadata": {"name": "backend", "uid": "d"}, "spec": {"template": template(now)}}),
        [
            replica_set(
                {
                    "metadata": {
                        "name": f"backend-{revision}", "uid": f"r{revision}", "ownerReferences": owner,
                        "creationTimestamp": stamp(age),
                        "annotations": {"deployment.kubernetes.io/revision": str(revision)},
                    },
                    "spec": {"template": template(image)},
                }
            )
            for revision, age, image in sets
        ],
        FieldOwner("kubectl-set", stamp(10), frozenset({container, *(["backend"] if beside else [])})),
    )  # fmt: skip


def test_it_is_told_from_what_to_what_also_where_more_was_changed_since():
    assert changed(TWO, (1, 900, ONE), (2, 10, TWO)) == "backend v1.2.0 → v2.0.0"
    assert changed(TWO, (1, 900, ONE), (3, 5, TWO), (2, 10, TWO)) == "backend v1.2.0 → v2.0.0"
    assert changed(TWO, (1, 900, ONE)) == "backend v1.2.0 → v2.0.0"  # no ReplicaSet yet


def test_an_older_image_that_was_taken_again_is_a_change_to_it():
    assert changed(ONE, (3, 900, ONE), (2, 40, TWO)) == "backend v2.0.0 → v1.2.0"


def test_the_same_tag_with_another_digest_is_told_with_both():
    assert changed(OTHER, (1, 900, ONE), (2, 10, OTHER)) == "backend v1.2.0 → v1.2.0 ababab"


def test_what_was_there_before_is_unknown_where_nothing_tells():
    assert changed(TWO, (7, 10, TWO)) == "backend unknown version → v2.0.0"
    assert changed(TWO) == "backend unknown version → v2.0.0"


def test_a_write_of_something_else_is_no_change_of_an_image():
    assert changed(TWO, (1, 900, ONE), (2, 400, TWO), (3, 10, TWO)) == ""


def test_another_container_is_named():
    said = changed("envoy:2", (1, 900, "envoy:1"), (2, 10, "envoy:2"), container="proxy")
    assert said == "backend (container proxy) envoy:1 → envoy:2"
    assert changed("envoy:2", (1, 900, "envoy:1"), (2, 10, "envoy:2"), container="proxy", beside=ONE) == said
