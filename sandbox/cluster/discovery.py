"""What the server says of itself: groups, kinds, verbs, version, and as much OpenAPI as kubectl asks for.

kubectl reads the OpenAPI document for two things: whether the server checks fields itself (then it sends a manifest
as it is), and how lists merge. It knows the built-in kinds without; so the document names kinds and no fields.
"""

from __future__ import annotations

from sandbox.cluster.resources import GROUPS, KINDS, Json, Kind

_VERSION = {
    "major": "1",
    "minor": "37",
    "gitVersion": "v1.37.1+sandbox",
    "gitCommit": "0" * 40,
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "none",
    "platform": "linux/amd64",
}
_SUBRESOURCE_VERBS = {
    "status": ["get", "patch", "update"],
    "scale": ["get", "patch", "update"],
    "log": ["get"],
    "exec": ["create", "get"],
}


def document(path: str, address: str) -> Json | None:
    """The discovery document at a path, None where there is none."""
    if path == "/version":
        return dict(_VERSION)
    if path == "/api":
        where = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": where}
    if path == "/apis":
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(group) for group, _ in GROUPS if group]}
    if path == "/openapi/v3":
        return {"paths": {_base(*gv)[1:]: {"serverRelativeURL": f"/openapi/v3{_base(*gv)}"} for gv in GROUPS}}
    for group, version in GROUPS:
        base = _base(group, version)
        if path == base:
            return _resources(group, version)
        if group and path == f"/apis/{group}":
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(group)}
        if path == f"/openapi/v3{base}":
            return _openapi(group, version)
    return None


def _base(group: str, version: str) -> str:
    return f"/apis/{group}/{version}" if group else f"/api/{version}"


def _group(group: str) -> Json:
    version = next(version for name, version in GROUPS if name == group)
    entry = {"groupVersion": f"{group}/{version}", "version": version}
    return {"name": group, "versions": [entry], "preferredVersion": entry}


def _resources(group: str, version: str) -> Json:
    entries: list[Json] = []
    for kind in (kind for kind in KINDS if (kind.group, kind.version) == (group, version)):
        entries.append(_resource(kind))
        entries += [_subresource(kind, name) for name in kind.subresources]
    name = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": entries}


def _resource(kind: Kind) -> Json:
    entry: Json = {
        "name": kind.plural,
        "singularName": kind.name.lower(),
        "namespaced": kind.namespaced,
        "kind": kind.name,
        "verbs": list(kind.verbs),
    }
    if kind.short:
        entry["shortNames"] = list(kind.short)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    return entry


def _subresource(kind: Kind, name: str) -> Json:
    entry: Json = {"name": f"{kind.plural}/{name}", "singularName": "", "namespaced": kind.namespaced}
    if name == "scale":
        entry.update(group="autoscaling", version="v1")
    return {**entry, "kind": "Scale" if name == "scale" else kind.name, "verbs": _SUBRESOURCE_VERBS[name]}


def _openapi(group: str, version: str) -> Json:
    paths, schemas = {}, {}
    for kind in (kind for kind in KINDS if (kind.group, kind.version) == (group, version)):
        gvk = {"group": group, "version": version, "kind": kind.name}
        where = f"{kind.base}/namespaces/{{namespace}}" if kind.namespaced else kind.base
        check = {"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}
        operation = {"parameters": [check], "x-kubernetes-group-version-kind": gvk, "responses": {}}
        paths[f"{where}/{kind.plural}"] = {
            "post": {**operation, "operationId": f"create{kind.name}", "x-kubernetes-action": "post"}
        }
        paths[f"{where}/{kind.plural}/{{name}}"] = {
            "patch": {**operation, "operationId": f"patch{kind.name}", "x-kubernetes-action": "patch"}
        }
        title = f"io.sandbox.{group or 'core'}.{version}.{kind.name}"
        schemas[title] = {"type": "object", "x-kubernetes-group-version-kind": [gvk]}
    info = {"title": "sandbox", "version": str(_VERSION["gitVersion"])}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}
