"""People, bots and user groups."""

from sandbox.slack.calls import Call, method
from sandbox.slack.model import Json, Refused
from sandbox.slack.settings import TIER_2, TIER_3, TIER_4
from sandbox.slack.wire import group_json, person_json


@method("users.info", "users:read", per_minute=TIER_4)
async def info(call: Call) -> Json:
    person = call.workspace.people.get(call.needed("user", "user_not_found"))
    if person is None:
        raise Refused("user_not_found")
    return {"user": person_json(person)}


@method("users.list", "users:read", per_minute=TIER_2)
async def list_people(call: Call) -> Json:
    people = [person_json(person) for person in call.workspace.people.values()]
    return call.page(people, "members", limit=1000) | {"cache_ts": 1_700_000_000}


@method("bots.info", "users:read", per_minute=TIER_3)
async def bot(call: Call) -> Json:
    app = call.workspace.app
    if call.text("bot", app.bot_id) != app.bot_id:
        raise Refused("bot_not_found")
    answer = {"id": app.bot_id, "deleted": False, "name": app.name, "app_id": app.id, "user_id": app.user_id}
    return {"bot": answer}


@method("usergroups.list", "usergroups:read", per_minute=TIER_2)
async def list_groups(call: Call) -> Json:
    users, disabled = call.flag("include_users"), call.flag("include_disabled")
    groups = [group for group in call.workspace.groups.values() if disabled or not group.disabled]
    return {"usergroups": [group_json(group, users=users) for group in groups]}


@method("usergroups.users.list", "usergroups:read", per_minute=TIER_2)
async def members(call: Call) -> Json:
    group = call.workspace.groups.get(call.needed("usergroup", "no_such_subteam"))
    if group is None or (group.disabled and not call.flag("include_disabled")):
        raise Refused("no_such_subteam")
    return {"users": sorted(group.members)}
