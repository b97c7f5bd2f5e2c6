"""Why something ended as it did: one closed list of reason codes for every room.

A code is for machines (audit, metrics, `--json`, docs); the sentence for people is written where it is raised.
`docs/reference/reason-codes.md` is generated from the texts here, so a new code explains itself.
"""

from enum import StrEnum


class ReasonCode(StrEnum):
    """Each member's value is the code; `describe` says what it means and what to do."""

    # refused by policy
    UNKNOWN_PERSON = "unknown-person"
    ACCOUNT_REFUSED = "account-refused"
    ACCOUNT_UNCHECKED = "account-unchecked"
    SHARED_ACCOUNT = "shared-account"
    NOT_PERMITTED = "not-permitted"
    OWN_REQUEST = "own-request"
    ALREADY_DECIDED = "already-decided"
    STALE_BUTTON = "stale-button"
    FOREIGN_BUTTON = "foreign-button"
    UNKNOWN_RUN = "unknown-run"
    NOT_WAITING = "not-waiting"
    NOT_RUNNING = "not-running"
    LOCKED = "locked"
    NO_APPROVER = "no-approver"
    PLACE_REFUSED = "place-refused"
    BOOK_UNAVAILABLE = "book-unavailable"
    TOO_MANY_REFUSALS = "too-many-refusals"
    # typed wrong
    USAGE = "usage"
    # endings of a request
    DENIED = "denied"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    NO_GO = "no-go"
    NOTHING_TO_DO = "nothing-to-do"
    NEEDS_REASON = "needs-reason"
    GATES_NOT_PASSED = "gates-not-passed"
    SCHEMA_TOO_NEW = "schema-too-new"
    DRY_RUN = "dry-run"
    PLAN_FAILED = "plan-failed"
    UPGRADED = "upgraded"
    ABANDONED = "abandoned"
    # endings of a run
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    OVERTAKEN = "overtaken"
    IMAGE_PULL = "image-pull"
    IMAGE_UNKNOWN = "image-unknown"
    IMAGE_UNAUTHORIZED = "image-unauthorized"
    IMAGE_RATE_LIMITED = "image-rate-limited"
    IMAGE_PLATFORM = "image-platform"
    IMAGE_NAME = "image-name"
    CRASH_LOOP = "crash-loop"
    OUT_OF_MEMORY = "out-of-memory"
    INIT_FAILED = "init-failed"
    INIT_WAITS = "init-waits"
    CONTAINER_CONFIG = "container-config"
    CONFIG_MISSING = "config-missing"
    NEVER_READY = "never-ready"
    READINESS_GATE = "readiness-gate"
    PROBE_KILLS = "probe-kills"
    UNSCHEDULABLE = "unschedulable"
    SCHEDULING_GATED = "scheduling-gated"
    POD_SANDBOX = "pod-sandbox"
    POD_WAITS = "pod-waits"
    POD_ENDED = "pod-ended"
    OLD_PODS_STAY = "old-pods-stay"
    VOLUME_UNAVAILABLE = "volume-unavailable"
    NODE_LOST = "node-lost"
    PROGRESS_DEADLINE = "progress-deadline"
    QUOTA_EXCEEDED = "quota-exceeded"
    ADMISSION_REFUSED = "admission-refused"
    PAUSED = "paused"
    IN_MAINTENANCE = "in-maintenance"
    BELOW_MINIMUM = "below-minimum"
    AUTOSCALED = "autoscaled"
    GATE_FAILED = "gate-failed"
    WRONG_DIGEST = "wrong-digest"
    CHANGED_MEANWHILE = "changed-meanwhile"
    NO_SUCH_VERSION = "no-such-version"
    NO_RELEASE = "no-release"
    NOTHING_TO_GO_BACK_FROM = "nothing-to-go-back-from"
    FOREIGN_IMAGE = "foreign-image"
    NOT_A_RELEASE = "not-a-release"
    CLUSTER_UNREACHABLE = "cluster-unreachable"
    CLUSTER_REFUSED = "cluster-refused"
    NOT_FOUND = "not-found"
    REGISTRY_UNREACHABLE = "registry-unreachable"
    RECORD_UNREADABLE = "record-unreadable"
    MANIFEST_INVALID = "manifest-invalid"
    FIELD_CONFLICT = "field-conflict"
    SCRIPT_MISSING = "script-missing"
    SCRIPT_FAILED = "script-failed"
    SCRIPT_UNANSWERED = "script-unanswered"
    OUTPUT_TOO_LARGE = "output-too-large"
    JOB_FAILED = "job-failed"
    MIGRATION_FAILED = "migration-failed"
    MIGRATION_RUNS = "migration-runs"
    NOT_CONFIGURED = "not-configured"
    GITHUB_UNREACHABLE = "github-unreachable"
    GITHUB_REFUSED = "github-refused"
    BUILD_FAILED = "build-failed"
    EXPORT_FAILED = "export-failed"
    CREDENTIALS_UNUSABLE = "credentials-unusable"
    DATABASE_UNREACHABLE = "database-unreachable"
    DATABASE_REFUSED = "database-refused"
    DATABASE_TLS = "database-tls"
    DATABASE_RIGHTS = "database-rights"
    DATABASE_BUSY = "database-busy"
    DATABASE_SLOW = "database-slow"
    DATABASE_TOO_OLD = "database-too-old"
    SESSION_PROTECTED = "session-protected"
    STATISTICS_MISSING = "statistics-missing"
    NO_SUCH_QUERY = "no-such-query"
    NO_PLAN = "no-plan"
    CACHE_UNREACHABLE = "cache-unreachable"
    CACHE_REFUSED = "cache-refused"
    AWS_UNREACHABLE = "aws-unreachable"
    AWS_REFUSED = "aws-refused"
    MONITORING_UNREACHABLE = "monitoring-unreachable"
    MONITORING_REFUSED = "monitoring-refused"
    VERIFICATION_FAILED = "verification-failed"
    VERIFICATION_INCONCLUSIVE = "verification-inconclusive"
    BACKUP_FAILED = "backup-failed"
    TIMED_OUT = "timed-out"
    BUG = "bug"

    @property
    def meaning(self) -> str:
        """A sentence or two for the reference: what it means, and what to do."""
        return _MEANINGS[self]


_MEANINGS: dict[ReasonCode, str] = {
    ReasonCode.UNKNOWN_PERSON: "The account is not listed in `omnicare.toml`. Ask its maintainers to add you.",
    ReasonCode.ACCOUNT_REFUSED: "Bot, guest, external and deactivated Slack accounts may not act. Use a full account.",
    ReasonCode.ACCOUNT_UNCHECKED: "Slack did not confirm the account's status. Try again, or use a terminal.",
    ReasonCode.SHARED_ACCOUNT: "Root and shared accounts may look, but not change or approve anything.",
    ReasonCode.NOT_PERMITTED: "No role of this person grants the permission in this environment. `whoami` shows what you may do.",
    ReasonCode.OWN_REQUEST: "Requesters can't approve their own requests. Anyone named on the card can.",
    ReasonCode.ALREADY_DECIDED: "Somebody else decided first, or this person has already approved.",
    ReasonCode.STALE_BUTTON: "The card has changed since the button was shown. Use the newest card.",
    ReasonCode.FOREIGN_BUTTON: "The button does not belong to a card of this run.",
    ReasonCode.UNKNOWN_RUN: "There is no run with that id. `runs` lists them.",
    ReasonCode.NOT_WAITING: "The request is no longer waiting for approval.",
    ReasonCode.NOT_RUNNING: "The run is not running, so there is nothing to stop.",
    ReasonCode.LOCKED: "The environment is locked. Ask its holder, or `unlock` if you may.",
    ReasonCode.NO_APPROVER: "Nobody but the requester could approve this. Change the roles or the policy.",
    ReasonCode.PLACE_REFUSED: "The command doesn't work here: the bot can't answer in this place, or the answer may be shown in a terminal only.",
    ReasonCode.BOOK_UNAVAILABLE: "The audit log can't be written, so nothing is changed and nothing is shown unredacted. Run `doctor` to find out why.",
    ReasonCode.TOO_MANY_REFUSALS: "One person was refused so often that further refusals are counted instead of logged one by one.",
    ReasonCode.USAGE: "The text could not be understood as a command. The answer says what to type instead.",
    ReasonCode.DENIED: "An approver denied the request. The reason is on the card.",
    ReasonCode.WITHDRAWN: "The requester withdrew the request.",
    ReasonCode.EXPIRED: "Nobody decided, or nobody said go, in time. Request it again.",
    ReasonCode.NO_GO: "Somebody said no-go before it started. Nothing was changed.",
    ReasonCode.NOTHING_TO_DO: "The environment is already in the requested state.",
    ReasonCode.NEEDS_REASON: "The request leads to something older, or skips a check, and gave no reason. Request it again with `--reason`.",
    ReasonCode.GATES_NOT_PASSED: "A required gate has not passed, so nobody was asked to approve. The plan shows each gate with its evidence and what to do.",
    ReasonCode.SCHEMA_TOO_NEW: "The release to go back to can't run on the database's present schema. The plan says how that is known, and offers what to do instead.",
    ReasonCode.DRY_RUN: "Only the plan was requested.",
    ReasonCode.PLAN_FAILED: "The plan could not be made. The card says why.",
    ReasonCode.UPGRADED: "The bot was upgraded during the run, and the new version can't read its plan. Its changes stay in place: decide what to do with them.",
    ReasonCode.ABANDONED: "The bot stopped after recording the request and before starting it. Nothing was changed.",
    ReasonCode.SUCCEEDED: "Done and verified.",
    ReasonCode.CANCELLED: "Somebody stopped the run. The card says what remains.",
    ReasonCode.OVERTAKEN: "A rollback replaced the run, which changes nothing any more.",
    ReasonCode.IMAGE_PULL: "A pod's image can't be pulled, for a reason that may be temporary. Check the registry and the nodes' connection to it.",
    ReasonCode.IMAGE_UNKNOWN: "The registry does not have the image. Push it again, or deploy an existing version.",
    ReasonCode.IMAGE_UNAUTHORIZED: "The registry rejects the nodes' credentials. Renew the pull secret.",
    ReasonCode.IMAGE_RATE_LIMITED: "The registry limits pulls from the nodes. Wait, or pull through a mirror.",
    ReasonCode.IMAGE_PLATFORM: "The image is not built for the nodes' processor architecture. Rebuild it for theirs.",
    ReasonCode.IMAGE_NAME: "The image's name is not valid. Fix the repository in the configuration.",
    ReasonCode.CRASH_LOOP: "The container keeps starting and exiting. Its last log lines are on the card.",
    ReasonCode.OUT_OF_MEMORY: "The container was killed for using more memory than its limit.",
    ReasonCode.INIT_FAILED: "An init container keeps failing. Its last log lines are on the card.",
    ReasonCode.INIT_WAITS: "An init container is still running and blocks the pod. Its last log lines are on the card.",
    ReasonCode.READINESS_GATE: "All containers are ready, but a readiness gate that another controller sets is not. Check that controller.",
    ReasonCode.SCHEDULING_GATED: "A scheduling gate blocks the pod. Check the controller that removes the gate.",
    ReasonCode.POD_SANDBOX: "The node can't create the pod's sandbox, usually because of its network. Check the network plugin on that node.",
    ReasonCode.POD_WAITS: "The pod is not ready, for a reason that the bot doesn't know. The card shows Kubernetes' message.",
    ReasonCode.POD_ENDED: "A new pod was evicted or rejected by its node. Check the node's capacity.",
    ReasonCode.OLD_PODS_STAY: "Old pods do not end, and strategy Recreate starts no new pods until they are gone. The card says what holds them.",
    ReasonCode.CONTAINER_CONFIG: "The container can't be created or started as configured, usually because of its command.",
    ReasonCode.CONFIG_MISSING: "A ConfigMap or Secret that the pod uses, or a key in it, does not exist. Apply it first.",
    ReasonCode.NEVER_READY: "The container runs, but its readiness probe does not pass.",
    ReasonCode.PROBE_KILLS: "A liveness or startup probe fails, so the container is restarted.",
    ReasonCode.UNSCHEDULABLE: "No node that the pod may run on has room for it.",
    ReasonCode.VOLUME_UNAVAILABLE: "The pod is waiting for a volume: its claim is missing or not bound, or it can't be mounted.",
    ReasonCode.NODE_LOST: "The node was lost while the new pod ran on it. Its pods are recreated elsewhere after a few minutes.",
    ReasonCode.PROGRESS_DEADLINE: "The rollout made no progress within the Deployment's own deadline.",
    ReasonCode.QUOTA_EXCEEDED: "The namespace's quota rejects the new pods. A rollout needs room for one more pod.",
    ReasonCode.ADMISSION_REFUSED: "The cluster rejects the new pods (limits, pod security, a webhook, a service account).",
    ReasonCode.PAUSED: "The Deployment is paused, so nothing would roll out. Run `kubectl rollout resume` first.",
    ReasonCode.IN_MAINTENANCE: "The region is in maintenance by `omnicare.toml`, so nothing is deployed there. Remove `maintenance` when it is over.",
    ReasonCode.BELOW_MINIMUM: "A service is never scaled below its `min_replicas`. The answer says how many it needs.",
    ReasonCode.AUTOSCALED: "A HorizontalPodAutoscaler sets the number of pods and would undo the change. The answer has the `kubectl` line that changes its limits.",
    ReasonCode.GATE_FAILED: "A required gate no longer passed right before the start, so nothing was changed. The card says which one and what to do.",
    ReasonCode.WRONG_DIGEST: "The pods run a different image from the approved one.",
    ReasonCode.CHANGED_MEANWHILE: "Somebody else changed the Deployment, or the items, since the plan was made. Plan again.",
    ReasonCode.NO_SUCH_VERSION: "The registry has no image of that version. The answer lists the newest that exist.",
    ReasonCode.NO_RELEASE: "There is no earlier good release to roll back to. Name one with `--to`.",
    ReasonCode.NOT_A_RELEASE: "The running version can't be recorded as a good release: its rollout is incomplete, its digest is unknown, or it was marked bad.",
    ReasonCode.CLUSTER_UNREACHABLE: "The Kubernetes API does not answer.",
    ReasonCode.CLUSTER_REFUSED: "The Kubernetes API denies the bot's account. `doctor` lists the missing permissions.",
    ReasonCode.NOT_FOUND: "A Deployment, pod or container named in the configuration does not exist.",
    ReasonCode.REGISTRY_UNREACHABLE: "The image registry does not answer.",
    ReasonCode.NOTHING_TO_GO_BACK_FROM: "The failed run ended before it changed a service, so the release before it still runs. Use `retry` or `resolve`.",
    ReasonCode.FOREIGN_IMAGE: "An image is not from the configured repository, or differs from the recorded one, and is not rolled out. Find out who set it; `deploy VERSION` rolls out the repository's image.",
    ReasonCode.RECORD_UNREADABLE: "The fleet's record was changed by hand or by a newer bot. `kubectl get configmap -o yaml` shows it.",
    ReasonCode.MANIFEST_INVALID: "A file of the release's configuration can't be applied as it stands. The message names the file and the place: fix it in the repository and release again.",
    ReasonCode.FIELD_CONFLICT: "Another field manager owns a value that the file would change; it is not overwritten. Take the value out of the file, have its owner change it, or use `config apply --take-over`.",
    ReasonCode.SCRIPT_MISSING: "The pod has no such script. Check the release's `package.json`, or the script's name in `omnicare.toml`.",
    ReasonCode.SCRIPT_FAILED: "The script in the pod failed, or returned an unusable answer. The card shows the end of its output.",
    ReasonCode.SCRIPT_UNANSWERED: "The script in the pod did not finish in time. It may still be running there.",
    ReasonCode.OUTPUT_TOO_LARGE: "The script in the pod printed more than the bot accepts.",
    ReasonCode.JOB_FAILED: "A program that ran as a Job failed. The card shows the end of its log; `kubectl describe job` shows the rest.",
    ReasonCode.MIGRATION_FAILED: "A migration ended with an error, so no service was changed. The card shows the end of its log; look at the table of applied migrations before you try again.",
    ReasonCode.MIGRATION_RUNS: "A migration of an earlier run is still running. Wait until its Job has ended.",
    ReasonCode.NOT_CONFIGURED: "The environment is not configured for this; the answer names the missing table of `omnicare.toml`.",
    ReasonCode.GITHUB_UNREACHABLE: "GitHub does not answer, or limits the bot's requests.",
    ReasonCode.GITHUB_REFUSED: "GitHub rejects the bot's token or shows it less than it needs. The answer names the missing permission.",
    ReasonCode.EXPORT_FAILED: "The export could not be written to its bucket, or could not be verified after writing. Nothing was deleted.",
    ReasonCode.CREDENTIALS_UNUSABLE: "The database credentials can't be read or are incomplete. The answer names the Secret's key or the file.",
    ReasonCode.DATABASE_UNREACHABLE: "The database server does not answer. Check that it runs, and check the network between it and the bot.",
    ReasonCode.DATABASE_REFUSED: "The database server rejects the bot's role or its statement. The answer says why.",
    ReasonCode.DATABASE_TLS: "The bot can't establish a trusted TLS connection to the database server.",
    ReasonCode.DATABASE_RIGHTS: "The bot's role lacks the privilege to read statistics. Grant it with `GRANT pg_monitor`.",
    ReasonCode.DATABASE_BUSY: "No database connection is free: the server's limit or the bot's own limit of two is reached.",
    ReasonCode.DATABASE_SLOW: "One of the bot's statements exceeded its time limit, or would have waited for a lock.",
    ReasonCode.SESSION_PROTECTED: "`db kill` ends only clients' sessions: none of a superuser, a replica, autovacuum or the bot itself.",
    ReasonCode.DATABASE_TOO_OLD: "The database server is older than PostgreSQL 10.",
    ReasonCode.STATISTICS_MISSING: "pg_stat_statements is not loaded or not created there, so there are no statistics.",
    ReasonCode.NO_SUCH_QUERY: "That server has no statistics for a statement with that id. `slow-queries` lists them.",
    ReasonCode.NO_PLAN: "The statement can't be planned from its normalised text. The card says why, and what to run by hand.",
    ReasonCode.CACHE_UNREACHABLE: "A node of the cache does not answer, or not yet. The answer names the node and says why.",
    ReasonCode.CACHE_REFUSED: "A node of the cache rejects the bot's password, a command or the connection. The answer says which, and what to do.",
    ReasonCode.AWS_UNREACHABLE: "AWS does not answer, or limits the account's requests. Try again later.",
    ReasonCode.AWS_REFUSED: "AWS rejects the bot's credentials or the request. The answer names the IAM action that is needed.",
    ReasonCode.MONITORING_UNREACHABLE: "Prometheus or Alertmanager does not answer, or its answer can't be read.",
    ReasonCode.MONITORING_REFUSED: "Prometheus or Alertmanager rejects the bot's account or a query. The answer says why.",
    ReasonCode.BUILD_FAILED: "The workflow that builds the images did not succeed. The card links its run, whose log says why.",
    ReasonCode.VERIFICATION_FAILED: "The release runs, but a check of its verification failed. The card lists each check with its value and limit.",
    ReasonCode.VERIFICATION_INCONCLUSIVE: "The release runs, but a required check of its verification has no result. That alone rolls nothing back: decide with the buttons.",
    ReasonCode.BACKUP_FAILED: "A snapshot, or an instance restored from one, did not become usable. The database itself is unchanged.",
    ReasonCode.TIMED_OUT: "It did not finish within its deadline.",
    ReasonCode.BUG: "An unexpected error. Search the bot's log for the run's id.",
}
