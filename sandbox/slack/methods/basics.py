"""Who am I, is anybody there, and the address of a Socket Mode connection."""

import secrets

from sandbox.slack.calls import Call, method
from sandbox.slack.model import TEAM, Json
from sandbox.slack.settings import TIER_1, TIER_4


@method("api.test", token="none", per_minute=TIER_4)  # noqa: S106 - "none" is a kind of token
async def api_test(call: Call) -> Json:
    arguments = {name: value for name, value in call.arguments.items() if name != "token"}
    return {"args": arguments} if arguments else {}


@method("auth.test", per_minute=TIER_4 * 6)
async def auth_test(call: Call) -> Json:
    workspace = call.workspace
    return {
        "url": f"{call.base}/",
        "team": workspace.team_name,
        "user": workspace.app.handle,
        "team_id": TEAM,
        "user_id": workspace.app.user_id,
        "bot_id": workspace.app.bot_id,
        "is_enterprise_install": False,
    }


@method("apps.connections.open", "connections:write", token="app", per_minute=TIER_1, burst=100)  # noqa: S106
async def connections_open(call: Call) -> Json:
    ticket = secrets.token_urlsafe(18)
    call.workspace.tickets.add(ticket)
    address = call.base.replace("http://", "ws://", 1)
    return {"url": f"{address}/link/?ticket={ticket}&app_id={call.workspace.app.id}"}
