"""What people should know about a deploy, a rollback or a restart before they say yes, in sentences."""

from collections.abc import Collection, Mapping, Sequence

from runbooks.deployments.places import Place, rest_at_once, versions_of
from runbooks.deployments.service_state import WORDS, ServiceState
from runbooks.fleet.fleet import EnvironmentRecord, KnownReleases, Release
from runbooks.kit.answers import read_time
from runbooks.kit.plan import ImageChange, Unusual
from runbooks.wording import age_since, by_count, duration, listed


def paced(places: Sequence[Place], changes: Sequence[ImageChange]) -> list[str]:
    """Say how quickly new pods come, in which order the regions go, and what is between them."""
    quick = rest_at_once(places) & {change.service for change in changes}
    said = f"{listed(sorted(quick))}: once a first new pod is ready, the others start at once where there is room (`rest_at_once`)."
    return [*([said] if quick else []), *_one_by_one(places)]


def _one_by_one(places: Sequence[Place]) -> list[str]:
    if len(places) < 2:  # noqa: PLR2004 - one has no order
        return []
    baked = [
        f"{place.name} for {duration(place.region.bake_seconds)}" for place in places[:-1] if place.region.bake_seconds
    ]
    between = f"; the release bakes in {listed(baked)} and is checked again before the next region" if baked else ""
    return [f"Region by region: {', then '.join(place.name for place in places)}{between}."]


def together(states: Sequence[ServiceState]) -> list[str]:
    """By which mirror it is pulled, which containers go with their service, and which of the same repository do not."""
    said = [f"{state.named}: the cluster pulls it from {state.mirror} (`mirrors`)." for state in states if state.mirror]
    for state in states:
        if state.beside:
            names = ", ".join(each.named for each in state.beside)
            verb = by_count(len(state.beside), "goes", "go")
            said.append(f"{state.named}: {names} {verb} with it, because of the same repository.")
        if state.kept:
            verb = by_count(len(state.kept), "is not changed", "are not changed")
            said.append(
                f"{state.named}: {', '.join(state.kept)} {verb} (`keeps`), although the repository is the same."
            )
    return said


def alone(version: str, only: str | None, others: Sequence[ServiceState]) -> tuple[Unusual, ...]:
    """Return what is unusual about a deploy of one service: that the others run something else, or do not run completely."""
    other = [each for each in others if each.image is None or each.image.tag != version or not each.runs_completely]
    if only is None or not other:
        return ()
    stays = listed(f"{each.named} ({each.shown}{_not_complete(each)})" for each in other)
    verb = by_count(len(other), "stays as it is", "stay as they are")
    return (Unusual(option=f"--only {only}", what=f"Only {only} is deployed: {stays} {verb}.", needs_reason=False),)


def _not_complete(state: ServiceState) -> str:
    return f", {WORDS[state.state]}" if state.state != "complete" else ""


def from_history(known: KnownReleases, usable: Sequence[Release], to: str | None) -> str:
    """Say that an image comes from the Deployments' revision history, and why."""
    if known.absent:
        what = f"The image of {to}" if to is not None else "What each service goes back to"
        return f"{what} comes from the Deployments' revision history."
    if to is not None:
        return f"{to} was never recorded as a release; it comes from the Deployments' revision history."
    bad = {each.version for each in known.releases if each.verdict == "bad"}
    other = "other " if any(each.version not in bad for each in usable) else ""
    return f"No {other}good release is recorded, so each service goes back to its previous revision, as with `kubectl rollout undo`."


def as_recorded(release: Release) -> str:
    by = f" by {release.by}" if release.by else ""
    found = read_time(release.at)
    at = f"{age_since(found)} ago" if found is not None else "at an unknown time"
    good = "the last known good release" if release.verdict == "good" else "a recorded release"
    # what was adopted may have run for weeks before
    did = "rolled out" if release.seconds is not None else "recorded while running"
    return f"{release.version} is {good}, {did} {at}{by}."


def staying(regions: Mapping[str, Sequence[ServiceState]], targets: Collection[str], to: str | None) -> list[str]:
    """Name the regions that have nothing to go back to."""
    return [
        f"{f'{to} was never released' if to else 'No earlier good release is known'} in {region}, which stays on {versions_of(states)}."
        for region, states in regions.items()
        if region and not any(state.named in targets for state in states)
    ]


def not_trusted(states: Sequence[ServiceState]) -> list[str]:
    """What runs and is not ours, and what was written on the Deployments and can't be read."""
    foreign = [state.foreign for state in states if state.foreign]
    return [*foreign, *(f"{state.named}: {each}" for state in states for each in state.unknown)]


def undecided(record: EnvironmentRecord) -> list[str]:
    return [f"The environment is undecided since: {record.undecided.title}"] if record.undecided is not None else []


def marked_bad(releases: Sequence[Release], version: str) -> list[str]:
    found = next((release for release in releases if release.version == version and release.verdict == "bad"), None)
    return [f"{version} was marked bad ({found.why})."] if found is not None else []


def older_version(older: Sequence[ImageChange], version: str) -> list[str]:
    if not older:
        return []
    running = ", ".join(dict.fromkeys(change.before.tag or "untagged" for change in older))
    return [
        f"{version} is older than the running version ({running}). Use `rollback` to go back; to deploy it, give a reason."
    ]


def set_by_hand(states: Sequence[ServiceState]) -> list[str]:
    return [
        f"{state.named}'s image was set by hand since the last deploy ({state.by}{f', {age_since(at)} ago' if (at := read_time(state.since)) is not None else ''})."
        for state in states
        if state.drifted
    ]


def owned(states: Sequence[ServiceState]) -> list[str]:
    return [f"{state.named}: {state.owned}." for state in states if state.owned is not None]


def paused(states: Sequence[ServiceState]) -> list[str]:
    return [
        f"{state.named} is paused, so nothing would roll out. First run `{state.kubectl} rollout resume deployment/{state.deployment} -n {state.namespace}`."
        for state in states
        if state.paused
    ]


def idle(states: Sequence[ServiceState]) -> list[str]:
    return [f"{state.named} is scaled to 0 replicas: none of its pods will run." for state in states if state.idle]


def unsettled(states: Sequence[ServiceState]) -> list[str]:
    return [
        f"{state.named} is {state.state} now{f': {state.detail}' if state.detail else ''}."
        for state in states
        if state.state not in ("complete", "paused")
    ]
