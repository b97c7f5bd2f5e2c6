"""The manifest is what Slack takes, says why each scope is there, and is enough for what the bot calls."""

import os

import jsonschema
import pytest
import yaml

from bot.surfaces.slack.manifest import EVENTS, SCOPES, document, manifest, usage_hint
from commands.kit.card import Card
from commands.kit.command import Query
from commands.kit.context import Context
from commands.kit.registry import Registry
from commands.kit.spec import QueryMeta
from sandbox.slack.calls import METHODS
from sandbox.slack.settings import SlackApp
from tests.bot.surfaces.slack.conftest import schema


class Status(Query):
    """What runs: where, and since when."""

    meta = QueryMeta(permission=None, examples=[""])

    async def answer(self, context: Context) -> Card:
        raise NotImplementedError


SOME = Registry([Status])

CALLED = (
    "auth.test",
    "chat.postMessage",
    "chat.postEphemeral",
    "chat.update",
    "conversations.history",
    "conversations.info",
    "conversations.members",
    "conversations.open",
    "conversations.replies",
    "files.completeUploadExternal",
    "files.getUploadURLExternal",
    "files.info",
    "usergroups.list",
    "usergroups.users.list",
    "users.info",
    "views.open",
    "views.publish",
    "views.push",
)


def test_the_yaml_says_what_the_document_says() -> None:
    assert yaml.safe_load(manifest(SOME)) == document(SOME)


@pytest.mark.skipif(
    not os.environ.get("SLACK_SCHEMA_DIR"),
    reason="left out: SLACK_SCHEMA_DIR does not say where Slack's own schemas are",
)
def test_slack_takes_it() -> None:
    jsonschema.Draft7Validator(schema("manifest.schema.json")).validate(yaml.safe_load(manifest(SOME)))


def test_each_scope_and_event_has_its_reason_beside_it() -> None:
    text = manifest(Registry([]))
    for name, reason in (SCOPES | EVENTS).items():
        assert f'- "{name}"  # {reason}' in text


def test_every_method_that_the_bot_calls_is_covered_by_a_scope() -> None:
    app = SlackApp.from_manifest(document(Registry([])))
    for name in CALLED:
        needed = METHODS[name].scopes
        assert not needed or app.scopes & set(needed), name


def test_no_scope_is_there_for_nothing() -> None:
    needed = {scope for name in CALLED for scope in METHODS[name].scopes}
    by_event = {"app_mentions:read", "commands", "im:history"}
    assert set(SCOPES) <= needed | by_event


def test_the_hint_is_never_too_long() -> None:
    assert len(usage_hint(tuple(SOME) * 200)) <= 1000
    assert usage_hint(()) == "help"
