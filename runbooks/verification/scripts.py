"""A script of the release that runs as a Job from the image that runs, and prints what it found."""

from typing import ClassVar

from pydantic import Field, field_validator

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.jobs import JobSpec, SecretVariable, Word
from runbooks.deployments.service_state import current, image_for_job
from runbooks.jobs.running import JobEnd, run_job
from runbooks.kit.errors import PermanentError
from runbooks.kit.programs import plain
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Pulse
from runbooks.kit.targets import Environment, Frozen
from runbooks.redaction.redactor import default_redactor
from runbooks.verification.findings import Verdict, VerificationFinding, Verified, unknown
from runbooks.wording import shortened

_ENVIRONMENT = "$environment"


class ReleaseScript(Frozen):
    """A script in the release's image. A subclass says how its output is read."""

    what: ClassVar[str]
    """In the Job's name."""
    about: ClassVar[str]
    """The name of the one finding where there is no result."""
    words: tuple[str, ...] = Field(min_length=1)
    """The program. `$environment` is the environment's name."""
    secrets: tuple[SecretVariable, ...] = ()
    """Environment variables from Secrets, such as a test account's password: `{variable = "…", secret = "…", key = "…"}`."""
    seconds: int = Field(default=300, gt=0, le=3600)
    """Time limit for the Job, pulling the image included."""

    @field_validator("words")
    @classmethod
    def _plain(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        plain(tuple(word.replace(_ENVIRONMENT, "x") for word in words))
        return words

    def program(self, environment: str) -> tuple[Word, ...]:
        """Return the words as they are run."""
        return tuple(word.replace(_ENVIRONMENT, environment) for word in self.words)

    def judged(self, end: JobEnd) -> tuple[VerificationFinding, ...]:
        """Return what the script found."""
        raise NotImplementedError


async def judged_job(
    pulse: Pulse, cluster: ClusterClient, environment: Environment, service: str, script: ReleaseScript
) -> Verified:
    """Return what the script found; one finding for all of it where the Job gives no result.

    Raises `Stopped`, and TemporaryError: asked again, it goes on with the Job that it has created.
    """
    name = script.about
    try:
        state = next(each for each in await current(cluster, environment) if each.service == service)
        image = image_for_job(state)
        found = environment.service(service)
        spec = JobSpec(
            namespace=environment.namespace,
            kubectl=environment.kubectl,
            what=script.what,
            image=image.reference,
            words=script.program(environment.name),
            environment=script.secrets,
            like=found.deployment if found is not None else None,
            deadline=script.seconds,
        )
        return Verified(findings=script.judged(await run_job(pulse, cluster, spec)))
    except PermanentError as error:
        said = error.message.rstrip(".")
        if error.code is ReasonCode.TIMED_OUT:
            return Verified(
                findings=(VerificationFinding(name=name, verdict=Verdict.FAILED, value="did not finish", detail=said),)
            )
        return Verified(findings=(unknown(name, said),))


def not_understood(name: str, end: JobEnd, why: object) -> VerificationFinding:
    """Return the finding for an output that is not clear: never passed, and failed where the script says that it failed."""
    detail = f"exited with status {end.exit_code}, and its output can't be read: {why}"
    if end.ok:
        return unknown(name, detail)
    return VerificationFinding(name=name, verdict=Verdict.FAILED, value="failed", detail=detail)


def unexplained(name: str, end: JobEnd, what: str) -> VerificationFinding:
    """Return the finding for a script that failed though it reports no failed `what`."""
    said = f"exited with status {end.exit_code}, but reports no failed {what}"
    return VerificationFinding(name=name, verdict=Verdict.FAILED, value="failed", detail=said)


def shown_name(name: str) -> str:
    """Return a name that the script printed, without what may be about a patient."""
    return shortened(" ".join(default_redactor().text(name).split()), 60)
