"""A Secret read by its name, on both clusters: what is in it, that nothing shows it, and that there may be none."""

import pytest

from runbooks.kit.errors import RunbookError
from runbooks.kit.reasons import ReasonCode
from tests.support.real import Place


async def test_a_secrets_values_are_read_and_no_repr_shows_them(here: Place):
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "reader"},
        "stringData": {"username": "omnicare_reader", "password": "p\nw-ü"},
    }
    await here.create(f"/api/v1/namespaces/{here.namespace}/secrets", body)
    found = await here.cluster.secret(here.namespace, "reader")
    assert found.data == {"username": b"omnicare_reader", "password": "p\nw-ü".encode()}
    assert "omnicare_reader" not in repr(found)
    with pytest.raises(RunbookError) as caught:
        await here.cluster.secret(here.namespace, "another")
    assert caught.value.code is ReasonCode.NOT_FOUND


async def test_whether_one_secret_may_be_read_is_asked_by_its_name(here: Place):
    assert (await here.cluster.may("get", "", "secrets", here.namespace, "", "reader")).allowed
