"""What `doctor` finds about Slack: each thing by itself, and what to do."""

from bot.surfaces.slack.checks import SlackFinding, check
from bot.surfaces.slack.manifest import SCOPES
from bot.surfaces.slack.transport.web_api import SlackApi
from tests.bot.surfaces.slack.conftest import Slack, Start


async def _findings(slack: Slack, *channels: str, app_token: str | None = None) -> list[SlackFinding]:
    token = app_token or slack.server.app_token
    return [finding async for finding in check(slack.surface.api, token, channels)]


async def test_all_is_well(start: Start) -> None:
    slack = await start(connect=False)
    findings = await _findings(slack, "C1DEPLOYS")
    assert [finding.sentence for finding in findings if not finding.ok] == []
    assert len(findings) == len(SCOPES) + 3


async def test_each_fault_says_what_to_do(start: Start) -> None:
    slack = await start(connect=False)
    slack.workspace.archive("deploys")
    findings = await _findings(slack, "C1DEPLOYS", "C2ELSEWHERE", "C3CLOSED", app_token="xapp-wrong")
    wrong = [finding for finding in findings if not finding.ok]
    assert [finding.sentence for finding in wrong] == [
        "Socket Mode can't be opened: invalid_auth.",
        "#deploys is archived.",
        "The bot is not in #elsewhere.",
        "The bot can't see channel C3CLOSED.",
    ]
    assert all(finding.to_do for finding in wrong)


async def test_a_wrong_token_is_one_finding_and_no_guess_at_the_rest(start: Start) -> None:
    slack = await start(connect=False)
    api = SlackApi("xoxb-wrong", slack.server.api_url)
    findings = [finding async for finding in check(api, slack.server.app_token, ["C1DEPLOYS"])]
    await api.close()
    assert [finding.ok for finding in findings] == [False, True]


async def test_a_slack_that_is_away_is_a_finding(start: Start) -> None:
    slack = await start(connect=False)
    api = SlackApi("xoxb-test", "http://127.0.0.1:9/api/")
    findings = [finding async for finding in check(api, slack.server.app_token, [])]
    await api.close()
    assert [finding.ok for finding in findings] == [False, False]
