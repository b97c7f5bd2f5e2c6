"""The steps of deploys, rollbacks and restarts as values: what they say, what a yes to them covers, and how a person takes them back."""

import pytest
from pydantic import ValidationError

from runbooks.kit.plan import Image, ImageChange, Plan
from runbooks.manifests.reading import WantedConfigMap
from runbooks.manifests.steps import ApplyConfigMap, KeyChange
from runbooks.release.region_by_region import deployed
from runbooks.release.restarting import RestartService
from runbooks.release.steps import CheckRollout, Record, RollBack, Rollout, Take

V1, V2 = (
    "registry.example/omnicare/backend:v1@sha256:" + "1" * 64,
    "registry.example/omnicare/backend:v2@sha256:" + "2" * 64,
)


def change(before: str, after: str, service: str = "backend") -> ImageChange:
    image = Image.parse
    return ImageChange(
        service=service,
        namespace="emr",
        deployment=service,
        container=service,
        before=image(before),
        after=image(after),
    )


def test_a_way_back_by_hand_leaves_out_what_was_not_changed():
    assert Rollout(change=change(V2, V2), cause="deploy v2").undo_by_hand() is None
    undo = RollBack(images=(change(V2, V1), change(V1, V1, "frontend")), cause="roll back").undo_by_hand()
    assert undo is not None
    assert undo.leads_to == "v2"
    assert [line.split()[:3] for line in undo.lines] == [["kubectl", "set", "image"], ["kubectl", "rollout", "status"]]
    assert "frontend" not in "".join(undo.lines)


def test_a_restart_by_hand_restarts_and_does_not_go_on_where_it_fails():
    (line,) = RestartService(change=change(V1, V1), cause="restart").by_hand()
    assert line.split(" && ") == [
        "kubectl rollout restart deployment/backend -n emr",
        "kubectl rollout status deployment/backend -n emr --timeout=10m",
    ]


def test_a_yes_to_what_stands_covers_no_other_image_that_stands():
    before, after = (Record(images=(change(image, image),), standing=True) for image in (V1, V2))
    assert not after.ends_as(before)
    assert not before.ends_as(before), "people are asked again, also where only the time has passed"
    assert Record(images=(change(V2, V1),)).ends_as(Record(images=(change(V2, V1), change(V2, V1, "frontend"))))


def test_a_yes_to_a_rollback_covers_none_to_another_image_though_it_says_the_same_of_its_end():
    """So a version before stored it for an environment with regions: with the image that ran."""
    first, second = (
        Plan(title="Roll back", steps=(RollBack(images=(change(V2, to),), cause="x", ends=(("backend", V2),)),))
        for to in (V1, V1.replace("v1", "v0"))
    )
    assert first.ends_as(first)
    assert not second.ends_as(first)


def test_a_plan_in_short_says_what_is_done_with_what():
    restarts = [RestartService(change=change(V1, V1, each), cause="restart") for each in ("backend", "frontend")]
    assert Plan(title="Restart", steps=tuple(restarts)).in_short == "restart of backend and frontend on v1"
    config_map = ApplyConfigMap(
        namespace="emr",
        wanted=WantedConfigMap(name="backend-config", data={"FHIR": "R4"}, source="config.yml"),
        differences=(KeyChange(key="FHIR", before="R5", after="R4"),),
        commit="a" * 40,
        alone=True,
    )
    both = Plan(title="Apply", steps=(config_map, restarts[0]))
    assert both.in_short == "1 key of ConfigMap backend-config, restart of backend on v1"
    apart = (Rollout(change=change(V1, V2), cause="x"), Rollout(change=change(V2, V2, "frontend"), cause="x"))
    assert Plan(title="Deploy", steps=apart).in_short == "backend v1 → v2, frontend v2 → v2"


def test_a_plan_of_nothing_says_nothing_in_short():
    assert Plan(title="Nothing to do").in_short == ""


def test_two_steps_of_one_key_are_no_plan():
    with pytest.raises(ValidationError, match="the same key"):
        Plan(title="Twice", steps=(Take(), Take()))


@pytest.mark.parametrize(
    ("stored", "kinds"),
    [
        ({"title": "Deploy v2 to production"}, [type(step) for step in deployed((change(V2, V2),), "deploy v2")]),
        ({"title": "Roll back production to v2", "together": True}, [Take, RollBack, CheckRollout, Record]),
        ({"title": "Restart backend in production"}, [Take, RestartService, CheckRollout]),
    ],
)
def test_a_stored_plan_whose_images_are_there_already_stays_what_it_was(stored: dict[str, object], kinds: list[type]):
    plan = Plan.model_validate({**stored, "changes": [change(V2, V2).model_dump(mode="json")]})
    assert [type(step) for step in plan.steps] == kinds
