"""`metrics`, as people see it: the answer, the table, and the picture below it."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.scenarios import BY_NAME
from tests.support.worlds import ON_CALL, Story, story


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Story]:
    async with story(tmp_path / "world", parts=("verification",)) as made:
        await made.inside()
        yield made


async def test_the_answer_comes_first_and_the_picture_is_shared_below_with_its_words(here: Story) -> None:
    await here.deployed("v2.0.0")
    await here.world.play(BY_NAME["error-rate"])
    await here.type(ON_CALL, "/omnicare metrics")
    said = await here.answered("error rate is above its limit")
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

    await here.type(ON_CALL, "/omnicare status")
    said = await here.answered("production runs v2.0.0, error")
    assert "🟡 production runs v2.0.0, error rate above its limit, 1 alert fires" in said
    assert "above its limit (&lt; 0.1 %) since" in said
    assert "HighErrorRate since" in said
    assert "*API p95*" in said
    assert here.world.prometheus is not None
    here.world.prometheus.silent.add("db_query_duration_seconds")
    await here.type(ON_CALL, "/omnicare metrics db-p95 --since 1h")
    assert "Database p95 (no data)" in await here.answered("1 of 1 metric is unknown")
