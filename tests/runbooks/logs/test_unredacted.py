"""Lines as they are: known before they are read, without the Secrets that the bot has read, and of a type that goes nowhere by mistake."""

import asyncio
import copy
import json
import pickle
import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.boundary.leaving import leaf_by_leaf
from runbooks import logs
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.logs import Asked, LogLine
from runbooks.redaction.redactor import KnownSecrets, Redactor, default_redactor
from runbooks.redaction.unredacted import Unredacted
from sandbox.cluster import Cluster
from sandbox.cluster.log_moods import ANNOTATION, Mood
from sandbox.cluster.settings import Settings
from tests.support.real import Place, place

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
EVERY = Asked(target="backend", tail=5000, since=LONG_AGO)
REQUEST = re.compile(r"request ([0-9a-f]{16}) failed")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[tuple[Cluster, Place]]:
    cluster = Cluster(Settings(start_seconds=(0.05, 0.1), stop_seconds=0.1))
    async with cluster.serve():
        written = tmp_path / "admin.kubeconfig"
        written.write_text(cluster.kubeconfig())
        async with place(str(written)) as made:
            await made.deploy("backend", replicas=2)
            yield cluster, made


async def _said(world: tuple[Cluster, Place], mood: Mood, asked: Asked = EVERY) -> tuple[LogLine, ...]:
    """The lines of pods in that mood, once there are some."""
    cluster, here = world
    for pod in cluster.pods(here.namespace):
        cluster.annotate_pod(here.namespace, pod.name, ANNOTATION, mood)
    async with asyncio.timeout(60):
        while True:
            _, lines = await (await logs.unread(here.cluster, here.environment, asked)).read()
            if len(lines.lines) > 20:
                return lines.lines


async def test_what_would_be_read_is_known_by_whole_names_before_it_is(here: Place):
    await here.deploy("backend", replicas=2)
    found = await logs.unread(here.cluster, here.environment, EVERY)
    pods = await here.cluster.pods(here.namespace)
    assert found.streams == tuple(sorted(f"{pod.name}/backend" for pod in pods))


async def test_what_is_not_there_is_refused_before_anything_is_read(here: Place):
    with pytest.raises(PermanentError) as caught:
        await logs.unread(here.cluster, here.environment, Asked(target="billing"))
    assert caught.value.code is ReasonCode.NOT_FOUND


async def test_the_lines_are_what_the_container_wrote_and_the_rest_of_the_answer_has_none_of_them(here: Place):
    await here.deploy("backend", replicas=2)
    found = await logs.unread(here.cluster, here.environment, EVERY)
    beside, lines = await found.read()
    texts = [line.text for line in lines.lines]
    assert len(texts) == beside.counts.matching > 0
    written = set[str]()
    for pod in await here.cluster.pods(here.namespace):
        chunks = [chunk async for chunk in here.cluster.logs(here.namespace, pod.name, "backend")]
        written |= set(b"".join(chunks).decode().splitlines())  # a line may lie across two chunks
    assert set(texts) <= written
    assert (beside.lines, beside.groups.shapes, beside.removed) == ((), (), {})
    said = beside.model_dump_json()
    assert not [text for text in texts if text in said or json.dumps(text)[1:-1] in said]


async def test_the_same_question_without_it_is_redacted_as_ever(world: tuple[Cluster, Place]):
    private = {
        line.text for line in await _said(world, Mood.PATIENTS) if default_redactor().text(line.text) != line.text
    }
    usual = await logs.read(world[1].cluster, world[1].environment, EVERY)
    assert len(private) > 10
    assert not private & {line.text for line in usual.lines}
    assert usual.groups.shapes


async def test_a_secret_that_the_bot_has_read_is_neither_shown_nor_found_by_a_pattern(world: tuple[Cluster, Place]):
    said = await _said(world, Mood.FLOOD)  # which goes on, so on a busy machine only the newest lines are still read
    value = next(hit[1] for line in reversed(said) if (hit := REQUEST.search(line.text)))  # nobody else's
    here, every = world[1], EVERY.model_copy(update={"grep": "request "})
    default_redactor().learn([value.encode()])
    beside, lines = await (await logs.unread(here.cluster, here.environment, every)).read()
    assert not [line for line in lines.lines if value in line.text or value in line.message]
    assert sum("[secret 1]" in line.text for line in lines.lines) == 1
    assert beside.removed == {"secret": 1}
    for pattern in (value, f"request {value[:8]}", f"{value[:4]}[0-9a-f]{{12}} "):
        asked = EVERY.model_copy(update={"grep": pattern})
        beside, lines = await (await logs.unread(here.cluster, here.environment, asked)).read()
        assert (lines.lines, beside.counts.matching) == ((), 0), pattern


async def test_a_pattern_finds_what_it_would_not_find_without(world: tuple[Cluster, Place]):
    redactor = default_redactor()
    text = next(each.text for each in await _said(world, Mood.PATIENTS) if redactor.text(each.text) != each.text)
    here, asked = world[1], EVERY.model_copy(update={"grep": re.escape(text)})
    _, lines = await (await logs.unread(here.cluster, here.environment, asked)).read()
    assert {each.text for each in lines.lines} == {text}
    assert (await logs.read(here.cluster, here.environment, asked)).lines == ()


@pytest.mark.parametrize("seen", [repr, str, "{}".format, lambda each: repr({"answer": (each,)})])
def test_it_shows_nothing_of_itself(seen: Callable[[object], str]):
    assert "Maria" not in seen(Unredacted(("patient Maria Lopez",)))


@pytest.mark.parametrize("kept", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps])
def test_it_can_not_be_kept(kept: Callable[[object], object]):
    with pytest.raises(TypeError):
        kept(Unredacted(("patient Maria Lopez",)))


def test_whatever_leaves_leaf_by_leaf_does_not_have_it():
    assert leaf_by_leaf({"lines": Unredacted(("Maria",))}, str) == {"lines": "<1 unredacted lines>"}


def test_only_known_values_are_taken_out_in_any_form():
    redactor = Redactor()
    scope = KnownSecrets(redactor)
    text = "patient Maria Lopez MRN 1234567 password=correct-horse base64 Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5"
    assert scope.redact(text).text == text
    assert scope.finds_nothing(text.encode())
    redactor.learn([b"correct-horse-battery"])
    redacted = KnownSecrets(redactor).redact(f"{text} correct-horse-battery")
    assert redacted.text == text.replace("Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5", "[secret 1]") + " [secret 2]"
    assert redacted.counts == {"secret": 2}
    assert not KnownSecrets(redactor).finds_nothing(b"correct-horse-battery")
