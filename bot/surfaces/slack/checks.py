"""What `omnicare doctor` asks of Slack: tokens, each scope, Socket Mode, the channels. One finding each, with what to do."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.boundary.outbound import SurfaceGone
from bot.surfaces.slack.json_path import object_at, text_at
from bot.surfaces.slack.manifest import APP_REASON, APP_SCOPE, SCOPES
from bot.surfaces.slack.transport.web_api import SlackApi, SlackError, lost
from runbooks.kit.errors import RunbookError


@dataclass(frozen=True, slots=True)
class SlackFinding:
    """The result of a check."""

    ok: bool
    sentence: str
    to_do: str = ""
    """Empty if nothing has to be done."""


async def check(
    api: SlackApi, app_token: str, channels: Iterable[str], *, workspace: str | None = None
) -> AsyncIterator[SlackFinding]:
    """Yield each finding as soon as it is known. Changes nothing in Slack."""
    token = await _token(api, workspace)
    yield token[0]
    if token[1] is not None:
        for scope, reason in SCOPES.items():
            yield _scope(scope, reason, token[1])
    yield await _socket_mode(api, app_token)
    if token[1] is None:
        return
    for channel in dict.fromkeys(channels):
        yield await _channel(api, channel)


async def _token(api: SlackApi, workspace: str | None) -> tuple[SlackFinding, frozenset[str] | None]:
    """Return whether the bot's token is good, and the scopes that it has; None where that is not known."""
    api.session()
    try:
        response = await api.client.auth_test()
    except SlackApiError as error:
        word = _word(error)
        to_do = "Set OMNICARE_SLACK_BOT_TOKEN to the bot token (xoxb-…) of the installed app."
        return SlackFinding(ok=False, sentence=f"Slack rejects the bot's token: {word}.", to_do=to_do), None
    except Exception as error:  # noqa: BLE001 - whatever it is, it is one finding
        return SlackFinding(
            ok=False, sentence=str(lost("auth.test", error)), to_do="Check the network, and slack.api_url."
        ), None
    header = {name.lower(): value for name, value in response.headers.items()}.get("x-oauth-scopes", "")
    raw = ",".join(header) if isinstance(header, list | tuple) else header
    scopes = frozenset(scope.strip() for scope in raw.split(",") if scope.strip())
    said = response.data
    user, team, team_id = (text_at(said, name) for name in ("user", "team", "team_id"))
    if team_id is None:
        sentence = "Slack's answer to auth.test can't be read."
        return SlackFinding(ok=False, sentence=sentence, to_do="Check the network, and slack.api_url."), None
    if workspace is not None and team_id != workspace:
        to_do = f"Set slack.workspace to {team_id}, or use the token of the right workspace."
        sentence = f"The bot token belongs to another workspace ({team or team_id})."
        return SlackFinding(ok=False, sentence=sentence, to_do=to_do), scopes
    sentence = f"The bot token is valid: {user or 'a user without a name'} in {team or team_id}."
    return SlackFinding(ok=True, sentence=sentence), scopes


def _word(error: SlackApiError) -> str:
    """Return Slack's word for why not; an answer that is no JSON has none, and the SDK gives what aiohttp has."""
    response = error.response
    said = text_at(response.data, "error") if isinstance(response, AsyncSlackResponse) else None
    return said or "no reason given"


def _scope(scope: str, reason: str, have: frozenset[str]) -> SlackFinding:
    if scope in have:
        return SlackFinding(ok=True, sentence=f"Scope {scope} is granted.")
    return SlackFinding(
        ok=False,
        sentence=f"Scope {scope} is missing. {reason}",
        to_do="Apply app-manifest.yml in the app's settings, then reinstall the app.",
    )


async def _socket_mode(api: SlackApi, app_token: str) -> SlackFinding:
    try:
        await api.client.apps_connections_open(app_token=app_token)
    except SlackApiError as error:
        word = _word(error)
        to_do = (
            f"Create an app-level token with {APP_SCOPE} and set OMNICARE_SLACK_APP_TOKEN to it (xapp-…). {APP_REASON}"
        )
        return SlackFinding(ok=False, sentence=f"Socket Mode can't be opened: {word}.", to_do=to_do)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is one finding
        sentence = str(lost("apps.connections.open", error))
        return SlackFinding(ok=False, sentence=sentence, to_do="Check the network, and slack.api_url.")
    return SlackFinding(ok=True, sentence="Socket Mode connections can be opened.")


async def _channel(api: SlackApi, channel: str) -> SlackFinding:
    invite = "Invite the bot there (/invite @omnicare), or remove the channel from omnicare.toml."
    try:
        said = object_at(await api.read("conversations.info", channel=channel), "channel")
    except (SurfaceGone, SlackError):
        return SlackFinding(ok=False, sentence=f"The bot can't see channel {channel}.", to_do=invite)
    except RunbookError as error:
        return SlackFinding(ok=False, sentence=f"Channel {channel}: {error.message}", to_do="Try again.")
    name = f"#{said.get('name', channel)}"
    if said.get("is_archived"):
        return SlackFinding(ok=False, sentence=f"{name} is archived.", to_do="Name another channel in omnicare.toml.")
    if not said.get("is_member"):
        return SlackFinding(ok=False, sentence=f"The bot is not in {name}.", to_do=invite)
    return SlackFinding(ok=True, sentence=f"The bot is in {name}.")
