"""`certs`: from the sandbox's own TLS hosts to the card."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.scenarios import BY_NAME
from tests.support.worlds import AUDITOR, ON_CALL, Story, story


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Story]:
    async with story(tmp_path / "world", parts=("certificates",)) as made:
        yield made


async def test_certificates_are_told_the_soonest_first_and_one_that_is_about_to_expire(here: Story):
    said = await here.answer(AUDITOR, "certs", "3 certificates of production, the first expires in 62 days")
    for each in ("🟢", "api.omnicare-health.com", "Secret omnicare-tls", "OmniCare Sandbox CA"):
        assert each in said
    await here.world.play(BY_NAME["cert-expiry"])
    said = await here.answer(ON_CALL, "certs", BY_NAME["cert-expiry"].cause)
    assert "expires in 5 days" in said
    assert "It was renewed in Secret omnicare-tls: install it on the server of api.omnicare-health.com" in said
