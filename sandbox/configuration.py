"""The sandbox's `omnicare.toml`: the same settings as in production, with addresses of this machine."""

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sandbox.people import DEPLOYS, INCIDENTS, PEOPLE, ROLES, STAGING

ROLE_TEXTS = {
    "release-manager": "asks for deploys",
    "release-approver": "approves what others ask for",
    "on-call": "keeps production running, and may go back at any hour",
    "dba": "looks after the database",
    "auditor": "reads the audit log, never runs anything",
}

_PERMISSIONS = {
    "fleet:read": ("release-manager", "release-approver", "on-call", "dba", "auditor"),
    "logs:read": ("release-manager", "release-approver", "on-call", "dba"),
    "logs:raw": ("on-call",),
    "database:read": ("release-manager", "release-approver", "on-call", "dba"),
    "database:restore": ("on-call", "dba"),
    "database:kill": ("on-call", "dba"),
    "sync:read": ("release-manager", "release-approver", "on-call", "dba"),
    "rollout:write": ("release-manager", "on-call"),
    "secret:write": ("on-call", "release-manager"),
    "sync:write": ("release-manager", "on-call", "dba"),
    "script:run": ("release-manager", "on-call", "dba"),
    "data:approve": ("release-approver", "dba"),
    "rollout:approve": ("release-approver",),
    "rollout:back": ("on-call", "release-manager", "release-approver"),
    "rollout:go": ("on-call",),
    "run:cancel": ("on-call", "release-approver"),
    "gate:sign": ("release-manager", "on-call"),
    "gate:override": ("release-manager", "on-call"),
    "lock:write": ("release-manager", "on-call"),
    "audit:read": ("auditor", "release-manager", "release-approver"),
}

_APPROVAL = {
    "reversible": {"count": 1, "permission": "rollout:approve"},
    "disruptive": {"count": 1, "permission": "rollout:approve"},
    "destructive": {"count": 2, "permission": "data:approve", "one_of_role": "dba"},
}


JWT = {"secret": "backend-secret", "keys": ["JWT_SECRET"], "services": ["backend"]}
"""The rotation of the guide's signing key."""


SCRIPTS = {
    "sessions": {
        "words": ["npm", "run", "--silent", "report:sessions"],
        "about": "Who is signed in, counted by ward",
        "changes": False,
    },
    "cache-warm": {
        "words": ["npm", "run", "--silent", "cache:warm", "--", "$argument"],
        "about": "Fill the cache again after it was emptied",
        "choices": ["wards", "drugs", "forms"],
    },
    "search-reindex": {
        "words": ["npm", "run", "--silent", "search:reindex"],
        "about": "Build the search index again",
        "runs": "as-job",
        "risk": "disruptive",
        "seconds": 300,
    },
}
"""What `run` may run."""


def write(
    folder: Path,
    *,
    kubeconfig: Path,
    slack_api: str | None,
    registry: str,
    exports: str | None = None,
    namespaces: dict[str, str],
    record_namespace: str = "omnicare-bot",
    web_port: int = 0,
    times: dict[str, float] | None = None,
    slack: dict[str, object] | None = None,
    health: Callable[[str, str], str] | None = None,
    database: dict[str, object] | None = None,
    train: Mapping[str, Mapping[str, object]] | None = None,
    regions: Sequence[str] = (),
    bake: float = 0.0,
) -> Path:
    """Writes `omnicare.toml` into `folder` and returns its path. `namespaces`: environment → namespace; `health`: (environment,
    service) → its health URL; `database`: production's, as its table stands in the file; `train`: the tables of each environment's release train (`sandbox.train`);
    `regions`: production's, each a context of the kubeconfig, and for how long a release bakes in each.
    """
    document: dict[str, object] = {
        "bot": {
            "state": str(folder / "state"),
            "web_port": web_port,
            "default_environment": next(iter(namespaces)),
            "sandbox": True,
        },
        "slack": {"enabled": slack_api is not None, **({"api_url": slack_api} if slack_api else {}), **(slack or {})},
        "registries": {"ghcr.io": registry},
        "channels": {DEPLOYS: "production", INCIDENTS: "production", STAGING: "staging"},
        "roles": {role: {"about": text} for role, text in ROLE_TEXTS.items()},
        "people": {
            person.handle: {"name": person.name.split()[0], "slack": person.id, "roles": ROLES[person.handle]}
            for person in PEOPLE
            if person.handle in ROLES
        },
        "environments": {
            name: {
                "namespace": namespace,
                "record_namespace": record_namespace,
                "channel": STAGING if name == "staging" else DEPLOYS,
                "compare_url": "https://github.com/omnicare/emr/compare/{before}...{after}",
                "contacts": ["DevOps on call: #incidents", "DBA team: #dba", "Security team: #security"],
                "cluster": {"kubeconfig": str(kubeconfig)},
                **({"regions": _regions(regions, bake)} if regions and name != "staging" else {}),
                "services": [
                    {
                        "name": service,
                        "repository": f"ghcr.io/omnicare/{service}",
                        **({"health_url": health(name, service)} if health is not None else {}),
                    }
                    for service in ("backend", "frontend")
                ],
                "permissions": _PERMISSIONS,
                "sync": _sync(name),
                **({"exports": _exports(exports)} if exports else {}),
                **({"database": database} if database and name != "staging" else {}),
                "approval": _APPROVAL,
                "rotations": {"jwt": JWT},
                "scripts": SCRIPTS,
                "going_back": {"count": 1, "permission": "rollout:back", "own": True},
                **((train or {}).get(name, {})),
            }
            for name, namespace in namespaces.items()
        },
    }
    if times:
        document["times"] = times
    if "staging" not in namespaces:
        document["channels"] = {DEPLOYS: "production", INCIDENTS: "production"}
    path = folder / "omnicare.toml"
    path.write_text("\n".join(_lines(document)) + "\n", encoding="utf-8")
    path.chmod(0o600)
    return path


_AWS_REGIONS = {"eu": "eu-west-1", "us": "us-east-1"}


def _regions(names: Sequence[str], bake: float) -> list[dict[str, object]]:
    aws = {name: {"aws_region": _AWS_REGIONS[name]} if name in _AWS_REGIONS else {} for name in names}
    return [{"name": name, "cluster": {"context": name}, "bake": bake, **aws[name]} for name in names]


def _sync(environment: str) -> dict[str, object]:
    """Production's script takes the ids on standard input; staging's is an older one that clears whatever is there."""
    if environment == "staging":
        return {"service": "backend"}
    clear = ["npm", "run", "--silent", "sync:clear-failed", "--", "--ids"]
    return {"service": "backend", "takes_ids": True, "clear_failed": clear}


def _exports(endpoint: str) -> dict[str, object]:
    return {"bucket": "omnicare-exports", "prefix": "sync/", "region": "us-east-1", "endpoint": endpoint}


def freeze(path: Path, *, frozen: bool) -> None:
    """Write a freeze window of all minutes into production's gates, or take it out; the bot reads it when it starts."""
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    windows = document["environments"]["production"]["gates"]["windows"]
    windows.pop("frozen", None)
    if frozen:
        windows["frozen"] = ["* * * * *"]
    path.write_text("\n".join(_lines(document)) + "\n", encoding="utf-8")


def _lines(document: dict[str, object], prefix: str = "") -> list[str]:
    """TOML of nested tables, plain values and lists; strings are written as JSON writes them, which TOML reads the same."""
    plain = {key: value for key, value in document.items() if not isinstance(value, dict) or not _is_table(key, value)}
    tables = {key: value for key, value in document.items() if key not in plain}
    lines = [f"{json.dumps(key)} = {_value(value)}" for key, value in plain.items()]
    for key, value in tables.items():
        name = f"{prefix}{json.dumps(key)}"
        assert isinstance(value, dict), "a table"
        lines += ["", f"[{name}]", *_lines(value, f"{name}.")]
    return lines


def _is_table(_key: str, value: dict[str, object]) -> bool:
    return bool(value)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(each) for each in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_value(each)}" for key, each in value.items()) + "}"
    return json.dumps(value)
