"""What the documentation says is true: links, commands, the example configuration, and the roles and settings of `deploy/`."""

import re
import shlex
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.cli import main, take_options
from bot.config import FROM_ENVIRONMENT, load, validate
from bot.doctor.access import Where, rules
from bot.reference.manual import HERE
from commands.kit import registry
from commands.kit.parsing import parse, split
from commands.kit.types import Known
from runbooks.clients.github import access as github

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs/examples/omnicare.toml"
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/*.md"), *ROOT.glob("benchmarks/*.md")]
)
WRITTEN = [page for page in PAGES if "docs/reference" not in page.as_posix()]
HOW_TO = {
    "connect-slack",
    "connect-a-cluster",
    "deploy-the-bot",
    "configure-people-and-approvals",
    "read-the-audit-trail",
    "use-the-terminal",
}
NAMED = Known(
    environments=("production", "staging"),
    services=("backend", "frontend"),
    commands=registry.load().names(),
    people=("maya", "tomas", "ines", "dana", "noor"),
    regions=("eu", "us"),
    scripts=("cache-warm", "sessions"),
)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def headings(page: Path) -> set[str]:
    """The anchors that a page's headings make."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def blocks(page: Path, *languages: str) -> list[str]:
    found = re.findall(r"^ *```(\w+)\n(.*?)^ *```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [body for language, body in found if language in languages]


def commands_in(page: Path) -> list[str]:
    """What a reader is told to type: each `omnicare …` and `/omnicare …` of a block, or alone in back-ticks."""
    lines = [line.strip() for body in blocks(page, "sh", "text") for line in body.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8"))
    said = [re.sub(r"^(\$ |sudo -u \w+ |sudo )", "", line) for line in lines]
    return [line for line in said if re.match(r"(/|@)?omnicare [a-z-]", line)]


@cache
def manifests() -> list[dict[str, Any]]:
    return [
        document
        for path in sorted((ROOT / "deploy").glob("*.yml"))
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ]


def manifest(kind: str, name: str = "") -> dict[str, Any]:
    found = [each for each in manifests() if each["kind"] == kind and name in ("", each["metadata"]["name"])]
    assert len(found) == 1, f"{kind} {name}: {len(found)}"
    return found[0]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset|href)="([^"]+)"', text)
    for link in links:
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), f"{link}: there is no {target}"
        if anchor and there.suffix == ".md":
            assert anchor in headings(there), f"{link}: {there.name} has no such heading"


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_every_command_that_a_page_shows_can_be_typed(page: Path) -> None:
    for line in commands_in(page):
        # `…` and `[--x]` show a shape, not something to type; what follows a pipe is the shell's
        if "…" in line or "[" in line or line.split()[1].isupper():
            continue
        words = split(line.partition(" | ")[0].partition(" > ")[0])[1:]
        _options, tokens = take_options(words)
        if not tokens or tokens[0] in HERE or " ".join(tokens[:2]) in HERE:
            continue
        parse(tokens, registry.load(), NAMED, default_environment="production")


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z]+)", page.read_text(encoding="utf-8")))
    named |= {match for body in blocks(page, "sh") for match in re.findall(r"^\s*make ([a-z]+)", body, re.MULTILINE)}
    assert named <= targets


def test_make_hands_the_options_of_a_sandbox_on() -> None:
    asked = ["make", "--dry-run", "--no-print-directory", "sandbox", "ARGS=--scenario quota --port 8080"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ".venv/bin/omnicare sandbox --scenario quota --port 8080"


def test_every_option_of_a_sandbox_that_a_page_shows_exists(capsys: pytest.CaptureFixture[str]) -> None:
    pages = "\n".join(page.read_text(encoding="utf-8") for page in [*PAGES, ROOT / "Makefile"])
    shown = {word for options in re.findall(r'ARGS="([^"]+)"', pages) for word in options.split()}
    assert {"--help", "--scenario", "quota"} <= shown
    assert main(["sandbox", "--help"]) == 0
    assert shown - {"NAME"} <= set(re.findall(r"[\w-]+", capsys.readouterr().out))


def test_every_page_of_the_manual_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        links = re.findall(r"\]\(([^)#\s]+\.md)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        waiting += [(page.parent / link).resolve() for link in links if not re.match(r"[a-z]+:", link)]
    assert {name_of(page) for page in PAGES} == {name_of(page) for page in reached}


def test_the_readme_names_every_command() -> None:
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("## What it does")[2].partition("\n## ")[0]
    named = re.findall(r"`([^`]+)`", table)
    left = {name for name in registry.load().names() if name == registry.load().get(name).name} - {*named, "help"}
    assert left == set(), "add it to a row of README's table"


def test_the_ways_to_do_things_are_all_there() -> None:
    assert {page.stem for page in ROOT.glob("docs/how-to/*.md")} >= HOW_TO


def test_the_example_configuration_is_valid() -> None:
    settings = load(EXAMPLE)
    assert not settings.bot.sandbox
    assert settings.environments.keys() == {"production", "staging"}


def test_in_the_example_nobody_is_needed_to_approve_for_themselves() -> None:
    settings = load(EXAMPLE)
    for name, environment in settings.environments.items():
        for policy in environment.approval.values():
            roles = set(environment.permissions[policy.permission])
            able = [key for key, person in settings.people.items() if roles & set(person.roles) and not person.shared]
            assert len(able) > policy.count, name


def test_the_deployed_configuration_is_the_example() -> None:
    deployed = manifest("ConfigMap")["data"]["omnicare.toml"]
    assert validate(tomllib.loads(deployed)) == load(EXAMPLE)


def test_a_variable_of_the_example_is_one_that_the_bot_reads() -> None:
    named = set(re.findall(r"OMNICARE_[A-Z_]+", EXAMPLE.read_text(encoding="utf-8")))
    assert named <= set(FROM_ENVIRONMENT)


@pytest.mark.parametrize("where", Where)
def test_a_role_gives_exactly_what_doctor_asks_for(where: Where) -> None:
    given = sorted(manifest("ClusterRole", where.role)["rules"], key=str)
    assert [{**rule, "verbs": sorted(rule["verbs"])} for rule in given] == sorted(rules(where), key=str)


def test_the_bot_is_bound_in_its_namespaces_and_in_no_other() -> None:
    settings = load(EXAMPLE)
    wanted = {("omnicare-bot-services", each.namespace) for each in settings.environments.values()}
    wanted |= {(Where.ROTATIONS.role, each.namespace) for each in settings.environments.values() if each.rotations}
    tls = (each for each in settings.environments.values() if each.certificates.secrets)
    wanted |= {(Where.CERTIFICATES.role, each.namespace) for each in tls}
    wanted |= {(Where.CONFIGURATION.role, each.namespace) for each in settings.environments.values() if each.manifests}
    wanted |= {("omnicare-bot-record", each.record_namespace) for each in settings.environments.values()}
    bound = {
        (each["roleRef"]["name"], each["metadata"]["namespace"])
        for each in manifests()
        if each["kind"] == "RoleBinding"
    }
    assert bound == wanted
    assert not [each for each in manifests() if each["kind"] == "ClusterRoleBinding"]


def test_each_environment_has_a_record_namespace_of_its_own() -> None:
    records = [each.record_namespace for each in load(EXAMPLE).environments.values()]
    assert len(set(records)) == len(records)
    for name in records:
        labels = manifest("Namespace", name)["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_bot_can_not_write_where_its_own_configuration_is() -> None:
    home = manifest("ConfigMap")["metadata"]["namespace"]
    assert home == manifest("StatefulSet")["metadata"]["namespace"]
    assert home not in {each["metadata"]["namespace"] for each in manifests() if each["kind"] == "RoleBinding"}


def test_the_pod_fits_the_settings() -> None:
    settings, pod = load(EXAMPLE), manifest("StatefulSet")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    variables = {each["name"]: each["valueFrom"] for each in container["env"]}
    assert manifest("StatefulSet")["spec"]["replicas"] == 1
    assert variables["OMNICARE_EXECUTOR"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    assert set(variables) <= {*FROM_ENVIRONMENT, github.VARIABLE}
    assert pod["terminationGracePeriodSeconds"] > settings.times.drain
    assert container["ports"][0]["containerPort"] == settings.bot.web_port
    assert settings.bot.web_host == "0.0.0.0"
    mounted = [Path(each["mountPath"]) for each in container["volumeMounts"] if each["name"] == "state"]
    assert mounted[0] in settings.bot.state.parents
    assert {container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "startupProbe")} == {"/healthz"}
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_the_pod_may_do_no_more_than_it_needs() -> None:
    pod = manifest("StatefulSet")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not [each for each in manifests() if each["kind"] == "Secret"]


PRIVATE = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"}


def test_the_pod_reaches_only_what_it_needs_and_the_reason_stands_beside_each_rule() -> None:
    policy = manifest("NetworkPolicy")["spec"]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    allowed = {
        port["port"]: {peer.get("ipBlock", {}).get("cidr", "pods") for peer in rule["to"]}
        for rule in policy["egress"]
        for port in rule["ports"]
    }
    monitoring = {9090: {"pods"}, 9093: {"pods"}}
    assert allowed == {
        53: {"pods"},
        443: {"0.0.0.0/0", "::/0"},
        6443: PRIVATE,
        5432: PRIVATE,
        6379: PRIVATE,
        **monitoring,
    }
    anywhere = next(rule for rule in policy["egress"] if rule["ports"][0]["port"] == 443)
    assert all(peer["ipBlock"]["except"] for peer in anywhere["to"]), "not the node's metadata"
    assert [port["port"] for rule in policy["ingress"] for port in rule["ports"]] == [load(EXAMPLE).bot.web_port]
    lines = (ROOT / "deploy/network-policy.yml").read_text(encoding="utf-8").splitlines()
    rules_ = [number for number, line in enumerate(lines) if re.match(r"    - (to|from):", line)]
    assert len(rules_) == len(policy["ingress"]) + len(policy["egress"])
    for number in rules_:
        assert lines[number - 1].startswith("    # "), lines[number]


def test_every_image_is_named_by_digest_and_the_page_says_how_it_is_updated() -> None:
    (image,) = yaml.safe_load((ROOT / "deploy/kustomization.yaml").read_text(encoding="utf-8"))["images"]
    page = "\n".join(blocks(ROOT / "docs/how-to/deploy-the-bot.md", "sh"))
    assert set(image) == {"name", "newName", "digest"}
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", image["digest"])
    assert "digest: $digest" in page
    steps = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")
    bases = re.findall(r"^FROM (\S+)", steps, re.MULTILINE)
    assert set(bases) == {"${PYTHON}"}
    assert re.search(r"^ARG PYTHON=\S+@sha256:[0-9a-f]{64}$", steps, re.MULTILINE)
    assert "ARG PYTHON=" in page


def test_the_pod_is_bound_in_memory_and_the_reason_for_no_cpu_limit_is_given() -> None:
    (container,) = manifest("StatefulSet")["spec"]["template"]["spec"]["containers"]
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}
    assert set(container["resources"]["limits"]) == {"memory"}
    assert "# No CPU limit: " in (ROOT / "deploy/statefulset.yml").read_text(encoding="utf-8")


def test_everything_to_apply_is_in_the_kustomization() -> None:
    listed = yaml.safe_load((ROOT / "deploy/kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    assert set(listed) == {path.name for path in (ROOT / "deploy").glob("*.yml")}


def test_the_image_is_built_from_the_lock_with_hashes() -> None:
    steps = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")
    for line in steps.replace("\\\n", "").splitlines():
        for command in line.removeprefix("RUN ").split("&&"):
            if "pip install" in command:
                assert {"--require-hashes", "--no-index"} & set(shlex.split(command)), command
    assert "sandbox/ sandbox/" not in steps


def test_every_file_that_the_architecture_names_exists() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:bot|commands|runbooks|sandbox|tests)/[\w/]*(?:\.py)?)`", text))
    assert len(named) > 30, "the page names the files of each path"
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
