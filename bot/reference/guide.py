"""The production guide, line by line: what does it instead of a person at a shell, and the test that proves it.

`docs/guide-coverage.md` is made from this table. The tests compare it with the guide itself where that is at hand, and fail where a line
of the guide has no entry, or an entry names a command, step, gate, setting or test that does not exist.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from bot.reference.markdown import code, page, table

How = Literal["command", "step", "gate", "setting", "check", "person"]


@dataclass(frozen=True, slots=True)
class Coverage:
    """What covers one line of the guide."""

    how: How
    what: str
    """The name of the command, step, gate or setting; for a person a sentence."""
    test: str
    """`tests/…/test_file.py::test_name`."""

    @property
    def shown(self) -> str:
        """For the page."""
        match self.how:
            case "command" | "step" | "gate" | "setting":
                return f"{self.how} {code(self.what)}"
            case "check":
                return self.what
            case "person":
                return f"asked of a person: {self.what}"


def _command(name: str, test: str) -> Coverage:
    return Coverage("command", name, test)


def _step(kind: str, test: str) -> Coverage:
    return Coverage("step", kind, test)


def _gate(name: str, test: str) -> Coverage:
    return Coverage("gate", name, test)


def _setting(name: str, test: str) -> Coverage:
    return Coverage("setting", name, test)


_RUNS = "tests/bot/runs"
_VARIABLES = "tests/bot/test_config.py::test_the_guides_variables_fill_in_what_the_file_leaves_out"
_CONFIGURED = f"{_RUNS}/test_config_apply.py::test_a_deploy_applies_what_differs_and_a_rollback_takes_it_back"
_BUILT = f"{_RUNS}/test_build.py::test_the_images_of_a_tag_are_built_once_and_then_are_there"
_DEPLOYED = f"{_RUNS}/test_deploys.py::test_a_deploy_that_somebody_else_approved_runs_everywhere"
_BACK = f"{_RUNS}/test_going_back.py::test_who_is_on_call_goes_back_alone_with_one_confirmation"
_ROLLOUT = (
    "tests/runbooks/release/test_rollouts.py::test_a_rollout_ends_when_every_new_pod_is_ready_and_runs_the_asked_digest"
)
_WATCHED = "tests/runbooks/release/test_rollouts.py::test_both_services_roll_out_side_by_side_and_are_checked"
_DIAGNOSED = f"{_RUNS}/test_diagnosing.py::test_nothing_is_wrong_and_then_the_cause_and_the_deploy_before_it_are_named"
_LOGS = "tests/runbooks/logs/test_reading.py::test_the_pods_lines_are_merged_in_time_order_and_bounded"
_FOLLOWED = "tests/runbooks/logs/test_following.py::test_new_lines_come_in_time_order_and_once"
_CONNECTED = "tests/database/test_commands.py::test_credentials_are_proved_and_not_shown"
_SLOW = "tests/database/test_commands.py::test_slow_queries_and_a_plan_by_its_button"

_SCRIPTS = "tests/runbooks/verification/test_alerts_and_scripts.py::test_what_a_script_prints_is_judged_against_what_was_before"
_RECEIVERS = "tests/runbooks/verification/test_alerts_and_scripts.py::test_a_receiver_that_is_missing_fails_and_an_alertmanager_without_an_answer_is_inconclusive"
_RULES = "tests/contracts/test_monitoring.py::test_the_guides_queries_give_numbers_and_what_is_not_counted_gives_none"
_VERIFIED = f"{_RUNS}/test_verification.py::test_a_failed_flow_and_a_value_over_its_limit_stop_a_deploy_and_a_retry_checks_again"

_ALONE = f"{_RUNS}/test_verification.py::test_verify_shows_each_check_and_smoke_tests_and_benchmark_run_alone"
_CHECKED = "tests/runbooks/gates/test_code.py::test_a_release_that_has_everything_passes_with_evidence"
_NAMED = "tests/runbooks/gates/test_code.py::test_each_gate_says_what_is_wrong_and_what_to_do"
_ALL_CHECKS = "tests/runbooks/gates/test_code.py::test_without_names_all_checks_count"
_TOKEN = "tests/runbooks/gates/test_code.py::test_a_token_is_sent_and_known_to_the_redactor_and_read_anew"  # noqa: S105 - a test's name
_SIGNED = "tests/bot/runs/test_gates.py::test_who_may_signs_from_the_refused_plan_and_it_can_be_deployed_again"
_AGED = "tests/runbooks/gates/test_signatures.py::test_the_gate_waits_for_a_signature_that_counts"
_INVALIDATED = f"{_RUNS}/test_cdn.py::test_a_deploy_and_its_rollback_invalidate_the_cdn_and_paths_are_invalidated_alone"
_BACKUPS = f"{_RUNS}/test_backups.py::test_backups_are_seen_proved_by_a_drill_and_restored_to_a_new_instance"
_UNDONE = (
    f"{_RUNS}/test_migrations.py::test_a_rollback_warns_of_newer_migrations_and_db_rollback_undoes_them_one_by_one"
)
_MIGRATED = f"{_RUNS}/test_migrations.py::test_a_deploy_names_its_migrations_applies_them_first_and_says_what_they_did"
_GATES_ON_BACKUPS = (
    "tests/runbooks/backups/test_backups.py::test_the_gates_on_backups_pass_on_what_is_good_and_stop_on_what_is_not"
)
_METRICS = "tests/contracts/test_monitoring.py::test_the_guides_key_metrics_are_read_over_a_time"
_TOP = "tests/runbooks/observe/test_usage.py::test_pods_and_nodes_are_measured_beside_requests_and_limits"

GUIDE: Mapping[str, Mapping[str, Coverage]] = {
    "Environment Variables": {
        "export KUBECONFIG=/path/to/omnicare-prod-kubeconfig": _setting("KUBECONFIG", _VARIABLES),
        "export AWS_PROFILE=omnicare-prod": _setting(
            "AWS_PROFILE",
            "tests/runbooks/clients/test_aws_profile.py::test_the_profile_that_aws_profile_names_gives_region_and_credentials",
        ),
        "export GITHUB_TOKEN=<your-github-token>": _setting("GITHUB_TOKEN", _TOKEN),
        "export REGISTRY=ghcr.io": _setting("REGISTRY", _VARIABLES),
    },
    "Code Quality Gates": {
        "All CI/CD checks passing on main branch": _gate("checks", _ALL_CHECKS),
        "Security scans completed (Snyk, CodeQL)": _gate("check:Snyk", _NAMED),
        "HIPAA compliance checks passed": _gate("check:HIPAA compliance", _CHECKED),
        "Performance tests meet SLA requirements": _gate("check:Performance", _CHECKED),
        "Test coverage > 80%": _gate("coverage", _NAMED),
    },
    "Dependency Updates": {
        "All npm packages updated and audited": _gate("check:npm audit", _ALL_CHECKS),
        "No critical security vulnerabilities": _gate("code-scanning", _NAMED),
        "Docker base images updated": _gate("check:Base images", _CHECKED),
        "Kubernetes manifests validated": _step(
            "apply-config-map",
            "tests/runbooks/manifests/test_applying.py::test_a_value_that_another_manager_owns_is_named_with_its_owner_and_left_alone",
        ),
    },
    "Documentation": {
        "API documentation updated": _gate("signature:api-documentation", _AGED),
        "Release notes prepared": _gate("release", _NAMED),
        "Customer communication drafted": _gate("signature:customer-communication", _SIGNED),
    },
    "Backup Verification": {
        "Database backup completed and verified": _gate("snapshot", _GATES_ON_BACKUPS),
        "Configuration backups stored": _gate("configuration-backup", _GATES_ON_BACKUPS),
        "Recovery procedures tested": _gate("restore", _GATES_ON_BACKUPS),
    },
    "Step 1: Build and Push Docker Images": {
        "VERSION=$(git describe --tags --always)": _command("deploy", _DEPLOYED),
        "cd backend": _command("build", _BUILT),
        "docker build -t $REGISTRY/omnicare/backend:$VERSION .": _command("build", _BUILT),
        "docker push $REGISTRY/omnicare/backend:$VERSION": _command("build", _BUILT),
        "cd ../frontend": _command("build", _BUILT),
        "docker build -t $REGISTRY/omnicare/frontend:$VERSION .": _command("build", _BUILT),
        "docker push $REGISTRY/omnicare/frontend:$VERSION": _command("build", _BUILT),
    },
    "Step 2: Database Migrations": {
        'kubectl run -it --rm migrate-pod --image=$REGISTRY/omnicare/backend:$VERSION --env="DATABASE_URL=$PROD_DATABASE_URL" -- npm run migrate:up': _step(
            "migrate", _MIGRATED
        ),
        'kubectl exec -it postgres-primary-0 -- psql -U omnicare_prod_user -d omnicare_emr_prod -c "SELECT * FROM schema_migrations ORDER BY version DESC LIMIT 5;"': _step(
            "migrate", _MIGRATED
        ),
    },
    "Step 3: Deploy Backend Services": {
        "kubectl set image deployment/backend backend=$REGISTRY/omnicare/backend:$VERSION -n omnicare-prod": _step(
            "rollout", _ROLLOUT
        ),
        "kubectl rollout status deployment/backend -n omnicare-prod": _step("rollout", _ROLLOUT),
        "kubectl get pods -n omnicare-prod -l app=backend": _step("check", _WATCHED),
    },
    "Step 4: Deploy Frontend Services": {
        "kubectl set image deployment/frontend frontend=$REGISTRY/omnicare/frontend:$VERSION -n omnicare-prod": _step(
            "rollout", _ROLLOUT
        ),
        "kubectl rollout status deployment/frontend -n omnicare-prod": _step("rollout", _ROLLOUT),
        'aws cloudfront create-invalidation --distribution-id $CLOUDFRONT_DISTRIBUTION_ID --paths "/*"': _step(
            "invalidate-cdn", _INVALIDATED
        ),
    },
    "Step 5: Update Configuration": {
        "kubectl apply -f devops/kubernetes/production-config.yaml": _command("config apply", _CONFIGURED),
        "kubectl create secret generic backend-secret --from-literal=JWT_SECRET=$NEW_JWT_SECRET --dry-run=client -o yaml | kubectl apply -f -": _command(
            "secret rotate",
            f"{_RUNS}/test_secret_rotate.py::test_a_new_value_is_made_written_and_shown_nowhere_and_the_pods_that_read_it_are_new",
        ),
    },
    "Health Checks": {
        "curl -f https://api.omnicare-health.com/health": _step("verify", _VERIFIED),
        "curl -f https://omnicare-health.com/api/health": _step("verify", _VERIFIED),
        "kubectl exec -it backend-pod -- npm run db:test": _step("verify", _SCRIPTS),
    },
    "Smoke Tests": {
        "npm run test:smoke -- --env=production": _step("smoke-tests", _VERIFIED),
        "1. User authentication": _step("smoke-tests", _VERIFIED),
        "2. Patient data retrieval": _step("smoke-tests", _VERIFIED),
        "3. Clinical note creation": _step("smoke-tests", _VERIFIED),
        "4. Offline sync functionality": _step("smoke-tests", _VERIFIED),
    },
    "Performance Verification": {
        "npm run benchmark:production": _command("verify benchmark", _ALONE),
        "- API response time < 200ms (p95)": _step("verify", _VERIFIED),
        "- Database query time < 100ms (p95)": _step("verify", _VERIFIED),
        "- Page load time < 3s": _step("verify", _VERIFIED),
    },
    "Monitoring Verification": {
        "SLA metrics (availability, response time, error rate)": _step("verify", _VERIFIED),
        "Resource utilization": _command("metrics", _METRICS),
        "Database performance": _step("verify", _VERIFIED),
        "Critical alerts configured": _step("verify", _RULES),
        "PagerDuty integration working": _step("verify", _RECEIVERS),
        "Slack notifications active": _step("verify", _RECEIVERS),
    },
    "Immediate Rollback (< 5 minutes)": {
        "kubectl rollout undo deployment/backend -n omnicare-prod": _command("rollback", _BACK),
        "kubectl rollout undo deployment/frontend -n omnicare-prod": _command("rollback", _BACK),
        "kubectl rollout status deployment/backend -n omnicare-prod": _step("rollback", _BACK),
        "kubectl rollout status deployment/frontend -n omnicare-prod": _step("rollback", _BACK),
    },
    "Database Rollback": {
        'kubectl run -it --rm rollback-pod --image=$REGISTRY/omnicare/backend:$PREVIOUS_VERSION --env="DATABASE_URL=$PROD_DATABASE_URL" -- npm run migrate:down': _command(
            "db rollback", _UNDONE
        ),
        "aws rds restore-db-instance-from-db-snapshot --db-instance-identifier omnicare-prod-restored --db-snapshot-identifier omnicare-prod-backup-$TIMESTAMP": _command(
            "db restore", _BACKUPS
        ),
    },
    "Key Metrics to Monitor": {
        "Request rate and latency": _command("metrics", _METRICS),
        "Error rate (target < 0.1%)": _command("metrics", _METRICS),
        "Active user sessions": _command("metrics", _METRICS),
        "API endpoint performance": _command("metrics", _METRICS),
        "CPU/Memory utilization": _command("metrics", _METRICS),
        "Pod restart frequency": _command("metrics", _METRICS),
        "Network I/O": _command("metrics", _METRICS),
        "Disk usage": _command("metrics", _METRICS),
        "Connection pool usage": _command("metrics", _METRICS),
        "Query performance": _command("metrics", _METRICS),
        "Replication lag": _command("metrics", _METRICS),
        "Lock contention": _command("metrics", _METRICS),
        "Audit log generation": _command("metrics", _METRICS),
        "Failed authentication attempts": _command("metrics", _METRICS),
        "Data access patterns": _command("metrics", _METRICS),
        "Encryption status": _command("metrics", _METRICS),
    },
    "1. Deployment Stuck in Pending": {
        "kubectl describe pod <pod-name> -n omnicare-prod": _command("diagnose", _DIAGNOSED),
    },
    "2. Database Connection Errors": {
        "kubectl exec -it backend-pod -- nc -zv postgres-primary 5432": _command(
            "diagnose",
            "tests/database/test_troubleshooting.py::test_what_can_not_be_reached_says_how_far_it_got",
        ),
        "kubectl exec -it backend-pod -- npm run db:pool:status": _command(
            "db pool",
            "tests/database/test_commands.py::test_the_pool_is_told_by_the_server_and_by_the_application",
        ),
        "kubectl get secret postgres-prod-secret -o jsonpath='{.data.DATABASE_URL}' | base64 -d": _command(
            "db connect", _CONNECTED
        ),
    },
    "3. High Response Times": {
        'kubectl exec -it postgres-primary-0 -- psql -U omnicare_prod_user -c "SELECT * FROM pg_stat_statements ORDER BY mean_time DESC LIMIT 10;"': _command(
            "slow-queries", _SLOW
        ),
        "kubectl logs -f deployment/backend -n omnicare-prod --tail=100": _command("logs", _FOLLOWED),
        "kubectl top pods -n omnicare-prod": _command("top pods", _TOP),
    },
    "4. Offline Sync Issues": {
        "kubectl exec -it backend-pod -- npm run sync:status": _command(
            "sync status", f"{_RUNS}/test_sync.py::test_the_queue_is_told_with_what_fails_and_when_it_is_empty"
        ),
        "kubectl logs -f deployment/backend -n omnicare-prod | grep websocket": _command(
            "sync websocket",
            "tests/runbooks/websockets/test_reading.py::test_a_rise_is_dated_and_its_pods_are_compared",
        ),
        "kubectl exec -it backend-pod -- npm run sync:clear-failed": _command(
            "sync clear-failed",
            f"{_RUNS}/test_sync.py::test_clearing_needs_two_others_exports_reads_back_and_clears_just_what_was_approved",
        ),
    },
    "Useful Commands Reference": {
        "kubectl get all -n omnicare-prod": _command(
            "resources", "tests/runbooks/observe/test_resources.py::test_each_kind_is_told_with_how_ready_it_is"
        ),
        "kubectl logs -f -l app=backend -n omnicare-prod --all-containers": _command("logs", _FOLLOWED),
        "kubectl exec -it <pod-name> -n omnicare-prod -- /bin/sh": Coverage(
            "check",
            "nobody: there is no general exec, on purpose",
            "tests/contracts/test_guide.py::test_there_is_no_command_that_runs_anything",
        ),
        "kubectl port-forward svc/backend 3001:3001 -n omnicare-prod": _command(
            "forward",
            "tests/runbooks/observe/test_forwarding.py::test_the_line_is_the_guides_with_the_services_own_port",
        ),
        "kubectl top nodes": _command("top nodes", _TOP),
        "kubectl top pods -n omnicare-prod": _command("top pods", _TOP),
        "kubectl get events -n omnicare-prod --sort-by='.lastTimestamp'": _command(
            "events", "tests/runbooks/observe/test_events.py::test_every_form_of_an_event_says_the_same"
        ),
    },
}
"""Section → line → what covers it."""


def lines() -> Iterator[tuple[str, str, Coverage]]:
    """Return (section, line, what covers it), in the guide's order."""
    for section, found in GUIDE.items():
        for line, coverage in found.items():
            yield section, line, coverage


def guide_coverage() -> str:
    """The page."""
    sections = (
        f"## {section}\n\n"
        + table(
            ("In the guide", "Done by", "Proved by"),
            ((code(line), coverage.shown, code(coverage.test.rpartition("::")[2])) for line, coverage in found.items()),
        )
        for section, found in GUIDE.items()
    )
    return page(
        "The production guide, line by line",
        f"All {len(list(lines()))} commands and checks of the guide are done by the bot or by a person who signs.",
        *sections,
    )
