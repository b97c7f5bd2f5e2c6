"""What of the release's configuration differs from the cluster's, as steps: for `config apply` and for the release train."""

import asyncio
import re
from collections.abc import Sequence
from functools import partial

from runbooks.clients.github.client import GithubClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.errors import OwnedByAnother
from runbooks.deployments.places import Place
from runbooks.fleet.fleet import Fleet, Release
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.plan import ImageChange, Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Environment, Frozen
from runbooks.kit.train import Part, Train
from runbooks.kit.waiting import side_by_side
from runbooks.manifests.reading import LARGEST, FileOfManifests, WantedConfigMap, read_manifests
from runbooks.manifests.settings import ManifestSettings
from runbooks.manifests.steps import ApplyConfigMap, KeepConfiguration, differences, keep, kept_config_maps, taken_over
from runbooks.redaction.redactor import cut_redacted
from runbooks.wording import listed

ALONE = "alone"
"""The option of a rollback with the services that go back, where it is not all of them."""
_FAILED = re.compile(r"^Apply failed with \d+ conflicts?: ")
"""How the server begins: nothing has failed, the dry run asked who owns what."""
_OWNERS = 200
"""Characters of the server's words about who owns which value."""
_NOT_RECORDED = (
    "This is not recorded with the running release: a rollback to it, or `config apply` without a version, brings back "
    "the configuration that it was deployed with."
)
_RESTART = "Pods read changed environment variables only when they start: `restart SERVICE` replaces the pods."
_GITHUB = 2.0
"""Seconds that a rollback waits for GitHub."""


class Changes(Frozen):
    """What differs."""

    steps: tuple[ApplyConfigMap, ...]
    names: tuple[str, ...]
    """All ConfigMaps in the files."""
    others: tuple[str, ...]
    """Objects of other kinds in the files, which are left alone."""
    kept: KeepConfiguration
    """The step that keeps all of it with the release."""


async def changes_of(
    cluster: ClusterClient,
    github: GithubClient,
    environment: Environment,
    settings: ManifestSettings,
    version: str,
    *,
    take_over: bool = False,
) -> Changes:
    """Return what the release's files would change. The server is asked by a dry run, so that defaults and other owners count."""
    commit = await github.release_commit(version)
    wanted, others = await _wanted(github, settings, commit, environment.namespace)
    step = partial(_step, cluster, environment, commit=commit, take_over=take_over)
    steps = await side_by_side(*(step(each) for each in wanted))
    return Changes(
        steps=tuple(step for step in steps if step is not None),
        names=tuple(each.name for each in wanted),
        others=others,
        kept=keep(commit, wanted),
    )


async def _wanted(
    github: GithubClient, settings: ManifestSettings, commit: str, namespace: str
) -> tuple[tuple[WantedConfigMap, ...], tuple[str, ...]]:
    """Return the ConfigMaps that the files have at that commit, and the other objects by name."""
    files = await side_by_side(*(_read(github, path, commit, namespace) for path in settings.paths))
    wanted = tuple(each for file in files for each in file.config_maps)
    names = [each.name for each in wanted]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise PermanentError(f"Two files contain the ConfigMap {twice}.", code=ReasonCode.MANIFEST_INVALID)
    return wanted, tuple(each for file in files for each in file.others)


async def _read(github: GithubClient, path: str, commit: str, namespace: str) -> FileOfManifests:
    return read_manifests(path, await github.file(path, commit, largest=LARGEST), namespace)


async def _step(
    cluster: ClusterClient, environment: Environment, wanted: WantedConfigMap, *, commit: str, take_over: bool = False
) -> ApplyConfigMap | None:
    namespace = environment.namespace
    found = await cluster.config_map_if_any(namespace, wanted.name)
    now = found.data if found is not None else {}
    tried = partial(cluster.apply_config_map, namespace, wanted.name, wanted.data, wanted.labels, dry_run=True)
    owned = ""
    try:
        after = await tried()
    except OwnedByAnother as error:
        if not take_over:
            raise
        owned = cut_redacted(_FAILED.sub("", " ".join(error.evidence)), _OWNERS).replace("`", "'")
        after = await tried(take_over=True)
    changed = differences(now, after.data)
    if not changed and found is not None:
        return None
    return ApplyConfigMap(
        namespace=namespace,
        wanted=wanted,
        differences=changed,
        commit=commit,
        region=environment.region,
        kubectl=environment.kubectl,
        take_over=bool(owned),
        owned=owned,
        seen=taken_over(now, after.data) if owned else "",
    )


async def plan_config_apply(
    github: GithubClient,
    environment: Environment,
    settings: ManifestSettings,
    version: str,
    *,
    places: Sequence[Place],
    take_over: bool = False,
    its_own: bool = False,
) -> Plan:
    """The plan of `config apply VERSION`, in each of the places. `its_own`: the version is the one that runs."""
    found = await changes_in(places, github, settings, version, take_over=take_over)
    plan = plan_of(found, environment, version, its_own=its_own)
    return plan.model_copy(update={"notes": (*((_RESTART,) if found.steps else ()), *plan.notes)})


async def changes_in(
    places: Sequence[Place], github: GithubClient, settings: ManifestSettings, version: str, *, take_over: bool
) -> Changes:
    """Return what the release's files would change in all of the places."""
    looked = (
        changes_of(place.cluster, github, place.environment, settings, version, take_over=take_over) for place in places
    )
    return _together(await side_by_side(*looked))


def plan_of(found: Changes, environment: Environment, version: str, *, its_own: bool) -> Plan:
    """Return the plan that applies what differs."""
    title = f"Apply the configuration of {version} to {environment.name}"
    if not found.steps:
        title = f"{environment.name} already has the configuration of {version}. Nothing to do."
    if not found.names:
        title = f"The manifests of {version} contain no ConfigMap. Nothing to do."
    steps = tuple(step.model_copy(update={"alone": True, "version": version}) for step in found.steps)
    taken = tuple(
        f"{each.title} takes over values that have another owner: {each.owned}" for each in steps if each.owned
    )
    # nothing checks here that the release runs well with it, and a rollback must not bring back what broke it
    unrecorded = () if its_own or not steps else (_NOT_RECORDED,)
    return Plan(
        title=title, steps=steps, notes=(*_not_applied(found), *unrecorded), warnings=(*taken, *_emptied(found))
    )


def _together(found: Sequence[Changes]) -> Changes:
    """Return what differs in all regions; the files are the same in each."""
    return found[0].model_copy(update={"steps": tuple(step for each in found for step in each.steps)})


def _not_applied(found: Changes) -> tuple[str, ...]:
    return (f"Not applied, because the bot applies only ConfigMaps: {listed(found.others)}.",) if found.others else ()


def _emptied(found: Changes) -> tuple[str, ...]:
    """Return which ConfigMaps lose what they have: a file without `data` may be a mistake."""
    emptied = (each for each in found.steps if each.differences and not each.wanted.data)
    return tuple(
        f"{each.title} has no keys in {each.wanted.source}, so {each.amount} will be removed." for each in emptied
    )


async def plan_part(train: Train) -> Part:
    """What a deploy changes of the configuration, after its services run; a rollback takes it back before its services start."""
    settings, github, cluster = train.find(ManifestSettings), train.find(GithubClient), train.find(ClusterClient)
    if settings is None or github is None or cluster is None:
        return Part(not_done=("configuration (not configured)",))
    if train.going_back:
        return await _taken_back(train, github, settings)
    there = ((each.find(ClusterClient) or cluster, each.environment) for each in train.by_region)
    changed = (changes_of(client, github, where, settings, train.version) for client, where in there)
    found = _together(await side_by_side(*changed))
    said = _RESTART if found.steps else "The configuration does not change."
    if not found.names:
        said = f"The manifests of {train.version} contain no ConfigMap, so the configuration does not change."
    return Part(after=(*found.steps, found.kept), notes=(said, *_not_applied(found)), warnings=_emptied(found))


async def _taken_back(train: Train, github: GithubClient, settings: ManifestSettings) -> Part:
    """Return the steps that apply the ConfigMaps of the release that is gone back to; where they are not known, what to do instead."""
    fleet, version, where = train.find(Fleet), train.version, train.environment
    again = f"config apply {version} --env {where.name}"
    by_hand = f"`{again}` applies the one of {version}."
    if alone := train.options.get(ALONE):
        return _as_it_is(f"The configuration does not change, because only {alone} goes back. {by_hand}")
    releases = await fleet.releases(where) if fleet is not None else ()
    had = [each for each in releases if each.configuration is not None and _is_gone_back_to(each, train.changes)]
    known = min(had, key=lambda each: each.verdict == "bad").configuration if had else None
    if fleet is None or known is None:
        return _as_it_is(f"The configuration does not change, because none is recorded for {version}. {by_hand}")
    text = await fleet.configuration(where, known.sha256)
    wanted = kept_config_maps(text, settings.paths) if text is not None else None
    kept_wrong = (
        f"The configuration that is kept for {version} is not one of the configured files, so GitHub is asked for it."
    )
    unread = (kept_wrong,) if text is not None and wanted is None else ()
    try:
        if wanted is None:
            async with asyncio.timeout(_GITHUB):
                wanted, _ = await _wanted(github, settings, known.commit, where.namespace)
    except (RunbookError, TimeoutError) as error:
        why = error.message if isinstance(error, RunbookError) else "GitHub does not answer."
        return Part(
            not_done=("configuration",),
            warnings=(
                *unread,
                f"The configuration of {version} can't be read, so it does not change: {why} {by_hand}",
            ),
        )
    places = [(cluster, one.environment) for one in train.by_region if (cluster := one.find(ClusterClient)) is not None]
    found = await asyncio.gather(
        *(_step_back(cluster, there, each, known.commit, again) for cluster, there in places for each in wanted)
    )
    steps = [each for each in found if isinstance(each, ApplyConfigMap)]
    failed = [each for each in found if isinstance(each, str)]
    if not steps and not failed:
        unchanged = "The configuration does not change."
        return Part(after=(keep(known.commit, wanted),), notes=(unchanged,), warnings=unread)
    said = f"The configuration in the table goes back to the one of {version} (commit {known.commit[:7]}), before the pods start."
    return Part(
        before=tuple(steps),
        after=() if failed else (keep(known.commit, wanted, steps),),
        notes=(said,) if steps else (),
        warnings=(*unread, *(f"{each} {by_hand}" for each in failed)),
    )


def _as_it_is(note: str) -> Part:
    return Part(not_done=("configuration",), notes=(note,))


def _is_gone_back_to(release: Release, changes: Sequence[ImageChange]) -> bool:
    """Whether each service that goes back gets the image that it had in this release."""
    return all(
        (had := release.image(change.service)) is not None
        and had.digest is not None
        and had.digest == change.after.digest
        for change in changes
    )


async def _step_back(
    cluster: ClusterClient, environment: Environment, wanted: WantedConfigMap, commit: str, again: str
) -> ApplyConfigMap | str | None:
    """Return the step; nothing where the ConfigMap is already so, and why where the cluster refuses it."""
    try:
        step = await _step(cluster, environment, wanted, commit=commit)
    except RunbookError as error:
        there = f" in {environment.region}" if environment.region else ""
        return f"ConfigMap {wanted.name}{there} does not change: {error.message}"
    return step.model_copy(update={"back": True, "again": again}) if step is not None else None
