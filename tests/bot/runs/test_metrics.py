"""`metrics`, as people see it: the answer, the table, and the picture below it."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web

from sandbox.outside.prometheus import Raised
from sandbox.scenarios import BY_NAME
from tests.support.past_errors import errors_between
from tests.support.worlds import ON_CALL, Story, story


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Story]:
    async with story(tmp_path / "world", parts=("verification",)) as made:
        await made.inside()
        yield made


async def test_the_answer_comes_first_and_the_picture_is_shared_below_with_its_words(here: Story) -> None:
    await here.deployed("v2.0.0")
    await here.world.play(BY_NAME["error-rate"])
    said = await here.answer(ON_CALL, "metrics", "error rate is above its limit")
    assert "🔴" in said
    assert "usually 0.0" in said
    assert "HighErrorRate" in said
    files = here.world.workspace.files
    await here.until(lambda: any(each.shares for each in files.values()), "the picture")
    (picture,) = files.values()
    assert re.fullmatch(r"production-metrics-\d\d-\d\d\.png", picture.title)
    assert picture.mimetype == "image/png"
    assert "Error rate: 2." in (picture.alt_txt or "")
    assert "v2.0.0 by Maya." in (picture.alt_txt or ""), "the deploy is marked"
    assert (picture.content or b"").startswith(b"\x89PNG")

    said = await here.answer(ON_CALL, "status", "production runs v2.0.0, error")
    assert "🟡 production runs v2.0.0, error rate above its limit, 1 alert fires" in said
    assert "above its limit (&lt; 0.1 %) since" in said
    assert "HighErrorRate since" in said
    assert "*API p95*" in said
    assert here.world.prometheus is not None
    here.world.prometheus.silent.add("db_query_duration_seconds")
    assert "Database p95 (no data)" in await here.answer(
        ON_CALL, "metrics db-p95 --since 1h", "1 of 1 metric is unknown"
    )


async def test_status_metrics_and_diagnose_say_alike_that_a_metric_recovers(here: Story) -> None:
    assert here.world.prometheus is not None
    now = time.time()
    here.world.prometheus.fault = partial(errors_between, now - 1200, now - 210)
    said = await here.answer(ON_CALL, "metrics error-rate", "production: error rate has been recovering since ")
    since = re.findall(r"error rate has been recovering since (\d\d:\d\d)", said)[0]
    assert "🟡" in said
    assert "over the newest minute, the limit is < 0.1 %" in said
    assert "above its limit" not in said
    said = await here.answer(ON_CALL, "status", "🟡 production runs v1.2.0, error rate recovering since ")
    assert f"error rate recovering since {since}" in said
    assert "still above its limit (&lt; 0.1 %)" in said
    assert f"Error rate: recovering since {since}" in await here.answer(
        ON_CALL, "diagnose", "Error rate: recovering since "
    )


async def test_regions_with_their_own_prometheus_stand_side_by_side_and_one_that_is_silent_is_named(
    tmp_path: Path,
) -> None:
    async with story(tmp_path / "world", parts=("verification",), regions=("eu", "us")) as here:
        await here.inside()
        prometheus, alertmanager = here.world.monitoring["us"]
        prometheus.raised["http_requests_total"] = Raised(time.time() - 1500)
        alertmanager.fire("HighErrorRate", 23)

        async def typed(command: str, words: str) -> str:
            return (await here.answer(ON_CALL, command, words)).replace('"}, {"type": "text", "text": "', "")

        said = await typed("status", "error rate above its limit in us, 1 alert fires in us")
        under_eu, under_us = said.partition('"text": "us", "style"')[::2]
        assert '"text": "eu", "style"' in under_eu
        assert "Error rate: 0.0" in under_eu
        assert "Alerts: none" in under_eu
        assert "Error rate: 2." in under_us
        assert "Alerts: HighErrorRate since " in under_us
        said = await typed("metrics", "production: error rate in us is above its limit")
        assert "us: " in said.partition("Alerts: ")[2]
        assert "metrics --region us" in said
        files = here.world.workspace.files
        await here.until(lambda: any(each.shares for each in files.values()), "the picture")
        (picture,) = files.values()
        assert re.search(r"Error rate: 2\.\d+ % \(us\), above its limit since ", picture.alt_txt or "")
        assert "HighErrorRate in us." in (picture.alt_txt or "")
        said = await typed("metrics error-rate --region eu", "eu in production: ")
        assert "1 metric within its limit in eu" in said
        said = await typed("diagnose", "the limit is 0.1 % (us)")
        assert "metrics error-rate --region us" in said
        assert "1 alert fires: HighErrorRate (us)" in said

        prometheus.fault = alertmanager.fault = lambda _: web.Response(status=503)
        said = await typed("status", "🟡 production runs v1.2.0, metrics and alerts unknown in us")
        assert "unknown, because Alertmanager does not answer" in said
        assert "unknown: Prometheus answers with status 503" in said
        assert "Error rate: 0.0" in said
        said = await typed("metrics error-rate", "production: all metrics in us are unknown")
        assert "all in us (Prometheus answers with status 503)" in said
        await here.type(ON_CALL, "/omnicare home")
        await here.whispered(ON_CALL, "alerts in us unknown")
        await here.type(ON_CALL, "/omnicare metrics --region us --env staging")
        await here.whispered(ON_CALL, "staging")


async def test_a_regions_prometheus_that_accepts_and_never_answers_is_unknown_and_holds_up_nothing(
    tmp_path: Path,
) -> None:
    async with story(tmp_path / "world", parts=("verification",), regions=("eu", "us")) as here:
        await here.inside()
        await here.deployed("v2.0.0")
        prometheus, _ = here.world.monitoring["us"]
        ended = asyncio.Event()

        async def never(_: web.Request) -> web.StreamResponse:
            await ended.wait()
            return web.Response(status=503)

        async def typed(command: str, words: str) -> tuple[str, int]:
            """Return the answer, and how often the silent server was asked for it."""
            asked = len(prometheus.asked)
            return await here.answer(ON_CALL, command, words), len(prometheus.asked) - asked

        prometheus.fault = never
        try:
            said, tries = await typed("status", "🟡 production runs v2.0.0, metrics unknown in us")
            assert "Error rate: unknown: no answer within " in said.replace('"}, {"type": "text", "text": "', "")
            assert "Error rate: 0.0" in said.replace('"}, {"type": "text", "text": "', ""), "eu answers"
            assert tries == len(("error-rate", "api-p95")), "each once"
            said, tries = await typed("metrics error-rate", "production: all metrics in us are unknown")
            assert "all in us (no answer within " in said
            assert tries == 1
            said, _ = await typed("diagnose", "Could not check metrics: us: ")
            assert "no answer within " in said
            run = await here.ask("rollback", who=ON_CALL)
            await here.press(ON_CALL, "approve", run)
            await here.ended_with(run, "Back on v1.2.0 in production")
            assert (here.tag("backend"), here.tag("backend", region="us")) == ("v1.2.0", "v1.2.0")
        finally:
            ended.set()
