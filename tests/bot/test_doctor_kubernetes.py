"""`doctor` on a cluster's version: supported, ending, out of support, or unknown; always with its date."""

from datetime import date

import pytest

from bot.doctor.findings import Severity
from bot.doctor.kubernetes_support import EKS, UPSTREAM, support

TODAY = date(2026, 11, 29)


@pytest.mark.parametrize(
    ("version", "level", "words"),
    [
        ("v1.28.15-eks-4136f65", Severity.FAILED, "on Amazon EKS has been out of support since 26 November 2025"),
        ("v1.20.4-eks-6b7464", Severity.FAILED, "out of support since before 31 January 2025"),
        ("v1.32.9-eks-113cf36", Severity.WARNING, "in extended support, at extra cost, since 23 March 2026"),
        ("v1.34.1-eks-113cf36", Severity.WARNING, "has standard support until 2 December 2026"),
        ("v1.35.0-eks-113cf36", Severity.FINE, "has standard support until 27 March 2027"),
        ("v1.37.1-eks-113cf36", Severity.WARNING, "is unknown here"),
        ("v1.34.2", Severity.FAILED, "has been out of support since 27 October 2026"),
        ("v1.20.2", Severity.FAILED, "out of support since before"),
        ("v1.34.2+k3s1", Severity.WARNING, "has had no fixes from the Kubernetes project since 27 October 2026"),
        ("v1.36.4", Severity.FINE, "has support until 28 June 2027"),
        ("v1.35.9", Severity.FINE, "has support until 28 February 2027"),
        ("v1.99.0", Severity.WARNING, "is unknown here"),
        ("v2.0.0", Severity.WARNING, "is unknown here"),
        ("", Severity.WARNING, "is unknown here"),
    ],
)
def test_a_version_is_told_with_its_date(version: str, level: Severity, words: str) -> None:
    found = support("production", version, TODAY)
    assert (found.level, words in found.sentence, bool(found.to_do)) == (level, True, level is not Severity.FINE), found


def test_the_dates_grow_with_the_versions_and_extended_support_is_a_year_longer() -> None:
    assert list(UPSTREAM.values()) == sorted(UPSTREAM.values())
    assert all(after.replace(year=after.year - 1) == before for before, after in EKS.values())
