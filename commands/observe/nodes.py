"""`nodes [NAME]`: the nodes of the cluster, what is wrong first; of one its conditions, pods and last events."""

from commands.kit.card import (
    Button,
    Card,
    Code,
    Element,
    Fact,
    Facts,
    Moment,
    Note,
    Paragraph,
    State,
    Strong,
    Table,
    Text,
    Typed,
    moment,
    sentence,
    words,
)
from commands.kit.command import Observation
from commands.kit.context import Context
from commands.kit.regions import RegionName, lines_of, names_of
from commands.kit.spec import CHANNEL_DEFAULT, FollowUp, QueryMeta, argument, option
from commands.kit.types import EnvironmentName, NodeName
from runbooks.deployments.places import Place, asked, named
from runbooks.diagnosis.quantities import shown
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.observe import by_hand
from runbooks.observe.nodes import ClusterNodesView, NodeState, OneNode, list_nodes, one_node
from runbooks.observe.pods import age_of
from runbooks.observe.usage import Amount
from runbooks.wording import cited, counted, listed, size

_MOST = 40
_TOLD = 6
"""Nodes of which what is wrong is told in sentences; the table has all."""
_EVENTS = 10


class Nodes(Observation):
    """List the nodes: readiness, pressure, cordons, taints, versions and how full each is. With a name: its conditions, pods and events."""

    meta = QueryMeta(
        permission="fleet:read",
        examples=["", "node-1", "--env staging"],
        refreshes=True,
        next=(FollowUp(command="diagnose", trouble=True),),
    )

    name: NodeName | None = argument("only this node", default=None)
    region: RegionName | None = option("only this region; default: all")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def by_hand(self, context: Context) -> tuple[str, ...]:
        return await lines_of(context, self.region, lambda place: by_hand.nodes(place.environment, self.name))

    async def answer(self, context: Context) -> Card:
        places, where = named(context.places, names_of(self.region)), context.where.name
        if self.name is None:

            async def of(place: Place) -> list[ClusterNodesView]:
                return [await list_nodes(place.cluster, place.environment)]

            found, missing = await asked(places, of)
            return _card(where, found, missing)
        name = self.name

        async def one(place: Place) -> list[OneNode]:
            node = await one_node(place.cluster, place.environment, name)
            return [node] if node is not None else []

        seen, missing = await asked(places, one)
        if not seen:
            raise PermanentError(
                f"There is no node {cited(name)} in {where}. `nodes` lists them. {' '.join(missing)}".strip(),
                code=ReasonCode.NOT_FOUND,
            )
        return _one(where, seen, missing)


def _card(where: str, found: list[ClusterNodesView], missing: tuple[str, ...]) -> Card:
    nodes = sorted(
        (node for each in found for node in each.nodes), key=lambda node: (not node.wrong, not node.problems)
    )
    wrong = [node for node in nodes if node.wrong]
    noted = [node for node in nodes if node.problems and not node.wrong]
    if wrong:
        text = f"Problems on {len(wrong)} of {counted(len(nodes), 'node')} in {where}"
    else:
        text = f"{counted(len(nodes), 'node')} in {where}, all ready"
        text += f", {len(noted)} to look at" if noted else ""
    told = [*wrong, *noted]
    body: list[Element] = [Paragraph(text=_sentences(node)) for node in told[:_TOLD]]
    if len(told) > _TOLD:
        body.append(Note(text=words(f"{len(told) - _TOLD} more like that; see the table.")))
    if nodes:
        body.append(_table(nodes[:_MOST]))
    if len(nodes) > _MOST:
        body.append(Note(text=words(f"{len(nodes) - _MOST} more not shown; most of them have no problem.")))
    versions = list(dict.fromkeys(each.version for each in found if each.version))
    plane = f"Control plane {listed(versions)}. " if versions else ""
    body.append(Note(text=words(f"{plane}Amounts: used / requested / allocatable.")))
    unknown = dict.fromkeys(why for each in found for why in each.unknown)
    body += [Note(text=sentence(why)) for why in (*unknown, *missing)]
    buttons = [
        Button(label=f"Node {node.name}"[:75], does=Typed(text=f"nodes {node.name} --env {where}")) for node in told[:2]
    ]
    return Card(
        state=State.FAILED if wrong else State.WAITING if noted or missing else State.DONE,
        title=words(Strong(text=text)),
        summary=text,
        body=tuple(body),
        buttons=(*buttons, Button(label="Top nodes", does=Typed(text=f"top nodes --env {where}"))),
        data={
            "environment": where,
            "versions": versions,
            "unknown": [*unknown, *missing],
            "nodes": [node.model_dump(mode="json") for node in nodes],
        },
    )


def _sentences(node: NodeState) -> Text:
    parts: list[str | Strong | Code | Moment | Text] = [Strong(text=node.named), " "]
    for at, each in enumerate(node.problems):
        parts.append(f"{'; ' if at else ''}{each.what}")
        if each.since:
            parts += [" since ", moment(each.since)]
        if each.said and each.serious:
            parts.append(f" ({each.said})")
    parts.append(".")
    if node.own_pods:
        parts.append(
            f" {counted(node.own_pods, 'pod')} of this environment {'is' if node.own_pods == 1 else 'are'} on it."
        )
    return words(*parts)


def _table(nodes: list[NodeState]) -> Table:
    return Table(
        columns=("Node", "State", "Pods", "CPU", "Memory", "Kubelet", "Age"),
        rows=tuple(
            (
                words(Code(text=node.name), f" in {node.region}" if node.region else ""),
                words(_word(node)),
                words(_pods(node)),
                words(_amounts("cpu", node.usage.cpu)),
                words(_amounts("memory", node.usage.memory)),
                words(node.kubelet or "unknown"),
                words(age_of(node.created) or "unknown"),
            )
            for node in nodes
        ),
    )


def _word(node: NodeState) -> str:
    said = ["ready" if node.ready else "not ready"]
    said += ["under pressure"] if any(each.code == "pressure" for each in node.problems) else []
    said += ["cordoned"] if node.cordoned else []
    said += ["tainted"] if node.taints else []
    return ", ".join(said)


def _pods(node: NodeState) -> str:
    of = f" of {node.most_pods}" if node.most_pods else ""
    return f"{node.own_pods} here, others unknown" if node.pods is None else f"{node.pods}{of}"


def _amounts(resource: str, found: Amount) -> str:
    """`0.4 / 1.2 / 4`: used, requested, allocatable."""

    def said(value: float | None) -> str:
        if value is None:
            return "?"
        return size(value) if resource == "memory" else f"{round(value, 2):g}"

    near = " (near)" if found.near else ""
    return f"{said(found.used)} / {said(found.requested)} / {said(found.limit)}{near}"


def _one(where: str, seen: list[OneNode], missing: tuple[str, ...]) -> Card:
    body: list[Element] = []
    for each in seen:
        body += _parts_of(each)
    node = seen[0].node
    wrong = any(each.node.wrong for each in seen)
    noted = any(each.node.problems for each in seen)
    text = f"{node.name} in {where} is {_word(node)}"
    body += [
        Note(text=sentence(why)) for why in dict.fromkeys((*(why for each in seen for why in each.unknown), *missing))
    ]
    return Card(
        state=State.FAILED if wrong else State.WAITING if noted or missing else State.DONE,
        title=words(Strong(text=text)),
        summary=text,
        body=tuple(body),
        buttons=(
            Button(label="All nodes", does=Typed(text=f"nodes --env {where}")),
            Button(label="Top nodes", does=Typed(text=f"top nodes --env {where}")),
        ),
        data={"environment": where, "nodes": [each.model_dump(mode="json") for each in seen]},
    )


def _parts_of(one: OneNode) -> list[Element]:
    node = one.node
    body: list[Element] = [Paragraph(text=_sentences(node))] if node.problems else []
    cpu, memory = node.usage.cpu, node.usage.memory
    facts = [
        ("Kubelet", f"{node.kubelet or 'unknown'}, control plane {one.version or 'unknown'}"),
        ("Machine", ", ".join(filter(None, (node.machine, node.zone, node.region)))),
        ("In the cluster", f"for {age_of(node.created)}" if age_of(node.created) else ""),
        ("Taints", listed(node.taints) if node.taints else ""),
        ("CPU", _told("cpu", cpu)),
        ("Memory", _told("memory", memory)),
        ("Pods", _pods(node)),
    ]
    body.append(Facts(facts=tuple(Fact(label=label, value=words(value)) for label, value in facts if value)))
    if node.conditions:
        rows = tuple(
            (
                words(each.type),
                words(each.status),
                words(each.said or each.reason),
                words(moment(each.since) if each.since else "unknown"),
            )
            for each in node.conditions
        )
        body.append(Table(columns=("Condition", "Status", "Kubernetes says", "Since"), rows=rows))
    if one.own:
        pods = tuple(
            (
                words(each.name),
                words(each.version),
                words("ready" if each.ready else each.detail or each.phase),
                words(str(each.restarts)),
            )
            for each in one.own[:_MOST]
        )
        body.append(Table(columns=("Pod", "Version", "State", "Restarts"), rows=pods))
    if len(one.own) > _MOST:
        body.append(Note(text=words(f"{counted(len(one.own) - _MOST, 'more pod')} of this environment.")))
    if one.others:
        named_here = listed((f"{count} in {namespace}" for namespace, count in one.others), most=8)
        body.append(Note(text=words(f"Other pods on it: {named_here}.")))
    if one.events:
        told = tuple(
            (
                words(each.reason),
                words(each.message),
                words(str(each.count)),
                words(Moment(at=each.last, form="date-time", age=True) if each.last is not None else "unknown"),
            )
            for each in one.events[:_EVENTS]
        )
        body.append(Table(columns=("Event", "Message", "Times", "Last"), rows=told))
    return body


def _told(resource: str, found: Amount) -> str:
    known = (("used", found.used), ("requested", found.requested), ("allocatable", found.limit))
    said = [f"{_number(resource, value)} {word}" for word, value in known if value is not None]
    return ", ".join(said)


def _number(resource: str, value: float) -> str:
    return shown(resource, value).removesuffix(f" {resource}")
