"""A runtime's message, as people read it: each image's name once, so that the end, which says why, has room."""

import pytest

from runbooks.kit.plan import with_names_once

DIGEST = "4e6229e9960d366646c5188965074e97238b08ec97eb5e3ab09faea08cbfd336"
IMAGE = f"ghcr.io/omnicare/frontend:v2.1.0-bad@sha256:{DIGEST}"
SHORT = "ghcr.io/omnicare/frontend:v2.1.0-bad@sha256:4e6229e9960d…"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (
            (f'Failed to pull image "{IMAGE}": rpc error: code = NotFound desc = failed to pull and unpack image "{IMAGE}": '
            f'failed to resolve reference "{IMAGE}": {IMAGE}: not found'),
            (f'Failed to pull image "{SHORT}": rpc error: code = NotFound desc = failed to pull and unpack image …: '
            "failed to resolve reference …: …: not found"),
        ),
        (
            "Error response from daemon: manifest for localhost:5000/backend:v2 not found; localhost:5000/backend:v3 neither",
            "Error response from daemon: manifest for localhost:5000/backend:v2 not found; localhost:5000/backend:v3 neither",
        ),
        ("0/3 nodes are available: 3 Insufficient cpu, 0/3 nodes", "0/3 nodes are available: 3 Insufficient cpu, 0/3 nodes"),
        ("GET /health 503, GET /health 503", "GET /health 503, GET /health 503"),
    ],
)  # fmt: skip
def test_an_image_is_named_once_in_a_message(message: str, shown: str) -> None:
    assert with_names_once(message) == shown


@pytest.mark.parametrize(
    "text", ["a/" * 200_000, "a:" * 200_000, "a/b:" * 100_000, '"' * 200_000, "a." * 200_000 + "/"]
)
def test_a_message_of_any_length_is_read_in_linear_time(text: str) -> None:
    assert with_names_once(text) == text or "…" in with_names_once(text)
