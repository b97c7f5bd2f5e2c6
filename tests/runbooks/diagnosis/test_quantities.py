"""Amounts as Kubernetes writes them; what is none counts as nothing, whoever wrote it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.utils.quantity import parse_quantity

from runbooks.diagnosis.quantities import amount, shown


@given(
    st.one_of(st.integers(0, 10**12).map(str), st.decimals(0, 10**6, places=3).map(str)),
    st.sampled_from(["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]),
)
def test_an_amount_is_what_kubernetes_own_client_reads(number: str, unit: str):
    assert math.isclose(amount(number + unit), float(parse_quantity(number + unit)), rel_tol=1e-9)


@given(st.one_of(st.text(max_size=20), st.text(alphabet="0123456789.eE+-mKi", max_size=20)))
def test_whatever_is_written_is_a_finite_amount(text: str):
    assert 0 <= amount(text) < float("inf")
    assert shown("memory", amount(text))


@pytest.mark.parametrize("text", ["", ".", "1.2.3", "1e999", "٣", "-1", "1Q", "NaN", "12 Mi"])
def test_what_is_no_amount_counts_as_nothing(text: str):
    assert amount(text) == 0
