"""AWS's own variables work as for its other tools."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbooks.clients.aws.client import AwsApi, AwsClient


@pytest.fixture
def environment() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.usefixtures("environment")
async def test_the_profile_that_aws_profile_names_gives_region_and_credentials(tmp_path: Path) -> None:
    config, secrets = tmp_path / "config", tmp_path / "credentials"
    config.write_text("[profile omnicare-prod]\nregion = eu-central-1\n")
    secrets.write_text("[omnicare-prod]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = not-a-secret\n")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= {
        "AWS_PROFILE": "omnicare-prod",
        "AWS_CONFIG_FILE": str(config),
        "AWS_SHARED_CREDENTIALS_FILE": str(secrets),
    }
    client = AwsClient(AwsApi(id="s3", name="S3"))
    region = await client.call("look", lambda made: made.meta.region_name, needs="s3:ListBucket")
    key = await client.call("look", lambda made: made._request_signer._credentials.access_key, needs="s3:ListBucket")
    assert (region, key) == ("eu-central-1", "AKIDEXAMPLE")
