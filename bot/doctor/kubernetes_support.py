"""How long a cluster's Kubernetes version is supported, from dates that its maintainers have published.

Sources: the Kubernetes project's release pages (https://kubernetes.io/releases/, read in September 2026), and the release calendar in the user guide
of Amazon EKS (https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html, read in April 2026). What is not in a table is unknown.
"""

import re
from collections.abc import Mapping
from datetime import date, timedelta

from bot.doctor.findings import DoctorFinding, failed, fine, warning

UPSTREAM: Mapping[int, date] = {
    22: date(2022, 12, 8),
    23: date(2023, 2, 28),
    24: date(2023, 7, 28),
    25: date(2023, 10, 28),
    26: date(2024, 2, 28),
    27: date(2024, 7, 16),
    28: date(2024, 10, 22),
    29: date(2025, 2, 28),
    30: date(2025, 7, 15),
    31: date(2025, 11, 11),
    32: date(2026, 2, 28),
    33: date(2026, 6, 28),
    34: date(2026, 10, 27),
    35: date(2027, 2, 28),
    36: date(2027, 6, 28),
    37: date(2027, 10, 28),
}
"""Minor version of Kubernetes 1 → the end of its life."""
EKS: Mapping[int, tuple[date, date]] = {
    24: (date(2024, 1, 31), date(2025, 1, 31)),
    25: (date(2024, 5, 1), date(2025, 5, 1)),
    26: (date(2024, 6, 11), date(2025, 6, 11)),
    27: (date(2024, 7, 24), date(2025, 7, 24)),
    28: (date(2024, 11, 26), date(2025, 11, 26)),
    29: (date(2025, 3, 23), date(2026, 3, 23)),
    30: (date(2025, 7, 23), date(2026, 7, 23)),
    31: (date(2025, 11, 26), date(2026, 11, 26)),
    32: (date(2026, 3, 23), date(2027, 3, 23)),
    33: (date(2026, 7, 29), date(2027, 7, 29)),
    34: (date(2026, 12, 2), date(2027, 12, 2)),
    35: (date(2027, 3, 27), date(2028, 3, 27)),
}
"""The same on Amazon EKS → the end of standard support, the end of extended support."""
_SOON = timedelta(days=90)
_VERSION = re.compile(r"v?1\.([0-9]{1,3})(?:\.[0-9]{1,4})?([^0-9].*)?", re.ASCII)
_UPGRADE = "Upgrade the cluster, one minor version at a time."


def support(where: str, version: str, today: date) -> DoctorFinding:
    """Return whether the version that a cluster tells (`v1.33.4-eks-abc`) is supported on that day, with the date on which that ends."""
    found = _VERSION.fullmatch(version)
    minor, build = (int(found[1]), found[2] or "") if found else (0, "")
    eks = "-eks-" in build
    known = EKS if eks else UPSTREAM
    if found is None or minor > max(known):
        source = "Amazon EKS" if eks else "the Kubernetes project"
        return warning(
            f"{where}: whether Kubernetes {version[:40]} is supported is unknown here.",
            f"Look at the release calendar of {source}. A newer version of the bot knows newer dates.",
        )
    if eks:
        return _on_eks(f"{where}: Kubernetes 1.{minor} on Amazon EKS", minor, today)
    about = f"{where}: Kubernetes 1.{minor}"
    ends = UPSTREAM.get(minor)
    if ends is None:
        return failed(f"{about} has been out of support since before {_day(min(UPSTREAM.values()))}.", _UPGRADE)
    if today > ends and build:
        return warning(
            f"{about} has had no fixes from the Kubernetes project since {_day(ends)}.",
            f"Ask whoever provides the cluster how long they support {version[:40]}.",
        )
    if today > ends:
        return failed(f"{about} has been out of support since {_day(ends)}: it gets no security fixes.", _UPGRADE)
    return _ending(about, "support", ends, today)


def _on_eks(about: str, minor: int, today: date) -> DoctorFinding:
    if minor not in EKS:
        return failed(
            f"{about} has been out of support since before {_day(min(ends for _, ends in EKS.values()))}.", _UPGRADE
        )
    standard, extended = EKS[minor]
    if today > extended:
        advice = f"{_UPGRADE} AWS upgrades the control plane by itself, at a time that nobody chooses."
        return failed(f"{about} has been out of support since {_day(extended)}.", advice)
    if today > standard:
        return warning(
            f"{about} has been in extended support, at extra cost, since {_day(standard)}; that ends on {_day(extended)}.",
            _UPGRADE,
        )
    return _ending(about, "standard support", standard, today)


def _ending(about: str, what: str, ends: date, today: date) -> DoctorFinding:
    said = f"{about} has {what} until {_day(ends)}."
    return (
        warning(said, f"Plan the upgrade: {(ends - today).days} days are left.") if ends - today < _SOON else fine(said)
    )


def _day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"
