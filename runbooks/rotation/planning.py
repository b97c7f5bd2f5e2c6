"""The plan of `secret rotate`."""

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.fleet.fleet import Fleet
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Environment
from runbooks.redaction.redactor import default_redactor
from runbooks.release.restarting import plan_restart
from runbooks.release.steps import CheckRollout, RestartService, Take, images_of
from runbooks.rotation.settings import Rotations
from runbooks.rotation.steps import AWS_VERSION, CopyFromAws, ReplaceValues, RotateSecret
from runbooks.wording import listed


async def plan_rotation(
    cluster: ClusterClient, fleet: Fleet, environment: Environment, what: str, rotations: Rotations
) -> Plan:
    """New values, then new pods of every service that reads them, one service after the other, then a check."""
    rotation = rotations.known[what]
    found = await cluster.secret(environment.namespace, rotation.secret)
    default_redactor().learn(found.data.values())
    if missing := [key for key in rotation.keys if key not in found.data]:
        raise PermanentError(
            f"Secret {rotation.secret} in {environment.namespace} has no {listed(missing)}.",
            code=ReasonCode.NOT_FOUND,
            advice=(
                f"Check `keys` under `environments.{environment.name}.rotations.{what}`; the bot only replaces values that exist.",
            ),
        )
    plans = [await plan_restart(cluster, fleet, environment, service) for service in rotation.services]
    namespace, secret, keys = environment.namespace, rotation.secret, rotation.keys
    manager = rotations.aws(what)
    replace: ReplaceValues
    if manager is None:
        replace = RotateSecret(namespace=namespace, secret=secret, keys=keys, size=rotation.size)
        about = [
            "The bot generates the new values and writes them into the Secret. They are shown nowhere, and the old ones are not kept."
        ]
    else:
        source = manager.settings
        current = await manager.current()
        replace = CopyFromAws(
            namespace=namespace,
            secret=secret,
            keys=keys,
            what=what,
            source=source.secret_id,
            version=current.id,
            fields=source.fields,
        )
        about = [
            "The new values are read from AWS once this is approved, written into the Secret in one change, and shown nowhere."
        ]
        if found.annotations.get(AWS_VERSION) == current.id:
            about.append("The Secret already has the values of this version; they are written again.")
    restarts = [step for plan in plans for step in plan.steps if isinstance(step, RestartService)]
    images = tuple(image for plan in plans for image in images_of(plan))
    return Plan(
        title=f"Rotate {what} in {environment.name}",
        steps=(Take(), replace, *restarts, CheckRollout(images=images)),
        warnings=(*_here_only(environment), *dict.fromkeys(warning for plan in plans for warning in plan.warnings)),
        notes=(
            *about,
            "Until all pods are replaced, old and new pods use different values, so one may reject what another has issued.",
        ),
    )


def _here_only(environment: Environment) -> list[str]:
    others = [each.name for each in environment.regions if each.name != environment.home]
    if not others:
        return []
    return [f"Only the Secret in {environment.home} changes; {listed(others)} keep the old values, and their pods too."]
