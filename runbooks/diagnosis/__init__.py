"""Why a rollout fails: what Kubernetes shows, turned into one cause, with evidence that a person can read.

One module a family of causes (`images`, `crashes`, `probes`, `config`, `volumes`, `scheduling`, `admission`, `nodes`,
`starting`, `leaving`; what none of them knows `conditions` tells in Kubernetes' own words), each with its
usual causes and what to do about them. `certain` is asked at every change of a rollout: it names what no waiting will mend.
`pending` says on the progress line what only takes long, `at_deadline` what took too long, and `explained` makes the error.
`standing` is for who only looks, with no rollout at hand; `of_job` is for the pod of a Job.
"""

from runbooks.diagnosis.diagnosing import at_deadline, certain, every_standing, of_job, pending, standing
from runbooks.diagnosis.explaining import KnownCluster, clean, explained
from runbooks.diagnosis.snapshot import Cause, Crash, PodsSnapshot, Snapshot

__all__ = [
    "Cause",
    "Crash",
    "KnownCluster",
    "PodsSnapshot",
    "Snapshot",
    "at_deadline",
    "certain",
    "clean",
    "every_standing",
    "explained",
    "of_job",
    "pending",
    "standing",
]
