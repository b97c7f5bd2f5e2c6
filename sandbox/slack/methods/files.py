"""Uploading a file in three steps: ask for an address, send the bytes there (`uploads.py`), complete."""

import mimetypes
import secrets
from dataclasses import replace

from sandbox.slack.calls import Call, method
from sandbox.slack.methods.chat import may_post
from sandbox.slack.model import File, Json, Refused
from sandbox.slack.settings import TIER_4
from sandbox.slack.wire import file_json

# Slack's own is 1 GB; a file of the sandbox is held in memory.
BYTES_AT_MOST = 64 * 1024 * 1024


@method("files.getUploadURLExternal", "files:write", per_minute=TIER_4)
async def upload_address(call: Call) -> Json:
    name, length = call.needed("filename"), call.number("length", 0)
    if length <= 0:
        raise Refused("invalid_arguments", "[ERROR] must be greater than 0 [json-pointer:/length]")
    if length > BYTES_AT_MOST:
        raise Refused("file_upload_size_restricted")
    workspace = call.workspace
    mimetype = mimetypes.guess_type(name)[0] or "text/plain"
    file = workspace.new_file(name, None, size=length, user=workspace.app.user_id, mimetype=mimetype)
    workspace.add_file(replace(file, alt_txt=call.text("alt_txt"), snippet_type=call.text("snippet_type")))
    ticket = secrets.token_urlsafe(18)
    workspace.uploads[ticket] = file.id
    return {"upload_url": f"{call.base}/upload/v1/{ticket}", "file_id": file.id}


@method("files.completeUploadExternal", "files:write", per_minute=TIER_4)
async def complete(call: Call) -> Json:
    workspace = call.workspace
    given = call.value("files")
    if not isinstance(given, list) or not given:
        raise Refused("invalid_arguments", "[ERROR] missing required field: files [json-pointer:/files]")
    files = [_uploaded(call, one) for one in given]
    for channel_id in filter(None, (call.text("channel_id") or call.text("channels")).split(",")):
        channel = workspace.channel(channel_id)
        if channel.is_private and workspace.app.user_id not in channel.members:
            raise Refused("channel_not_found")
        may_post(call, channel)
        comment = call.text("initial_comment")
        message = workspace.share_files(
            files, channel, workspace.app.user_id, text=comment, thread_ts=call.text("thread_ts")
        )
        workspace.tell_of_post(message)
    return {"files": [file_json(workspace, workspace.files[file.id]) for file in files]}


def _uploaded(call: Call, given: Json) -> File:
    file = call.workspace.files.get(str(given.get("id")))
    if file is None or file.content is None:
        raise Refused("file_not_found")
    return call.workspace.add_file(replace(file, title=given.get("title") or file.name))


@method("files.info", "files:read", per_minute=TIER_4)
async def info(call: Call) -> Json:
    file = call.workspace.files.get(call.needed("file", "file_not_found"))
    if file is None:
        raise Refused("file_not_found")
    answer = file_json(call.workspace, file)
    answer["url_private"] = answer["url_private_download"] = f"{call.base}/files/{file.id}"
    return {"file": answer, "comments": [], "response_metadata": {"next_cursor": ""}}
