"""What of the release's configuration differs from the cluster's, as steps: for `config apply` and for the release train."""

from runbooks.clients.github.client import GithubClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Environment, Frozen
from runbooks.kit.train import Part, Train
from runbooks.kit.waiting import side_by_side
from runbooks.manifests.reading import LARGEST, FileOfManifests, WantedConfigMap, read_manifests
from runbooks.manifests.settings import ManifestSettings
from runbooks.manifests.steps import ApplyConfigMap, differences
from runbooks.wording import listed


class Changes(Frozen):
    """What differs."""

    steps: tuple[ApplyConfigMap, ...]
    others: tuple[str, ...]
    """Objects of other kinds in the files, which are left alone."""


async def changes_of(
    cluster: ClusterClient, github: GithubClient, environment: Environment, settings: ManifestSettings, version: str
) -> Changes:
    """Return what the release's files would change. The server is asked by a dry run, so that defaults and other owners count."""
    commit = await github.commit_of(version)
    if commit is None:
        raise PermanentError(
            f"{github.settings.repository} has no tag {version}, so its configuration is not known.",
            code=ReasonCode.NO_SUCH_VERSION,
        )
    files = await side_by_side(*(_read(github, path, commit, environment.namespace) for path in settings.paths))
    wanted = [each for file in files for each in file.config_maps]
    names = [each.name for each in wanted]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise PermanentError(f"Two files contain the ConfigMap {twice}.", code=ReasonCode.MANIFEST_INVALID)
    steps = await side_by_side(*(_step(cluster, environment.namespace, each, commit) for each in wanted))
    return Changes(
        steps=tuple(step for step in steps if step is not None),
        others=tuple(each for file in files for each in file.others),
    )


async def _read(github: GithubClient, path: str, commit: str, namespace: str) -> FileOfManifests:
    return read_manifests(path, await github.file(path, commit, largest=LARGEST), namespace)


async def _step(cluster: ClusterClient, namespace: str, wanted: WantedConfigMap, commit: str) -> ApplyConfigMap | None:
    try:
        now = (await cluster.config_map(namespace, wanted.name)).data
    except PermanentError as error:
        if error.code is not ReasonCode.NOT_FOUND:
            raise
        now = {}
    after = await cluster.apply_config_map(namespace, wanted.name, wanted.data, wanted.labels, dry_run=True)
    changed = differences(now, after.data)
    if not changed:
        return None
    return ApplyConfigMap(namespace=namespace, wanted=wanted, differences=changed, commit=commit)


async def plan_config_apply(
    cluster: ClusterClient, github: GithubClient, environment: Environment, settings: ManifestSettings, version: str
) -> Plan:
    """The plan of `config apply VERSION`."""
    found = await changes_of(cluster, github, environment, settings, version)
    title = f"Apply the configuration of {version} to {environment.name}"
    if not found.steps:
        title = f"{environment.name} already has the configuration of {version}. Nothing to do."
    steps = tuple(step.model_copy(update={"alone": True}) for step in found.steps)
    return Plan(title=title, steps=steps, notes=notes(found))


def notes(found: Changes) -> tuple[str, ...]:
    """What people should know about applying these."""
    said = []
    if found.steps:
        said.append(
            "Pods read changed environment variables only when they start: `restart SERVICE` replaces the pods."
        )
    if found.others:
        said.append(f"Not applied, because the bot applies only ConfigMaps: {listed(found.others)}.")
    return tuple(said)


async def plan_part(train: Train) -> Part:
    """What a deploy changes of the configuration, after its services run; going back leaves the configuration as it is."""
    settings, github, cluster = train.find(ManifestSettings), train.find(GithubClient), train.find(ClusterClient)
    if settings is None or github is None or cluster is None:
        return Part(not_done=("configuration (not configured)",))
    if train.going_back:
        return Part(
            not_done=("configuration",),
            notes=(
                f"The configuration does not change. `config apply {train.version}` applies the one of {train.version}.",
            ),
        )
    found = await changes_of(cluster, github, train.environment, settings, train.version)
    unchanged = () if found.steps else ("The configuration does not change.",)
    return Part(after=found.steps, notes=(*notes(found), *unchanged))
