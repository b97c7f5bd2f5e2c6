"""S3's errors: each its own sentence with what to do, and no word of S3's own message."""

import pytest
from botocore.exceptions import ClientError

from runbooks.clients.aws.bucket import _SAID, ObjectThere, _wrapped
from runbooks.kit.errors import PermanentError, TemporaryError


def _error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "patient Maria Lopez"}}, "PutObject")


def test_a_conflict_of_two_writes_is_tried_again_and_not_taken_for_there_already():
    found = _wrapped(_error("ConditionalRequestConflict"), "write s3://exports/a")
    assert isinstance(found, TemporaryError)
    assert not isinstance(found, ObjectThere)
    assert isinstance(_wrapped(_error("PreconditionFailed"), "write s3://exports/a"), ObjectThere)


@pytest.mark.parametrize("code", _SAID)
def test_an_error_that_is_known_says_what_it_is_and_what_to_do(code: str):
    found = _wrapped(_error(code), "write s3://exports/a")
    assert isinstance(found, PermanentError)
    assert found.message == f"S3 can't write s3://exports/a: {_SAID[code][0]} ({code})."
    assert found.advice
    assert "Maria" not in f"{found.message}{found.advice}"
