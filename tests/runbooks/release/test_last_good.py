"""What an unrecorded rollback takes back."""

import pytest

from runbooks.deployments.service_state import ServiceState, running_version
from runbooks.fleet.records import Release, ReleasedService
from runbooks.kit.plan import Image
from runbooks.release.last_good import left_behind


def _runs(service: str, version: str, since: str | None) -> ServiceState:
    image = Image.parse(f"ghcr.io/omnicare/{service}:{version}@sha256:{'a' * 64}")
    place = {"service": service, "namespace": "prod", "deployment": service, "container": service}
    return ServiceState(**place, state="complete", image=image, since=since)


def _left(*states: ServiceState) -> list[str]:
    return [state.service for state in left_behind(states)]


def test_services_that_were_set_in_the_same_second_go_back_together():
    both = (
        _runs("backend", "v1.2.0", "2026-01-01T00:00:07+00:00"),
        _runs("frontend", "v2.0.0", "2026-01-01T00:00:07+00:00"),
    )
    assert _left(*both) == _left(*reversed(both))[::-1] == ["backend", "frontend"]


def test_what_was_set_before_stays():
    earlier, later = (
        _runs("backend", "v1.2.0", "2026-01-01T00:00:06+00:00"),
        _runs("frontend", "v2.0.0", "2026-01-01T00:00:07+00:00"),
    )
    assert _left(earlier, later) == _left(later, earlier) == ["frontend"]


def test_where_no_time_is_known_all_go_back():
    assert _left(_runs("backend", "v1.2.0", None), _runs("frontend", "v2.0.0", None)) == ["backend", "frontend"]


@pytest.mark.parametrize("tag", ["v1.0.0 --env staging", "v1.0.0\n", "`x`", "--take-over", "v" * 129])
def test_what_is_no_tag_is_no_version_that_runs(tag: str):
    assert running_version([_runs("backend", tag, None)], ()) == ""
    assert running_version([_runs("backend", "v1.0.0", None)], ()) == "v1.0.0"


def test_a_tag_beside_the_digest_of_another_release_is_no_version_that_runs():
    runs = _runs("backend", "v1.0.0", None)
    assert runs.image is not None
    other = runs.image.model_copy(update={"digest": f"sha256:{'b' * 64}"})
    recorded = [
        Release(
            version="v1.0.0",
            run="r",
            by="Maya",
            at="2026-01-01T00:00:00+00:00",
            verdict="good",
            services=(ReleasedService(service="backend", image=image),),
        )
        for image in (other, runs.image)
    ]
    assert running_version([runs], recorded[:1]) == ""
    assert running_version([runs], recorded) == "v1.0.0"
