"""Who may do what: bearer tokens, rules, and the reviews by which anybody can ask (`kubectl auth can-i`)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

from sandbox.cluster.errors import ApiError, bad_request, unauthorized
from sandbox.cluster.resources import ACCESS_REVIEW, RULES_REVIEW, SELF_REVIEW, Json, Kind
from sandbox.cluster.settings import Rule, User

ANONYMOUS = User("system:anonymous", "", (), ("system:unauthenticated",))
_REVIEWS = Rule(
    ("create",),
    (ACCESS_REVIEW.plural, RULES_REVIEW.plural, SELF_REVIEW.plural),
    (ACCESS_REVIEW.group, SELF_REVIEW.group),
)


@dataclass(frozen=True)
class Attempt:
    """What somebody wants to do; `resource` with its subresource (`pods/log`)."""

    verb: str
    group: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""


class Tokens:
    """Who is known by which token: the users' own, which last, and those that are issued for a time."""

    def __init__(self, users: tuple[User, ...]) -> None:
        self._users = users
        self._issued: dict[str, tuple[User, datetime]] = {}

    def issue(self, user: User, until: datetime) -> str:
        """A token of that user's that is good until then."""
        token = f"{user.name}.{secrets.token_hex(16)}"
        self._issued[token] = user, until
        return token

    def revoke(self) -> None:
        """None of the issued ones is good any more."""
        self._issued.clear()

    def holder(self, token: str, now: datetime) -> User | None:
        """Whose it is; nobody's once it has expired."""
        if (found := self._issued.get(token)) is not None:
            user, until = found
            return user if now < until else None
        return next((user for user in self._users if user.token == token), None)


def authenticate(tokens: Tokens, header: str, now: datetime) -> User:
    """The user of an Authorization header; nobody in particular where there is none."""
    if not header:
        return ANONYMOUS
    scheme, _, token = header.partition(" ")
    found = tokens.holder(token.strip(), now)
    if scheme.lower() != "bearer" or found is None:
        raise unauthorized()
    return found


def rules_of(user: User) -> tuple[Rule, ...]:
    return user.rules if user is ANONYMOUS else (*user.rules, _REVIEWS)


def is_allowed(user: User, attempt: Attempt) -> bool:
    return any(_covers(rule, attempt) for rule in rules_of(user))


def _covers(rule: Rule, attempt: Attempt) -> bool:
    plural, _, sub = attempt.resource.partition("/")
    resources = {attempt.resource, "*"} | ({f"*/{sub}", f"{plural}/*"} if sub else set())
    return (
        bool({attempt.verb, "*"} & set(rule.verbs))
        and bool(resources & set(rule.resources))
        and bool({attempt.group, "*"} & set(rule.groups))
        and (not rule.namespaces or attempt.namespace in rule.namespaces)
        and (not rule.names or attempt.name in rule.names)
    )


def refuse(user: User, attempt: Attempt, kind: Kind) -> ApiError:
    where = f'in the namespace "{attempt.namespace}"' if attempt.namespace else "at the cluster scope"
    named = f' "{attempt.name}"' if attempt.name else ""
    message = (
        f'{kind.qualified}{named} is forbidden: User "{user.name}" cannot {attempt.verb} resource '
        f'"{attempt.resource}" in API group "{attempt.group}" {where}'
    )
    details: Json = {"name": attempt.name} if attempt.name else {}
    if kind.group:
        details["group"] = kind.group
    return ApiError(403, "Forbidden", message, {**details, "kind": kind.plural})


def review(tokens: Tokens, user: User, kind: Kind, body: Json, now: datetime) -> Json:
    """The answer to one of the reviews: the same object with its status filled in."""
    spec = body.get("spec") or {}
    answer: Json = {"kind": kind.name, "apiVersion": kind.api_version, "metadata": {}, "spec": spec}
    if kind == ACCESS_REVIEW:
        allowed = is_allowed(user, _attempt_of(spec)) if spec.get("resourceAttributes") else _may_ask(user, spec)
        return {**answer, "status": {"allowed": allowed}}
    if kind == RULES_REVIEW:
        return {**answer, "status": _rules(user, str(spec.get("namespace", "")))}
    if kind == SELF_REVIEW:
        who = {"username": user.name, "groups": [*user.groups, "system:authenticated"]}
        return {"kind": kind.name, "apiVersion": kind.api_version, "metadata": {}, "status": {"userInfo": who}}
    if not spec.get("token"):
        raise bad_request("token is required for TokenReview in authentication")
    found = tokens.holder(spec["token"], now)
    if found is None:
        return {**answer, "status": {"error": "the token is not known", "user": {}}}
    return {**answer, "status": {"authenticated": True, "user": {"username": found.name, "groups": list(found.groups)}}}


def _may_ask(user: User, spec: Json) -> bool:
    asked = spec.get("nonResourceAttributes") or {}
    return user is not ANONYMOUS and asked.get("verb") == "get"


def _attempt_of(spec: Json) -> Attempt:
    asked = spec.get("resourceAttributes") or {}
    resource, sub = asked.get("resource", ""), asked.get("subresource", "")
    return Attempt(
        verb=asked.get("verb", ""),
        group=asked.get("group", ""),
        resource=f"{resource}/{sub}" if sub else resource,
        namespace=asked.get("namespace", ""),
        name=asked.get("name", ""),
    )


def _rules(user: User, namespace: str) -> Json:
    here = [rule for rule in rules_of(user) if not rule.namespaces or namespace in rule.namespaces]
    rules = [
        {
            "verbs": list(rule.verbs),
            "apiGroups": list(rule.groups),
            "resources": list(rule.resources),
            **({"resourceNames": list(rule.names)} if rule.names else {}),
        }
        for rule in here
    ]
    paths = {"verbs": ["get"], "nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/version"]}
    return {"resourceRules": rules, "nonResourceRules": [paths], "incomplete": False}
