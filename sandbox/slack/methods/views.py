"""Modals and App Home."""

from sandbox.slack.calls import Call, method
from sandbox.slack.limits import check_view
from sandbox.slack.model import Json, Refused, View
from sandbox.slack.settings import TIER_4
from sandbox.slack.wire import view_json


def _view(call: Call, kind: str = "modal") -> Json:
    view = call.value("view")
    check_view(view)
    if view["type"] != kind:
        raise Refused("invalid_arguments", f"[ERROR] must be {kind} [json-pointer:/view/type]")
    return dict(view)


def _answer(call: Call, view: View) -> Json:
    return {"view": view_json(call.workspace, view)}


@method("views.open", per_minute=TIER_4)
async def open_view(call: Call) -> Json:
    view, trigger = _view(call), call.needed("trigger_id", "invalid_trigger_id")
    return _answer(call, call.workspace.open_view(trigger, view))


@method("views.push", per_minute=TIER_4)
async def push(call: Call) -> Json:
    view, trigger = _view(call), call.needed("trigger_id", "invalid_trigger_id")
    return _answer(call, call.workspace.push_view(trigger, view))


@method("views.update", per_minute=TIER_4)
async def update(call: Call) -> Json:
    old = call.workspace.find_view(call.text("view_id"), call.text("external_id"))
    view = _view(call, old.kind)
    return _answer(call, call.workspace.update_view(view, view_id=old.id, view_hash=call.text("hash")))


@method("views.publish", per_minute=TIER_4)
async def publish(call: Call) -> Json:
    person = call.needed("user_id", "user_not_found")
    if person not in call.workspace.people:
        raise Refused("user_not_found")
    return _answer(call, call.workspace.publish_home(person, _view(call, "home"), call.text("hash")))
