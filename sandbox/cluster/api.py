"""The verbs of the API over the store: create, update, patch, delete, with Kubernetes' own rules and refusals.

HTTP requests and controllers both go through here, so whatever anybody writes is defaulted, validated, versioned
and attributed in the same way.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sandbox.cluster import errors, names
from sandbox.cluster.admission import admit, rewritten
from sandbox.cluster.apply import apply_configuration
from sandbox.cluster.clock import Clock, stamp
from sandbox.cluster.defaults import defaulted
from sandbox.cluster.fields import Steps, Writer, own_applied, own_changes
from sandbox.cluster.printed import Printed
from sandbox.cluster.programs import ALWAYS, Program
from sandbox.cluster.resources import (
    DEPLOYMENT,
    EVENT,
    JOB,
    NAMESPACE,
    POD,
    REPLICA_SET,
    Json,
    Kind,
    counts,
    has_generation,
)
from sandbox.cluster.selectors import Match
from sandbox.cluster.store import Store
from sandbox.cluster.validation import validate

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
_KEPT = ("name", "namespace", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generateName")


@dataclass(frozen=True)
class Deletion:
    """How to delete: `grace` in seconds (None: the object's own), what becomes of dependents, preconditions."""

    grace: int | None = None
    propagation: str = "Background"
    uid: str = ""
    version: str = ""


class Api:
    """Reads and writes of one cluster."""

    def __init__(self, store: Store, clock: Clock, rng: random.Random) -> None:
        self.store, self.clock, self.rng = store, clock, rng
        self.mirrors: dict[str, str] = {}
        """What a mutating admission webhook rewrites the images of Deployments to: own name → the mirror's."""
        self.scripts: dict[str, Program] = dict(ALWAYS)
        """What `npm run` knows in the pods."""
        self.printed: dict[str, dict[str, Printed]] = {}
        """What the programs of a Job's pod printed, by the pod's uid and the container."""

    def get(self, kind: Kind, namespace: str, name: str) -> Json:
        obj = self.store.get(kind, namespace, name)
        if obj is None:
            raise errors.not_found(kind, name)
        return obj

    def list(self, kind: Kind, namespace: str = "", *matches: Match | None) -> list[Json]:
        tests = [match for match in matches if match]
        return [obj for obj in self.store.all(kind, namespace) if all(test(obj) for test in tests)]

    def create(
        self,
        kind: Kind,
        namespace: str,
        body: Json,
        writer: Writer,
        *,
        dry_run: bool = False,
        applied: set[Steps] | None = None,
    ) -> Json:
        metadata = dict(body.get("metadata") or {})
        if kind.namespaced:
            self._check_namespace(kind, namespace, metadata)
            metadata["namespace"] = namespace
        if metadata.pop("resourceVersion", None):
            raise errors.ApiError(500, "", "resourceVersion should not be set on objects to be created")
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = names.generated(metadata["generateName"], self.rng)
        metadata.update(uid=str(uuid.uuid4()))
        metadata["creationTimestamp"] = self.clock.stamp()
        for name in ("managedFields", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
            metadata.pop(name, None)
        if has_generation(kind):
            metadata["generation"] = 1
        obj = {"kind": kind.name, "apiVersion": kind.api_version, **body, "metadata": metadata}
        if "status" in kind.subresources and kind not in (NAMESPACE, POD):
            obj.pop("status", None)
            if kind in (DEPLOYMENT, REPLICA_SET, JOB):
                obj["status"] = {}
        obj = rewritten(kind, defaulted(kind, obj, self.rng), self.mirrors)
        validate(kind, obj)
        if kind == POD:
            admit(self.store, obj)
        if self.store.get(kind, metadata.get("namespace", ""), metadata["name"]) is not None:
            raise errors.already_exists(kind, metadata["name"])
        obj = self._attributed(kind, None, obj, writer, applied)
        return obj if dry_run else self.store.put(kind, obj)

    def update(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        body: Json,
        writer: Writer,
        *,
        dry_run: bool = False,
        applied: set[Steps] | None = None,
    ) -> Json:
        """Replace an object, or its status where the writer writes that subresource."""
        old = self.get(kind, namespace, name)
        metadata = dict(body.get("metadata") or {})
        if metadata.get("name", name) != name:
            given = metadata["name"]
            raise errors.bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")
        if metadata.get("resourceVersion") not in (None, "", old["metadata"]["resourceVersion"]):
            raise errors.modified(kind, name)
        obj = self._kept(kind, old, {**body, "metadata": metadata}, writer)
        if writer.subresource != "status":
            obj = rewritten(kind, defaulted(kind, obj, self.rng), self.mirrors)
        if obj == {**old, "metadata": {**old["metadata"], "managedFields": obj["metadata"].get("managedFields")}}:
            if applied is None:
                return old
        else:
            if writer.subresource != "status" and counts(kind, old, obj):
                obj["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1
            validate(kind, obj, old)
        attributed = self._attributed(kind, old, obj, writer, applied)
        if dry_run or attributed == old:
            return attributed
        released = attributed["metadata"].get("deletionTimestamp") and not attributed["metadata"].get("finalizers")
        if released and kind not in (POD, NAMESPACE):
            return self.store.remove(kind, attributed)
        return self.store.put(kind, attributed)

    def modify(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        change: Callable[[Json], Any],
        writer: Writer,
        *,
        dry_run: bool = False,
    ) -> Json:
        """Change a copy of the newest object (`change` edits it, or gives another) and write it."""
        draft = _copied(self.get(kind, namespace, name))
        changed = change(draft)
        return self.update(kind, namespace, name, draft if changed is None else changed, writer, dry_run=dry_run)

    def apply(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        config: Json,
        writer: Writer,
        *,
        force: bool = False,
        dry_run: bool = False,
    ) -> tuple[Json, bool]:
        """Server-side apply; also says whether the object was created."""
        if (config.get("metadata") or {}).get("managedFields"):
            raise errors.bad_request("metadata.managedFields must be nil")
        live = self.store.get(kind, namespace, name)
        start = live or {"apiVersion": kind.api_version, "metadata": {}}
        merged, applied = apply_configuration(start, config, writer, force=force)
        if live is None:
            merged["metadata"] = {**merged["metadata"], "name": name}
            return self.create(kind, namespace, merged, writer, dry_run=dry_run, applied=applied), True
        return self.update(kind, namespace, name, merged, writer, dry_run=dry_run, applied=applied), False

    def delete(
        self, kind: Kind, namespace: str, name: str, how: Deletion | None = None, *, dry_run: bool = False
    ) -> tuple[Json, bool]:
        """The object as it is now, and whether it is gone already."""
        how = how or Deletion()
        obj = self.get(kind, namespace, name)
        metadata = obj["metadata"]
        self._check_preconditions(kind, obj, how)
        finalizers = list(metadata.get("finalizers") or [])
        if how.propagation == "Foreground" and kind != POD and FOREGROUND not in finalizers:
            finalizers.append(FOREGROUND)
        if how.propagation == "Orphan" and ORPHAN not in finalizers:
            finalizers.append(ORPHAN)
        grace = self._grace(kind, obj, how)
        if dry_run:
            return obj, not (finalizers or grace)
        if not finalizers and not grace and kind != NAMESPACE:
            return self.store.remove(kind, obj), True
        if metadata.get("deletionTimestamp"):
            return obj, False
        when = stamp(self.clock.now() + timedelta(seconds=grace))
        marked = {**metadata, "deletionTimestamp": when, "deletionGracePeriodSeconds": grace}
        if finalizers:
            marked["finalizers"] = finalizers
        if has_generation(kind):
            marked["generation"] = metadata.get("generation", 1) + 1
        obj = {**obj, "metadata": marked}
        if kind == NAMESPACE:
            marked.pop("deletionGracePeriodSeconds")
            obj["status"] = {"phase": "Terminating"}
        return self.store.put(kind, obj), False

    def _check_preconditions(self, kind: Kind, obj: Json, how: Deletion) -> None:
        metadata = obj["metadata"]
        if how.uid and how.uid != metadata["uid"]:
            why = f"the UID in the precondition ({how.uid}) does not match the UID in record ({metadata['uid']})."
            why += " The object might have been deleted and then recreated"
            raise errors.conflict(kind, metadata["name"], f"Precondition failed: {why}")
        if how.version and how.version != metadata["resourceVersion"]:
            have = metadata["resourceVersion"]
            why = (
                f"the ResourceVersion in the precondition ({how.version}) does not match the ResourceVersion in record"
            )
            raise errors.conflict(kind, metadata["name"], f"Precondition failed: {why} ({have}).")

    @staticmethod
    def _grace(kind: Kind, obj: Json, how: Deletion) -> int:
        if kind != POD or not obj["spec"].get("nodeName") or obj["status"].get("phase") in ("Succeeded", "Failed"):
            return 0
        return int(obj["spec"].get("terminationGracePeriodSeconds", 30) if how.grace is None else how.grace)

    def _check_namespace(self, kind: Kind, namespace: str, metadata: Json) -> None:
        if metadata.get("namespace", namespace) != namespace:
            message = "the namespace of the provided object does not match the namespace sent on the request"
            raise errors.bad_request(message)
        holder = self.store.get(NAMESPACE, "", namespace)
        if holder is None:
            raise errors.not_found(NAMESPACE, namespace)
        if holder["status"].get("phase") == "Terminating" and kind != EVENT:
            name = metadata.get("name", "")
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            details = {"name": name, "kind": kind.plural, "causes": [{"reason": "NamespaceTerminating"}]}
            raise errors.ApiError(403, "Forbidden", f'{kind.qualified} "{name}" is forbidden: {why}', details)

    @staticmethod
    def _kept(kind: Kind, old: Json, body: Json, writer: Writer) -> Json:
        """What a writer cannot change by this request stays as it was."""
        before, metadata = old["metadata"], body["metadata"]
        if writer.subresource == "status":
            annotations = metadata.get("annotations", before.get("annotations"))
            metadata = {**before, **({"annotations": annotations} if annotations else {})}
            return {**old, "metadata": metadata, "status": body.get("status") or {}}
        metadata.update({name: before[name] for name in _KEPT if name in before})
        metadata["resourceVersion"] = before["resourceVersion"]
        metadata.setdefault("uid", before["uid"])
        metadata["managedFields"] = before.get("managedFields", [])
        if "generation" in before:
            metadata["generation"] = before["generation"]
        for name in ("labels", "annotations", "finalizers", "ownerReferences", "selfLink"):
            if not metadata.get(name):
                metadata.pop(name, None)
        obj = {**body, "kind": kind.name, "apiVersion": kind.api_version, "metadata": metadata}
        if "status" in kind.subresources:
            obj.pop("status", None)
            if "status" in old:
                obj["status"] = old["status"]
        return obj

    def _attributed(self, kind: Kind, old: Json | None, obj: Json, writer: Writer, applied: set[Steps] | None) -> Json:
        if kind == EVENT:
            return obj
        now = self.clock.stamp()
        if applied is None:
            entries = own_changes(old, obj, writer, now)
        else:
            entries = own_applied(old, obj, applied, writer, now)
            if old and _without_time(entries) == _without_time(old["metadata"].get("managedFields") or []):
                entries = old["metadata"]["managedFields"]
        return {**obj, "metadata": {**obj["metadata"], "managedFields": entries}}


def _copied(value: Any) -> Any:
    """A copy of JSON, all the way down; `copy.deepcopy`, which is ready for any object, takes several times as long."""
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, list) else value


def _without_time(entries: list[Json]) -> list[Json]:
    return [{key: value for key, value in entry.items() if key != "time"} for entry in entries]
