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
    WRONG_DIGEST = "wrong-digest"
    CHANGED_MEANWHILE = "changed-meanwhile"
    NO_SUCH_VERSION = "no-such-version"
    NO_RELEASE = "no-release"
    FOREIGN_IMAGE = "foreign-image"
    NOT_A_RELEASE = "not-a-release"
    CLUSTER_UNREACHABLE = "cluster-unreachable"
    CLUSTER_REFUSED = "cluster-refused"
    NOT_FOUND = "not-found"
    REGISTRY_UNREACHABLE = "registry-unreachable"
    RECORD_UNREADABLE = "record-unreadable"
    SCRIPT_MISSING = "script-missing"
    SCRIPT_FAILED = "script-failed"
    SCRIPT_UNANSWERED = "script-unanswered"
    OUTPUT_TOO_LARGE = "output-too-large"
    NOT_CONFIGURED = "not-configured"
    EXPORT_FAILED = "export-failed"
    CREDENTIALS_UNUSABLE = "credentials-unusable"
    DATABASE_UNREACHABLE = "database-unreachable"
    DATABASE_REFUSED = "database-refused"
    DATABASE_TLS = "database-tls"
    DATABASE_RIGHTS = "database-rights"
    DATABASE_BUSY = "database-busy"
    DATABASE_SLOW = "database-slow"
    DATABASE_TOO_OLD = "database-too-old"
    STATISTICS_MISSING = "statistics-missing"
    NO_SUCH_QUERY = "no-such-query"
    NO_PLAN = "no-plan"
    TIMED_OUT = "timed-out"
    BUG = "bug"

    @property
    def meaning(self) -> str:
        """A sentence or two for the reference: what it means, and what to do."""
        return _MEANINGS[self]


_MEANINGS: dict[ReasonCode, str] = {
    ReasonCode.UNKNOWN_PERSON: "The account is not listed in `omnicare.toml`. Ask the people who keep it to add you.",
    ReasonCode.ACCOUNT_REFUSED: "A bot, guest, external or deactivated Slack account may not act. Use a full account.",
    ReasonCode.ACCOUNT_UNCHECKED: "Slack could not tell whether the account is in good standing. Try again, or use a terminal.",
    ReasonCode.SHARED_ACCOUNT: "Root and accounts that several people share may look, but not change or approve.",
    ReasonCode.NOT_PERMITTED: "No role of this person gives the permission in this environment. `whoami` shows what is there.",
    ReasonCode.OWN_REQUEST: "Nobody approves what they asked for themselves. One of those named on the card can.",
    ReasonCode.ALREADY_DECIDED: "Somebody else decided first, or this person already gave their approval.",
    ReasonCode.STALE_BUTTON: "The card has changed since the button was drawn. Use the newest card.",
    ReasonCode.FOREIGN_BUTTON: "The button does not belong to a card that the bot drew for this run.",
    ReasonCode.UNKNOWN_RUN: "There is no run with that id. `runs` lists them.",
    ReasonCode.NOT_WAITING: "The request no longer waits for an approval.",
    ReasonCode.NOT_RUNNING: "The run is not going on, so there is nothing to stop.",
    ReasonCode.LOCKED: "The environment is locked. Ask its holder, or `unlock` if you may.",
    ReasonCode.NO_APPROVER: "Nobody but the requester could approve this. Change the roles or the policy.",
    ReasonCode.PLACE_REFUSED: "It does not work where it was typed: the bot can't answer there, or what was asked for may be shown in a terminal only.",
    ReasonCode.BOOK_UNAVAILABLE: "The audit trail can't be written, so nothing that changes something starts and nothing is shown unredacted. `doctor` says why.",
    ReasonCode.TOO_MANY_REFUSALS: "One person was refused so often that further refusals are counted, not written one by one.",
    ReasonCode.USAGE: "The text could not be understood as a command. The answer says what to type instead.",
    ReasonCode.DENIED: "An approver said no. The reason is on the card.",
    ReasonCode.WITHDRAWN: "The requester took the request back.",
    ReasonCode.EXPIRED: "Nobody decided, or nobody said go, in time. Ask again.",
    ReasonCode.NO_GO: "Somebody said no go before it started. Nothing was changed.",
    ReasonCode.NOTHING_TO_DO: "The environment already is as it was asked to be.",
    ReasonCode.DRY_RUN: "Only the plan was asked for.",
    ReasonCode.PLAN_FAILED: "The plan could not be made. The card says why.",
    ReasonCode.UPGRADED: "It was asked before an upgrade of the bot that changed how runs work. Ask again.",
    ReasonCode.ABANDONED: "The bot stopped between writing the request down and starting it. Nothing was changed.",
    ReasonCode.SUCCEEDED: "Done and verified.",
    ReasonCode.CANCELLED: "Somebody stopped the run. The card says what was left.",
    ReasonCode.OVERTAKEN: "A rollback took the run's place. It changes nothing any more.",
    ReasonCode.IMAGE_PULL: "A pod's image can't be pulled, for a reason that may pass. Check the registry and the way to it from the nodes.",
    ReasonCode.IMAGE_UNKNOWN: "The registry does not know the image. Push it again, or deploy a version that exists.",
    ReasonCode.IMAGE_UNAUTHORIZED: "The registry refuses the nodes' credentials. Renew the pull secret.",
    ReasonCode.IMAGE_RATE_LIMITED: "The registry limits how often the nodes may pull. Wait, or pull through a mirror.",
    ReasonCode.IMAGE_PLATFORM: "The image is not built for the nodes' processor. Build it for theirs.",
    ReasonCode.IMAGE_NAME: "The image's name is not valid. Mend the repository in the configuration.",
    ReasonCode.CRASH_LOOP: "The container starts and exits, again and again. Its last log lines are on the card.",
    ReasonCode.OUT_OF_MEMORY: "The container was killed for using more memory than its limit.",
    ReasonCode.INIT_FAILED: "A container that prepares the pod fails, again and again. Its last log lines are on the card.",
    ReasonCode.INIT_WAITS: "A container that prepares the pod runs and does not end. Its last log lines are on the card.",
    ReasonCode.READINESS_GATE: "All containers are ready, but a condition that another controller sets for the pod is not. Look at that controller.",
    ReasonCode.SCHEDULING_GATED: "A scheduling gate keeps the pod from the scheduler. Look at the controller that removes it.",
    ReasonCode.POD_SANDBOX: "The node can't make the pod's sandbox, mostly its network. Look at the network plugin on that node.",
    ReasonCode.POD_WAITS: "The pod is not ready for a reason that Kubernetes names and the bot has no own words for. The card has it.",
    ReasonCode.POD_ENDED: "A new pod was evicted or refused by its node. Look at the node's room.",
    ReasonCode.OLD_PODS_STAY: "Old pods do not end, and the strategy Recreate makes no new one before. The card says what holds them.",
    ReasonCode.CONTAINER_CONFIG: "The container can't be made or started as it is configured, mostly because of its command.",
    ReasonCode.CONFIG_MISSING: "A ConfigMap or Secret that the pod names, or a key in it, is not there. Apply it first.",
    ReasonCode.NEVER_READY: "The container runs, but its readiness probe does not pass.",
    ReasonCode.PROBE_KILLS: "A liveness or startup probe fails, so the container is ended and started again.",
    ReasonCode.UNSCHEDULABLE: "No node has room for the pod, or none that it may run on.",
    ReasonCode.VOLUME_UNAVAILABLE: "A volume keeps the pod waiting: its claim is not there or not bound, or it can't be mounted.",
    ReasonCode.NODE_LOST: "The node was lost while the new pod was on it. Its pods are made anew elsewhere after some minutes.",
    ReasonCode.PROGRESS_DEADLINE: "The rollout made no progress within the Deployment's own deadline.",
    ReasonCode.QUOTA_EXCEEDED: "The namespace's quota refuses the new pods. A rollout needs room for one more.",
    ReasonCode.ADMISSION_REFUSED: "The cluster refuses to create the pods (limits, pod security, a webhook, a service account).",
    ReasonCode.PAUSED: "The Deployment is paused, so nothing would roll out. `kubectl rollout resume` goes on with it.",
    ReasonCode.WRONG_DIGEST: "The pods run another image than the one that was approved.",
    ReasonCode.CHANGED_MEANWHILE: "Somebody else changed the Deployment, or the items, since the plan was made. Plan again.",
    ReasonCode.NO_SUCH_VERSION: "The registry has no image of that version. The answer lists the newest that exist.",
    ReasonCode.NO_RELEASE: "There is no earlier good release to go back to. Name one with `--to`.",
    ReasonCode.NOT_A_RELEASE: "What runs can't be recorded as a good release: it is not complete, has no known digest, or was marked bad.",
    ReasonCode.CLUSTER_UNREACHABLE: "The Kubernetes API does not answer.",
    ReasonCode.CLUSTER_REFUSED: "The Kubernetes API refuses the bot's account. `doctor` lists the missing permissions.",
    ReasonCode.NOT_FOUND: "A Deployment, pod or container that the configuration names is not there.",
    ReasonCode.REGISTRY_UNREACHABLE: "The image registry does not answer.",
    ReasonCode.FOREIGN_IMAGE: "An image is not of the configured repository, or not the one that is recorded, and is not rolled out. Look who wrote it there; `deploy VERSION` rolls out what the repository has.",
    ReasonCode.RECORD_UNREADABLE: "The fleet's record was changed by hand or by a newer bot. `kubectl get configmap -o yaml` shows it.",
    ReasonCode.SCRIPT_MISSING: "The pod has no such script. Check the release's `package.json`, or the script's name in `omnicare.toml`.",
    ReasonCode.SCRIPT_FAILED: "The script in the pod ended with an error, or with an answer that can't be used. The card has the end of its output.",
    ReasonCode.SCRIPT_UNANSWERED: "The script in the pod did not end within its time. It may still run there.",
    ReasonCode.OUTPUT_TOO_LARGE: "The script in the pod said more than the bot takes in.",
    ReasonCode.NOT_CONFIGURED: "The environment's configuration does not say how; the answer names the table of `omnicare.toml` that is missing.",
    ReasonCode.EXPORT_FAILED: "The export could not be written to its bucket, or did not read back as it was written. Nothing was thrown away.",
    ReasonCode.CREDENTIALS_UNUSABLE: "The database's credentials can't be read, or are not complete. The answer names the Secret's key or the file.",
    ReasonCode.DATABASE_UNREACHABLE: "The database server does not answer. Check that it runs, and the network between it and the bot.",
    ReasonCode.DATABASE_REFUSED: "The database server answers, and does not let the bot's role in, or refuses what it asks. The answer says why.",
    ReasonCode.DATABASE_TLS: "No TLS connection to the database server comes about that the bot could trust.",
    ReasonCode.DATABASE_RIGHTS: "The bot's role has not the right to read statistics. `GRANT pg_monitor` gives it.",
    ReasonCode.DATABASE_BUSY: "No connection to the database server is free: the server's are used up, or the bot's own two.",
    ReasonCode.DATABASE_SLOW: "A statement of the bot's took longer than it may, or would have waited for a lock.",
    ReasonCode.DATABASE_TOO_OLD: "The database server is older than PostgreSQL 10.",
    ReasonCode.STATISTICS_MISSING: "pg_stat_statements is not loaded or not created there, so statements are not counted.",
    ReasonCode.NO_SUCH_QUERY: "No counted statement has that id on that server. `slow-queries` lists them.",
    ReasonCode.NO_PLAN: "The statement can't be planned as it is counted. The card says why, and what to run by hand.",
    ReasonCode.TIMED_OUT: "It did not end within its deadline.",
    ReasonCode.BUG: "An error nobody foresaw. The run's id finds it in the bot's log.",
}
