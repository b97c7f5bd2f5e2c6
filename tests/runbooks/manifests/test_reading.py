"""Files of manifests: what is a ConfigMap is a typed value, all else is named, and whatever is not clear is refused with its place."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.manifests.reading import LARGEST, read_manifests

GOOD = b"""
apiVersion: v1
kind: ConfigMap
metadata: {name: backend-config, namespace: omnicare-prod, labels: {app: backend, app.kubernetes.io/part-of: ""}}
data:
  LOG_LEVEL: info
  SYNC_BATCH: "50"
---
apiVersion: v1
kind: Service
metadata: {name: backend}
---
"""


def _read(content: bytes) -> object:
    return read_manifests("devops/config.yaml", content, "omnicare-prod")


def test_config_maps_are_read_and_other_kinds_are_named() -> None:
    found = read_manifests("devops/config.yaml", GOOD, "omnicare-prod")
    (wanted,) = found.config_maps
    assert wanted.data == {"LOG_LEVEL": "info", "SYNC_BATCH": "50"}
    assert wanted.labels == {"app": "backend", "app.kubernetes.io/part-of": ""}
    assert found.others == ("Service backend",)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"kind: [", "it is not YAML at line"),
        (b"\xff\xfe", "it is not YAML"),
        (b"- a\n- b\n", "object 1 is not a mapping"),
        (b"kind: ConfigMap\n", "object 1 has no kind or no name"),
        (
            GOOD.replace(b'"50"', b"50"),
            "data of backend-config are not all strings: put numbers and true/false in quotes",
        ),
        (GOOD.replace(b"omnicare-prod", b"kube-system"), "is for another namespace than omnicare-prod"),
        (GOOD + GOOD, "it has the same ConfigMap twice"),
        (GOOD.replace(b"\ndata:", b"\nbinaryData: {a: aGk=}\ndata:"), "has binary data"),
        (GOOD.replace(b"backend-config", b"Backend_Config"), "object 1 is not a valid ConfigMap: its name is not"),
        (GOOD.replace(b"LOG_LEVEL", b'"a b"'), "not every key consists of"),
        (GOOD.replace(b"app: backend", b"app: a/b"), "not all of its labels are valid"),
        (b"a: &a [x]\nb: [*a, *a]\n", "it uses YAML aliases"),
        (b"x: " + b"y" * LARGEST, "it is larger than 1 MiB"),
        (b"---\nkind: A\nmetadata: {name: b}\n" * 300, "it has more than 200 objects"),
        (b"[" * 5000 + b"]" * 5000, "object 1 is not a mapping"),
        (b"!!python/object/apply:os.system ['true']", "it is not YAML"),
    ],
)
def test_whatever_is_not_clear_is_refused_with_the_file_and_the_place(content: bytes, why: str) -> None:
    with pytest.raises(PermanentError) as refused:
        _read(content)
    assert refused.value.code is ReasonCode.MANIFEST_INVALID
    assert refused.value.message.startswith("devops/config.yaml can't be applied: ")
    assert why in refused.value.message


@given(
    st.binary(max_size=200) | st.text(alphabet="kind: ConfigMap\n{}[]-&*!\"'|>metadata", max_size=200).map(str.encode)
)
def test_any_bytes_are_a_file_or_a_refusal(content: bytes) -> None:
    with suppress(PermanentError):
        _read(content)
