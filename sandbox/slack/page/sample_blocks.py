"""The sample's messages: what the bot's cards look like, as Block Kit. Data only."""

from typing import Any

Json = dict[str, Any]
Card = tuple[str, list[Json]]
VERSIONS = ("v1.1.0", "v1.2.0", "v2.0.0", "v2.0.0-bad", "v2.1.0-rc1")


def words(text: str) -> Json:
    return {"type": "mrkdwn", "text": text}


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text, "emoji": True}


def section(text: str, **more: Any) -> Json:
    return {"type": "section", "text": words(text), **more}


def context(*texts: str) -> Json:
    return {"type": "context", "elements": [words(text) for text in texts]}


def button(label: str, action: str, **more: Any) -> Json:
    return {"type": "button", "text": plain(label), "action_id": action, "value": action, **more}


def actions(*elements: Json) -> Json:
    return {"type": "actions", "elements": list(elements)}


def option(value: str, **more: Any) -> Json:
    return {"text": plain(value), "value": value, **more}


def rich(*parts: Json) -> Json:
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": list(parts)}]}


def run(text: str, **style: bool) -> Json:
    return {"type": "text", "text": text, **({"style": style} if style else {})}


def _cells(*texts: str, head: bool = False) -> list[Json]:
    return [rich(run(text, bold=True)) if head else {"type": "raw_text", "text": text} for text in texts]


def waiting(version: str) -> Card:
    text = f"Deploy {version} to production needs your approval (requested by Maya)"
    return text, [
        section(f":large_yellow_circle: *Deploy {version} to production* · waiting for approval"),
        context(f"Maya · backend and frontend v1.2.0 → {version} · run 7KQ2"),
    ]


def running(version: str) -> Card:
    return f"Deploying {version} to production, approved", [
        section(f"🟢 *{version} runs in production* · 1 min 12 s"),
        context("Maya · backend 3/3 · frontend 3/3 · approved by Tomas · v1.2.0 kept as last known good · run 7KQ2"),
    ]


def plan(version: str) -> Card:
    rows = [
        _cells("Service", "Now", "Next", "Pods", "Running since", head=True),
        _cells("backend", "v1.2.0 3f9ac1", f"{version} b81c07", "3", "12 days, by Tomas (run 5XA9)"),
        _cells("frontend", "v1.2.0 77d0e2", f"{version} 0c4e51", "3", "12 days, by Tomas"),
    ]
    return "Plan: backend and frontend", [
        section("*Plan* · digest `4c1f92ab`"),
        {"type": "table", "rows": rows, "column_settings": [{}, {}, {}, {"align": "right"}, {"is_wrapped": True}]},
        context("Order: backend, frontend, check. Usually takes 1 min 10 s. Old pods serve until new ones are ready."),
    ]


def approval(version: str) -> Card:
    ask = {
        "title": plain(f"Deploy {version} to production?"),
        "text": words("*backend* and *frontend*, v1.2.0 → " + version + ". It starts at once."),
        "confirm": plain("Approve"),
        "deny": plain("Not yet"),
    }
    overflow = {"type": "overflow", "action_id": "more", "options": [option("Withdraw"), option("Show the digest")]}
    return "Approval: 1 of release-approvers", [
        section("*Approval*: 1 of <!subteam^S0APPROVERS>, not Maya · expires <!date^1795356000^{time}|14:32>"),
        actions(
            button("Approve", "approve", style="primary", confirm=ask),
            button("Deny…", "deny", style="danger"),
            overflow,
        ),
    ]


def approved(by: str) -> Card:
    return "approved", [section(f"*Approved* by <@{by}>, <!date^1795355100^{{time}}|14:05>")]


def _task(name: str, title: str, status: str, details: str) -> Json:
    return {"type": "task_card", "task_id": name, "title": title, "status": status, "details": rich(run(details))}


def progress() -> Card:
    tasks = [
        _task("1", "Backend rollout · 21 s", "complete", "3/3 new pods ready"),
        _task("2", "Frontend rollout · 17 s", "in_progress", "1/3 new pods ready"),
        _task("3", "Check", "pending", "same digests, all ready"),
    ]
    return "Deploying v2.0.0 to production, 38 s", [
        section("🔵 *Deploying v2.0.0 to production* · 0 min 38 s"),
        {"type": "plan", "title": "Rollout", "tasks": tasks},
        actions(button("Cancel…", "cancel")),
    ]


def succeeded() -> Card:
    return "v2.0.0 runs in production", [
        section("🟢 *v2.0.0 runs in production* · 1 min 12 s"),
        context("backend 3/3 · frontend 3/3 · approved by Tomas · v1.2.0 kept as last known good"),
        actions(button("Roll back to v1.2.0", "rollback"), button("Logs", "logs"), button("Status", "status")),
    ]


def failed_head() -> Card:
    return "Deploy v2.0.0-bad stopped", [
        section("🔴 *Deploy v2.0.0-bad stopped at Backend rollout*: the image can't be pulled"),
        context("Ines · v1.2.0 still serves: 3 ready endpoints · run 7KQ3"),
    ]


def failed_progress() -> Card:
    tasks = [
        _task("1", "Backend rollout · 31 s", "error", "0/3 new pods ready: the image can't be pulled"),
        _task("2", "Frontend rollout", "pending", "not touched"),
    ]
    return "Rollout stopped", [{"type": "plan", "title": "Rollout", "tasks": tasks}]


def failed() -> Card:
    return "Deploy stopped: the image can't be pulled", [
        {
            "type": "alert",
            "level": "error",
            "text": words(
                "*v1.2.0 still serves*: 3 ready endpoints, health URL 200 (12 ms). Frontend was not touched."
            ),
        },
        section("Kubernetes: `manifest unknown (ghcr.io/omnicare/backend:v2.0.0-bad)` · pod backend-7c9f-x2lqp"),
        context("Usual causes: the nodes' pull credentials expired; the image was deleted or moved after planning."),
        actions(
            button("Roll back", "rollback", style="primary"), button("Retry", "retry"), button("Leave as is", "leave")
        ),
    ]


def refusal() -> list[Json]:
    return [section("You can't approve your own request. Tomas and Ines can.")]


def unknown(text: str) -> list[Json]:
    return [
        section(f"There is no `{text}`. Did you mean `deploy`?"),
        actions(button("Open deploy", "form", style="primary")),
    ]


def menu() -> list[Json]:
    def line(name: str, what: str) -> Json:
        return section(f"*{name}*\n{what}", accessory=button("Try", "form"))

    return [
        {"type": "header", "text": plain("What you may do here")},
        context("production · you are a release manager"),
        line("Look", "`status`, `pods`, `logs backend --since 15m`"),
        line("Act", "`deploy v2.0.0`, `rollback`, `lock --until 18:00`"),
    ]


def field(block: str, label: str, element: Json, **more: Any) -> Json:
    return {"type": "input", "block_id": block, "label": plain(label), "element": element, **more}


def form() -> Json:
    environments = [option("production"), option("staging")]
    blocks = [
        section("Plans the release and asks for an approval. Nothing changes before that."),
        field(
            "version",
            "Release",
            {"type": "external_select", "action_id": "version", "min_query_length": 1, "placeholder": plain("v2…")},
        ),
        field(
            "env",
            "Environment",
            {"type": "static_select", "action_id": "env", "options": environments, "initial_option": environments[0]},
        ),
        field(
            "services",
            "Services",
            {"type": "checkboxes", "action_id": "s", "options": [option("backend"), option("frontend")]},
            optional=True,
        ),
        field("when", "Not before", {"type": "timepicker", "action_id": "t"}, optional=True),
        field(
            "reason",
            "Reason",
            {"type": "plain_text_input", "action_id": "text", "multiline": True},
            hint=plain("The approver reads this."),
        ),
    ]
    return {
        "type": "modal",
        "title": plain("Deploy a release"),
        "submit": plain("Plan it"),
        "close": plain("Cancel"),
        "blocks": blocks,
    }


def denial() -> Json:
    reason = field("reason", "Reason", {"type": "plain_text_input", "action_id": "text", "multiline": True})
    return {
        "type": "modal",
        "title": plain("Deny this deploy"),
        "submit": plain("Deny"),
        "close": plain("Back"),
        "blocks": [section("Deploy v2.0.0 to production, requested by Maya."), reason],
    }


def home() -> Json:
    blocks = [
        {"type": "header", "text": plain("What goes on")},
        section(
            "*production* runs v1.2.0 · 6 of 6 pods ready\nNothing waits for you.", accessory=button("Status", "status")
        ),
        {"type": "divider"},
        {"type": "header", "text": plain("What you may do")},
        section("Look: `status`, `pods`, `logs`, `runs`\nAct: `deploy`, `rollback`, `lock`"),
        actions(button("Deploy a release…", "form", style="primary"), button("Roll back…", "rollback")),
    ]
    return {"type": "home", "blocks": blocks}


def everything() -> list[Json]:
    """One of each block and element that the others do not show."""
    options = [option("one"), option("two"), option("three")]
    numbers = [
        [
            {"type": "raw_text", "text": f"backend-{at}"},
            {"type": "raw_number", "text": str(at * 7 % 11), "value": at * 7 % 11},
        ]
        for at in range(9)
    ]
    listing = {
        "type": "rich_text_list",
        "style": "bullet",
        "elements": [
            {"type": "rich_text_section", "elements": [run("one "), run("bold", bold=True)]},
            {"type": "rich_text_section", "elements": [run("two "), {"type": "emoji", "name": "lock"}]},
        ],
    }
    return [
        {"type": "header", "text": plain("One of each block")},
        section("Fields", fields=[words("*Service*\nbackend"), words("*Version*\nv2.0.0")]),
        {"type": "divider"},
        {
            "type": "rich_text",
            "elements": [
                {
                    "type": "rich_text_section",
                    "elements": [run("Rich text for "), {"type": "user", "user_id": "U0MAYA"}],
                },
                listing,
                {"type": "rich_text_quote", "elements": [run("a quote")]},
                {"type": "rich_text_preformatted", "elements": [run("kubectl get pods\nbackend-7c9f  1/1")]},
            ],
        },
        {
            "type": "markdown",
            "text": "**Markdown** with a [link](https://example.com) and\n\n| a | b |\n|---|---|\n| 1 | 2 |",
        },
        *(
            {"type": "alert", "level": level, "text": plain(f"An alert of the level {level}")}
            for level in ("default", "info", "warning", "error", "success")
        ),
        {
            "type": "card",
            "title": words("A card"),
            "subtitle": words("with a subtitle"),
            "body": words("and a body"),
            "actions": [button("Open", "open")],
        },
        {
            "type": "container",
            "title": plain("A container"),
            "is_collapsible": True,
            "has_header_divider": True,
            "child_blocks": [section("Inside it")],
        },
        {
            "type": "data_table",
            "caption": "Restarts by pod",
            "rows": [[{"type": "raw_text", "text": "Pod"}, {"type": "raw_text", "text": "Restarts"}], *numbers],
        },
        {
            "type": "image",
            "image_url": "https://example.com/graph.png",
            "alt_text": "A graph of the error rate",
            "title": plain("Error rate"),
        },
        {
            "type": "actions",
            "elements": [
                {"type": "static_select", "action_id": "pick", "placeholder": plain("Pick one"), "options": options},
                {"type": "users_select", "action_id": "who", "placeholder": plain("Somebody")},
                {"type": "datepicker", "action_id": "day"},
                {"type": "button", "text": plain("Runbook"), "action_id": "url", "url": "https://example.com"},
            ],
        },
        section("Choose some", accessory={"type": "radio_buttons", "action_id": "radio", "options": options[:2]}),
        {
            "type": "context_actions",
            "elements": [
                {
                    "type": "feedback_buttons",
                    "action_id": "f",
                    "positive_button": {"text": plain("Helpful"), "value": "+"},
                    "negative_button": {"text": plain("Not helpful"), "value": "-"},
                }
            ],
        },
        {
            "type": "carousel",
            "elements": [
                {"type": "card", "title": words(f"*{name}*"), "body": words("A release")} for name in VERSIONS[:3]
            ],
        },
        {"type": "hologram"},
    ]
