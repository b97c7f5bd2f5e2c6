"""The plan of `secret rotate`."""

from collections.abc import Sequence

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.views import SecretView
from runbooks.deployments.places import Place, for_rotation
from runbooks.fleet.fleet import Fleet
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Step
from runbooks.kit.targets import Environment
from runbooks.kit.waiting import side_by_side
from runbooks.redaction.redactor import default_redactor
from runbooks.release.region_by_region import baked
from runbooks.release.restarting import RestartService, plan_restart
from runbooks.release.steps import CheckRollout, Take
from runbooks.rotation.settings import Rotations
from runbooks.rotation.steps import AWS_VERSION, CopyFromAws, CopyFromHome, ReplaceValues, RotateSecret
from runbooks.wording import by_count, listed


async def plan_rotation(
    cluster: ClusterClient,
    fleet: Fleet,
    environment: Environment,
    what: str,
    rotations: Rotations,
    *,
    places: Sequence[Place] = (),
    regions: Sequence[str] = (),
) -> Plan:
    """New values, then new pods of every service that reads them, one service after the other, then a check.

    With regions the values are made in the home region and copied from there to each other one, region by region. Where only others are
    named, these get the values that the home region has.
    """
    rotation, again = rotations.known[what], f"secret rotate {what}"
    there = await for_rotation(places or (Place(environment, cluster),), regions, again)
    found = await _read(cluster, environment, what, rotations)
    await side_by_side(*(_read(place.cluster, place.environment, what, rotations) for place in there.places))
    plans = [
        await plan_restart(cluster, fleet, environment, service, places=there.places) for service in rotation.services
    ]
    restarts = [step for plan in plans for step in plan.steps if isinstance(step, RestartService)]
    steps: list[Step] = []
    made: ReplaceValues | None = None
    about: tuple[str, ...] = (f"No new values are made: these are the ones that {environment.home} has now.",)
    for place in there.places:
        name = place.name
        if name == environment.home:
            replace, about = await _made(place, what, rotations, found)
            made = replace
        else:
            replace = CopyFromHome(
                namespace=environment.namespace,
                secret=rotation.secret,
                keys=rotation.keys,
                home=environment.home,
                home_kubectl=environment.kubectl,
                again=f"{again} --regions {name}",
                seen=found.resource_version,
                made_by=made.key if made is not None else "",
                made_with=made.seal if made is not None else "",
                region=name,
                kubectl=place.environment.kubectl,
            )
        own = [step for step in restarts if step.region == name]
        images = tuple(step.change for step in own)
        steps += [Take(region=name), replace, *own, CheckRollout(images=images, region=name)]
        if place is not there.places[-1]:
            steps += baked(place.region, images)
    only = f" ({listed(there.regions)} only)" if there.regions else ""
    left = [each.name for each in environment.regions if there.regions and each.name not in there.regions]
    kept = f"{listed(left)} {by_count(len(left), 'keeps', 'keep')} the old values until `{again} --regions {','.join(left)}` runs."
    return Plan(
        title=f"Rotate {what} in {environment.name}{only}",
        steps=tuple(steps),
        warnings=(
            *there.left,
            *([kept] if left else []),
            *dict.fromkeys(warning for plan in plans for warning in plan.warnings),
        ),
        notes=(
            *about,
            "Until all pods are replaced, old and new pods use different values, so one may reject what another has issued.",
        ),
    )


async def _read(cluster: ClusterClient, environment: Environment, what: str, rotations: Rotations) -> SecretView:
    """Return the Secret; PermanentError where it lacks a value that is to be replaced, or can't be changed."""
    rotation = rotations.known[what]
    found = await cluster.secret(environment.namespace, rotation.secret)
    default_redactor().learn(found.data.values())
    where = f" in {environment.region}" if environment.region else ""
    if missing := [key for key in rotation.keys if key not in found.data]:
        raise PermanentError(
            f"Secret {rotation.secret} in {environment.namespace}{where} has no {listed(missing)}.",
            code=ReasonCode.NOT_FOUND,
            advice=(
                f"Check `keys` under `environments.{environment.name}.rotations.{what}`; the bot only replaces values that exist.",
            ),
        )
    if found.immutable:
        raise PermanentError(
            f"Secret {rotation.secret} in {environment.namespace}{where} is immutable, so its values can't be replaced.",
            code=ReasonCode.CLUSTER_REFUSED,
            advice=("Recreate it without `immutable: true`, or change it where it is managed.",),
        )
    return found


async def _made(
    place: Place, what: str, rotations: Rotations, found: SecretView
) -> tuple[ReplaceValues, tuple[str, ...]]:
    """Return the step that gives the home region's Secret new values, and what people should know about it."""
    rotation, manager, environment = rotations.known[what], rotations.aws(what), place.environment
    if manager is None:
        step = RotateSecret(
            namespace=environment.namespace,
            secret=rotation.secret,
            keys=rotation.keys,
            size=rotation.size,
            region=place.name,
            kubectl=environment.kubectl,
        )
        return step, (
            "The bot generates the new values and writes them into the Secret. They are shown nowhere, and the old ones are not kept.",
        )
    source, current = manager.settings, await manager.current()
    copied = CopyFromAws(
        namespace=environment.namespace,
        secret=rotation.secret,
        keys=rotation.keys,
        what=what,
        source=source.secret_id,
        version=current.id,
        fields=source.fields,
        region=place.name,
        kubectl=environment.kubectl,
    )
    said = "The new values are read from AWS once this is approved, written into the Secret in one change, and shown nowhere."
    again = "The Secret already has the values of this version; they are written again."
    return copied, (said, again) if found.annotations.get(AWS_VERSION) == current.id else (said,)
