"""Response URLs: five answers within thirty minutes to what a person did, without a token."""

import json
import time
from http import HTTPStatus
from typing import Any

from aiohttp import web

from sandbox.slack.api import Api, refused
from sandbox.slack.limits import check_message, check_metadata
from sandbox.slack.model import Json, Refused, Sent
from sandbox.slack.state import ResponseHook
from sandbox.slack.workspace import Workspace


async def respond(request: web.Request, workspace: Workspace, api: Api) -> web.StreamResponse:
    """Answer to a POST on a response URL."""
    if (broken := await api.broken(request, "response_url")) is not None:
        return broken
    try:
        body = json.loads(await request.text() or "{}")
    except ValueError:
        return web.json_response({"ok": False, "error": "invalid_payload"}, status=HTTPStatus.BAD_REQUEST)
    hook = workspace.hooks.get(request.match_info["token"])
    try:
        _use(workspace, hook, body)
    except Refused as refusal:
        answer = refused(refusal)
        gone = refusal.error in {"expired_url", "used_url"}
        api.record.append(Sent("response_url", body, answer))
        return web.json_response(answer, status=HTTPStatus.NOT_FOUND if gone else HTTPStatus.BAD_REQUEST)
    api.record.append(Sent("response_url", body, {"ok": True}))
    return web.Response(text="ok")


def _use(workspace: Workspace, hook: ResponseHook | None, body: Json) -> None:
    if hook is None or hook.expires < time.monotonic():
        raise Refused("expired_url")
    if hook.uses_left <= 0:
        raise Refused("used_url")
    if not isinstance(body, dict):
        raise Refused("invalid_payload")
    text, blocks = body.get("text"), body.get("blocks")
    if not body.get("delete_original"):
        check_message(text, blocks)
        if not (text or blocks or body.get("attachments")):
            raise Refused("no_text")
    hook.uses_left -= 1
    if body.get("delete_original") or body.get("replace_original"):
        _change(workspace, hook, body)
    else:
        _say(workspace, hook, body)


def _change(workspace: Workspace, hook: ResponseHook, body: Json) -> None:
    """The message that the person acted on goes, or is put anew; from a slash command there is none."""
    if not hook.message_ts:
        if body.get("replace_original"):
            _say(workspace, hook, body)
        return
    if body.get("delete_original"):
        workspace.delete(hook.channel, hook.message_ts, hook.person)
        return
    old = workspace.message(hook.channel, hook.message_ts, hook.person)
    text, blocks = body.get("text") or "", body.get("blocks") or []
    if old.ephemeral_to:
        workspace.replace_ephemeral(old, text, blocks)
    else:
        workspace.tell_of_update(old, workspace.update(hook.channel, old.ts, text=text, blocks=blocks))


def _say(workspace: Workspace, hook: ResponseHook, body: Json) -> None:
    content: dict[str, Any] = {
        "text": body.get("text") or "",
        "blocks": body.get("blocks") or [],
        "thread_ts": body.get("thread_ts") or "",
    }
    if body.get("response_type") == "in_channel":
        if (metadata := body.get("metadata")) is not None:
            check_metadata(metadata)
        workspace.tell_of_post(workspace.post(hook.channel, workspace.app.user_id, metadata=metadata, **content))
    else:
        workspace.post_ephemeral(hook.channel, hook.person, **content)
