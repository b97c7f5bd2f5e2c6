"""The API server over HTTP: one handler that knows who asks, what for, and answers as Kubernetes does."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any

from aiohttp import web

from sandbox.cluster import discovery, errors, rbac
from sandbox.cluster.api import Api
from sandbox.cluster.exec_route import serve_exec
from sandbox.cluster.fields import Writer
from sandbox.cluster.log_route import serve_log
from sandbox.cluster.patches import json_patch, merge_patch
from sandbox.cluster.requests import (
    Target,
    body_of,
    deletion_of,
    is_dry,
    manager_of,
    object_of,
    target_of,
)
from sandbox.cluster.resources import METRICS, REVIEWS, Json
from sandbox.cluster.scale import scale_of, scaled
from sandbox.cluster.selectors import Match, field_match, label_match
from sandbox.cluster.settings import User
from sandbox.cluster.strategic import strategic_merge
from sandbox.cluster.tables import table
from sandbox.cluster.usage import usage_of
from sandbox.cluster.watch import Event, Watch, error_event

_log = logging.getLogger(__name__)
_HEALTH = {"/readyz", "/livez", "/healthz"}
_OPEN = {*_HEALTH, "/version"}
_JSON_PATCH, _MERGE_PATCH = "application/json-patch+json", "application/merge-patch+json"
_STRATEGIC, _APPLY = "application/strategic-merge-patch+json", "application/apply-patch+yaml"
_LARGEST_BODY = 4 * 2**20
_WATCH_SECONDS = 1800.0


class Routes:
    """Answers requests over one cluster's objects; `watches` are the streams that are open."""

    def __init__(self, api: Api, users: tuple[User, ...], protocols: tuple[str, ...]) -> None:
        self._api, self._protocols = api, protocols
        self.tokens = rbac.Tokens(users)
        self.watches: set[Watch] = set()
        self.down = False
        """No connection is answered, also none that was still greeting when the server went: TLS makes it known only later."""

    def application(self) -> web.Application:
        app = web.Application(client_max_size=_LARGEST_BODY)
        app.router.add_route("*", "/{path:.*}", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if self.down:
            if request.transport is not None:
                request.transport.close()
            return web.Response()
        try:
            return await self._answer(request)
        except errors.ApiError as error:
            return _json(error.status(), error.code)
        except ConnectionError:
            return web.Response()  # the client has gone; aiohttp drops this answer without a traceback
        except web.HTTPException:
            raise
        except Exception:  # noqa: BLE001 - a server answers, whatever went wrong in it
            _log.exception("%s %s failed", request.method, request.path)
            return _json(errors.ApiError(500, "InternalError", "Internal error occurred").status(), 500)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.rstrip("/") or "/"
        user = rbac.authenticate(self.tokens, request.headers.get("Authorization", ""), self._api.clock.now())
        if path in _HEALTH:
            return web.Response(text="ok")
        if path == "/":
            return _json({"paths": ["/api", "/apis", "/livez", "/openapi/v3", "/readyz", "/version"]})
        if request.method == "GET" and (found := discovery.document(path, request.host)) is not None:
            if user is rbac.ANONYMOUS and path not in _OPEN:
                message = f'forbidden: User "{user.name}" cannot get path "{path}"'
                raise errors.ApiError(403, "Forbidden", message, {})
            return _json(found)
        target = target_of(path)
        self._authorise(user, target, request)
        if target.kind in REVIEWS:
            body = body_of(await request.read(), request.content_type)
            asked = object_of(target.kind, body)
            return _json(rbac.review(self.tokens, user, target.kind, asked, self._api.clock.now()), 201)
        if target.kind in METRICS:
            return self._usage(target, request)
        return await self._verb(target, request)

    def _authorise(self, user: User, target: Target, request: web.Request) -> None:
        attempt = rbac.Attempt(
            verb=_verb_of(request, target),
            group=target.kind.group,
            resource=target.resource,
            namespace=target.namespace or (target.name if target.kind.plural == "namespaces" else ""),
            name=target.name,
        )
        # a WebSocket is opened by GET; since 1.35 it needs `create` besides, as a POST always did
        also = [replace(attempt, verb="create")] if target.subresource == "exec" else []
        for each in (attempt, *also):
            if not rbac.is_allowed(user, each):
                raise rbac.refuse(user, each, target.kind)

    async def _verb(self, target: Target, request: web.Request) -> web.StreamResponse:
        method, one = request.method, bool(target.name)
        if target.subresource == "log":
            if method != "GET":
                raise errors.method_not_allowed()
            return await serve_log(self._api, self._api.get(target.kind, target.namespace, target.name), request)
        if target.subresource == "exec":
            pod = self._api.get(target.kind, target.namespace, target.name)
            return await serve_exec(pod, request, self._api.scripts, self._protocols)
        if method == "GET":
            if _is_watch(request):
                return await self._watch(target, request)
            return self._get(target, request) if one else self._list(target, request)
        if method == "POST" and not one:
            return await self._create(target, request)
        if method == "PUT" and one:
            return await self._update(target, request)
        if method == "PATCH" and one:
            return await self._patch(target, request)
        if method == "DELETE" and not target.subresource:
            return await self._delete(target, request)
        raise errors.method_not_allowed()

    def _get(self, target: Target, request: web.Request) -> web.Response:
        obj = self._api.get(target.kind, target.namespace, target.name)
        if target.subresource == "scale":
            return _json(scale_of(obj))
        return self._shown(target, [obj], request, single=True)

    def _matches(self, target: Target, request: web.Request) -> list[Match]:
        found = (
            label_match(request.query.get("labelSelector", "")),
            field_match(target.kind, request.query.get("fieldSelector", "")),
        )
        return [match for match in found if match]

    def _list(self, target: Target, request: web.Request) -> web.Response:
        objects = self._api.list(target.kind, target.namespace, *self._matches(target, request))
        return self._shown(target, objects, request, single=False)

    def _usage(self, target: Target, request: web.Request) -> web.Response:
        if request.method != "GET" or _is_watch(request):
            raise errors.method_not_allowed()
        labels = label_match(request.query.get("labelSelector", ""))
        found = [
            each
            for each in usage_of(self._api, target.kind, target.namespace)
            if (not labels or labels(each)) and target.name in ("", each["metadata"]["name"])
        ]
        if not target.name:
            kind = target.kind
            return _json({"kind": f"{kind.name}List", "apiVersion": kind.api_version, "metadata": {}, "items": found})
        if not found:
            raise errors.not_found(target.kind, target.name)
        return _json(found[0])

    def _shown(self, target: Target, objects: list[Json], request: web.Request, *, single: bool) -> web.Response:
        version = str(self._api.store.version)
        if _wants_table(request):
            include = request.query.get("includeObject", "Metadata")
            shown = table(target.kind, objects, self._api.clock.now(), include=include)
            newest = objects[0]["metadata"]["resourceVersion"] if single else version
            return _json({**shown, "metadata": {"resourceVersion": newest}})
        if single:
            return _json(objects[0])
        kind = target.kind
        body = {"kind": f"{kind.name}List", "apiVersion": kind.api_version, "metadata": {"resourceVersion": version}}
        items = [{key: value for key, value in obj.items() if key not in ("kind", "apiVersion")} for obj in objects]
        if _wants_metadata(request):
            body = {**body, "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
            items = [{"metadata": obj["metadata"]} for obj in objects]
        return _json({**body, "items": items})

    async def _create(self, target: Target, request: web.Request) -> web.Response:
        body = object_of(target.kind, body_of(await request.read(), request.content_type))
        writer = self._writer(target, request)
        dry = is_dry(request.query)
        return _json(self._api.create(target.kind, target.namespace, body, writer, dry_run=dry), 201)

    def _writer(self, target: Target, request: web.Request) -> Writer:
        manager = manager_of(request.query, request.headers.get("User-Agent", ""))
        return Writer(manager, subresource=target.subresource)

    async def _update(self, target: Target, request: web.Request) -> web.Response:
        body = body_of(await request.read(), request.content_type)
        writer, dry = self._writer(target, request), is_dry(request.query)
        kind, place = target.kind, (target.namespace, target.name)
        if target.subresource == "scale":
            obj = scaled(kind, self._api.get(kind, *place), body)
            return _json(scale_of(self._api.update(kind, *place, obj, writer, dry_run=dry)))
        return _json(self._api.update(kind, *place, object_of(kind, body), writer, dry_run=dry))

    async def _patch(self, target: Target, request: web.Request) -> web.Response:
        form, data = request.content_type, await request.read()
        writer, dry = self._writer(target, request), is_dry(request.query)
        kind, place = target.kind, (target.namespace, target.name)
        if form == _APPLY:
            return self._apply(target, request, data, writer, dry=dry)
        if form not in (_JSON_PATCH, _MERGE_PATCH, _STRATEGIC):
            raise errors.unsupported_media_type()
        patch = body_of(data, form)
        if target.subresource == "scale":
            live = self._api.get(kind, *place)
            obj = scaled(kind, live, _patched(form, scale_of(live), patch))
            return _json(scale_of(self._api.update(kind, *place, obj, writer, dry_run=dry)))
        live = self._api.get(kind, *place)
        return _json(self._api.update(kind, *place, _patched(form, live, patch), writer, dry_run=dry))

    def _apply(self, target: Target, request: web.Request, data: bytes, writer: Writer, *, dry: bool) -> web.Response:
        if not request.query.get("fieldManager"):
            cause = errors.Cause("fieldManager", "Required value: is required for apply patch", "FieldValueRequired")
            message = f'PatchOptions.meta.k8s.io "" is invalid: {cause.field}: {cause.message}'
            raise errors.ApiError(422, "Invalid", message, {"kind": "PatchOptions", "causes": [cause.as_json()]})
        config = object_of(target.kind, body_of(data, _APPLY))
        applier = Writer(writer.manager, "Apply", writer.subresource)
        force = request.query.get("force", "").lower() in ("true", "1")
        obj, created = self._api.apply(
            target.kind, target.namespace, target.name, config, applier, force=force, dry_run=dry
        )
        return _json(obj, 201 if created else 200)

    async def _delete(self, target: Target, request: web.Request) -> web.Response:
        data = await request.read()
        how = deletion_of(request.query, body_of(data, request.content_type) if data else {})
        dry = is_dry(request.query)
        kind = target.kind
        if not target.name:
            objects = self._api.list(kind, target.namespace, *self._matches(target, request))
            for obj in objects:
                metadata = obj["metadata"]
                self._api.delete(kind, metadata.get("namespace", ""), metadata["name"], how, dry_run=dry)
            return self._shown(target, objects, request, single=False)
        obj, gone = self._api.delete(kind, target.namespace, target.name, how, dry_run=dry)
        if not gone:
            return _json(obj)
        details: Json = {"name": target.name, "kind": kind.plural, "uid": obj["metadata"]["uid"]}
        if kind.group:
            details["group"] = kind.group
        done = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        return _json(done)

    async def _watch(self, target: Target, request: web.Request) -> web.StreamResponse:
        query = request.query
        matches = self._matches(target, request)
        if target.name:
            matches.append(lambda obj: bool(obj["metadata"]["name"] == target.name))
        watch = Watch(self._api.store, target.kind, target.namespace, matches)
        self.watches.add(watch)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        writer = _EventWriter(self._api, target, request, response)
        try:
            await response.prepare(request)
            try:
                initial = query.get("sendInitialEvents", "").lower() == "true"
                watch.start(query.get("resourceVersion", ""), initial=initial)
            except errors.ApiError as error:
                await writer.write(error_event(error))
                return response
            seconds = float(query.get("timeoutSeconds") or _WATCH_SECONDS)
            bookmarks = query.get("allowWatchBookmarks", "").lower() in ("true", "1")
            async for event in watch.events(seconds, bookmarks=bookmarks):
                await writer.write(event)
        finally:
            watch.close()
            self.watches.discard(watch)
        return response


class _EventWriter:
    """Writes watch events, as objects or as tables."""

    def __init__(self, api: Api, target: Target, request: web.Request, response: web.StreamResponse) -> None:
        self._api, self._kind, self._response = api, target.kind, response
        self._table, self._metadata = _wants_table(request), _wants_metadata(request)
        self._include = request.query.get("includeObject", "Metadata")
        self._heading = True

    async def write(self, event: Event) -> None:
        kind, obj = event
        if self._table and kind not in ("ERROR", "BOOKMARK"):
            obj = table(self._kind, [obj], self._api.clock.now(), include=self._include, heading=self._heading)
            self._heading = False
        elif self._metadata and kind != "ERROR":
            obj = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}
        await self._response.write(json.dumps({"type": kind, "object": obj}).encode() + b"\n")


def _patched(form: str, live: Json, patch: Any) -> Json:
    if form == _JSON_PATCH:
        return json_patch(live, patch)
    if not isinstance(patch, dict):
        raise errors.bad_request("error decoding patch: json: cannot unmarshal array into Go value of type map")
    if form == _MERGE_PATCH:
        merged: Json = merge_patch(live, patch)
        return merged
    return strategic_merge(live, patch)


def _json(body: Json, status: int = 200) -> web.Response:
    return web.Response(body=json.dumps(body).encode() + b"\n", status=status, content_type="application/json")


def _is_watch(request: web.Request) -> bool:
    return request.query.get("watch", "").lower() in ("true", "1")


def _wants_table(request: web.Request) -> bool:
    return "as=Table" in request.headers.get("Accept", "")


def _wants_metadata(request: web.Request) -> bool:
    return "as=PartialObjectMetadata" in request.headers.get("Accept", "")


def _verb_of(request: web.Request, target: Target) -> str:
    one = bool(target.name)
    if request.method in ("GET", "HEAD"):
        return "watch" if _is_watch(request) else "get" if one else "list"
    if request.method == "DELETE":
        return "delete" if one else "deletecollection"
    return {"POST": "create", "PUT": "update", "PATCH": "patch"}.get(request.method, request.method.lower())
