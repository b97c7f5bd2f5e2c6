"""A form asks for what a typed command would: the same parameters, and what is hidden stays hidden."""

from dataclasses import replace

import pytest

from bot.dispatch.form import form_for
from commands.kit.registry import load
from commands.kit.spec import CommandSpec, Kind
from commands.kit.types import Known

KNOWN = Known(
    environments=("production", "staging"),
    services=("backend", "frontend"),
    commands=load().names(),
    people=("requester", "approver"),
    regions=("eu", "us"),
)
EVERY = pytest.mark.parametrize("spec", list(load()), ids=lambda spec: spec.name)


@EVERY
def test_a_form_has_an_input_for_every_parameter_that_may_be_typed(spec: CommandSpec) -> None:
    form = form_for(spec, {}, KNOWN, default_environment=None)
    # what works in a terminal only has no place in a form of Slack's
    shown = [p.name for p in spec.parameters if not p.terminal]
    assert [field.name for field in form.fields] == shown
    assert all(field.label and field.hint for field in form.fields)
    assert form.submit
    assert form.hidden == {}
    for field in form.fields:
        parameter = spec.parameter(field.name)
        assert parameter is not None
        assert field.required or not parameter.required
        assert field.flag == (parameter.type is None)


def test_a_form_asks_for_regions_only_where_there_are_some() -> None:
    deploy = load().get("deploy")
    form = form_for(deploy, {}, replace(KNOWN, regions=()), default_environment=None)
    assert "regions" not in {field.name for field in form.fields}


@EVERY
def test_what_is_hidden_or_unknown_is_carried_and_not_shown(spec: CommandSpec) -> None:
    filled = {"word": "secret-word", "surprise": "x"}
    form = form_for(spec, filled, KNOWN, default_environment="staging")
    assert form.hidden == filled
    assert not {"word", "surprise"} & {field.name for field in form.fields}
    assert "secret-word" not in [field.filled for field in form.fields]


def test_the_environment_is_the_channels_and_never_guessed() -> None:
    deploy = load().get("deploy")
    for default, shown in ((None, ""), ("staging", "staging")):
        (env,) = [f for f in form_for(deploy, {}, KNOWN, default_environment=default).fields if f.name == "env"]
        assert (env.filled, env.required, env.options) == (shown, True, ("production", "staging"))


def test_what_is_known_already_is_filled_in() -> None:
    form = form_for(
        load().get("deploy"), {"version": "v2.0.0", "env": "production"}, KNOWN, default_environment="staging"
    )
    assert {field.name: field.filled for field in form.fields if field.filled} == {
        "version": "v2.0.0",
        "env": "production",
    }


def test_a_select_never_offers_what_was_filled_in_from_outside() -> None:
    form = form_for(load().get("restart"), {"service": "<!channel>"}, KNOWN, default_environment=None)
    (service,) = [field for field in form.fields if field.name == "service"]
    assert service.options == ("backend", "frontend")


def test_the_button_says_what_it_does() -> None:
    words = {Kind.QUERY: "Show", Kind.OPERATION: "Request"}
    for spec in load():
        form = form_for(spec, {}, KNOWN, default_environment=None)
        assert form.submit == words.get(spec.kind, spec.form_button or spec.name.capitalize())
    assert form_for(load().get("cancel"), {}, KNOWN, default_environment=None).submit == "Stop the run"


def test_a_list_over_every_environment_is_not_narrowed_to_the_channels() -> None:
    for name in ("audit", "runs"):
        form = form_for(load().get(name), {}, KNOWN, default_environment="staging")
        (env,) = [field for field in form.fields if field.name == "env"]
        assert (env.filled, env.required) == ("", False)
