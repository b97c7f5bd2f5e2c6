"""A container that ends: again and again, for memory, because a probe killed it, or before it began.

One end may be bad luck. Three that are alike (the same container, reason and exit code, over all new pods) are certain.
"""

import re
from collections import Counter

from runbooks.clients.kubernetes.views import ContainerView, PodView
from runbooks.diagnosis.images import wrong_platform
from runbooks.diagnosis.probes import killed_by
from runbooks.diagnosis.snapshot import Cause, PodsSnapshot, named, usual, words
from runbooks.kit.reasons import ReasonCode
from runbooks.wording import counted

_EXITS = {
    126: "its command can't be executed",
    127: "its command was not found",
    134: "aborted",
    137: "killed",
    139: "segmentation fault",
    143: "terminated by SIGTERM",
}
"""What the usual exit codes mean; 128 and more are signals."""
_NOT_STARTED = {"CreateContainerError", "RunContainerError", "StartError", "ContainerCannotRun", "PostStartHookError"}
_COMMAND = re.compile(
    r"executable file not found|no such file or directory|permission denied|no command specified|exec format error"
    r"|not a directory|is a directory"
)

_CRASHES = usual(
    ("a setting or secret that this version needs is missing", "compare its release notes with the Deployment"),
    ("a database or another service does not answer the pod", "check that service first, then retry"),
    ("a migration that this version expects has not run", "run it, then retry"),
)
_MEMORY = usual(
    ("this version needs more memory than the limit", "raise `limits.memory` on the Deployment, then retry"),
    ("the limit was lowered", "restore it, then retry"),
    ("a memory leak, or a heap setting above the limit", "roll back and send the log to the developers"),
)
_NODE_MEMORY = usual(
    ("the node itself ran out of memory", "run `kubectl top node`"),
    ("a pod without a limit uses up the node's memory", "set limits, or move that pod"),
)
_INIT = usual(
    (
        "something it prepares or waits for (database, migration, file) is missing",
        "read its last log lines, then check that dependency",
    ),
    ("its image or command does not match this version", "fix the Deployment's template, then retry"),
)
_COMMANDS = usual(
    ("the Deployment's command or entry point is not in this image", "fix `command` on the Deployment, or the image"),
    ("the image was built incorrectly", "rebuild it and deploy the new image"),
)


def crash(snapshot: PodsSnapshot, pod: PodView, container: ContainerView, *, alike: int) -> Cause | None:
    """Return why the container does not stay up, where that is so."""
    not_started = _not_started(pod, container)
    if not_started is not None:
        return not_started
    ended = container.phase == "terminated" and (container.exit_code != 0 or not container.init)
    looping = container.phase == "waiting" and container.reason == "CrashLoopBackOff"
    if not (ended or looping or (container.restarts > 0 and not container.ready)):
        return None
    reason, code, message = _end(container)
    times = max(_seen(snapshot, container), container.restarts)
    certain = times >= alike and (_alike(snapshot, container) >= alike or container.restarts >= alike)
    killed = killed_by(snapshot, pod, container)
    if killed is not None and reason != "OOMKilled":
        return _by_probe(snapshot, pod, container, killed, times, certain=certain)
    ending = f"{reason or 'exited'}, exit code {code}" if code is not None else reason
    said = words(ending, message, container.message)
    if reason == "OOMKilled":
        return _out_of_memory(snapshot, pod, container, said, times, certain=certain)
    how = _exit(code)
    if container.init:
        what = f"init container {container.name} fails{how}{_times(times)}"
        brief, kind, causes = f"init container {container.name} fails", ReasonCode.INIT_FAILED, _INIT
    else:
        what = f"{named(container, snapshot)} keeps starting and exiting{how}{_times(times)}"
        brief, kind, causes = f"it starts and exits{_times(times)}", ReasonCode.CRASH_LOOP, _CRASHES
    return Cause(
        code=kind,
        what=what,
        brief=brief,
        said=said,
        pod=pod,
        container=container.name,
        certain=certain,
        crashed=True,
        usual=causes,
    )


def in_its_log(cause: Cause, lines: list[str]) -> Cause:
    """Return the cause, corrected by the log where only that shows it: a program for another processor can't be executed."""
    if cause.code in (ReasonCode.CRASH_LOOP, ReasonCode.INIT_FAILED) and any("exec format error" in x for x in lines):
        code, what, causes = wrong_platform()
        return Cause(code=code, what=what, brief=cause.brief, said=cause.said, pod=cause.pod, usual=causes)
    return cause


_LOUD = re.compile(r"\b(?:fatal|panic|error|exception|critical|uncaught|unhandled|traceback)\b", re.IGNORECASE)


def last_error(lines: list[str]) -> str:
    """Return the last line that names an error; empty where none does."""
    return next((line for line in reversed(lines) if _LOUD.search(line)), "")


def _end(container: ContainerView) -> tuple[str, int | None, str]:
    """Return reason, exit code and message of the newest termination in the pod's status."""
    if container.phase == "terminated":
        return container.reason, container.exit_code, container.message
    return container.ended_reason, container.ended_code, container.ended_message


def _seen(snapshot: PodsSnapshot, container: ContainerView) -> int:
    return sum(each.container == container.name for each in snapshot.crashes)


def _alike(snapshot: PodsSnapshot, container: ContainerView) -> int:
    kinds = Counter(each.kind for each in snapshot.crashes if each.container == container.name)
    return max(kinds.values(), default=0)


def _times(times: int) -> str:
    return f", {counted(times, 'time')}" if times > 1 else ""


def _exit(code: int | None) -> str:
    if code is None:
        return ""
    meaning = f": {_EXITS[code]}" if code in _EXITS else ""
    return f" (exit code {code}{meaning})"


def _out_of_memory(
    snapshot: PodsSnapshot, pod: PodView, container: ContainerView, said: tuple[str, ...], times: int, *, certain: bool
) -> Cause:
    spec = pod.spec(container.name)
    limit = spec.limits.get("memory", "") if spec is not None else ""
    why = f"using more memory than its limit of {limit}" if limit else "memory, although it has no limit of its own"
    return Cause(
        code=ReasonCode.OUT_OF_MEMORY,
        what=f"{named(container, snapshot)} is killed for {why}{_times(times)}",
        brief=f"out of memory{f' (limit {limit})' if limit else ''}{_times(times)}",
        said=said,
        pod=pod,
        container=container.name,
        certain=certain,
        crashed=container.phase != "terminated",
        usual=_MEMORY if limit else _NODE_MEMORY,
    )


def _by_probe(
    snapshot: PodsSnapshot, pod: PodView, container: ContainerView, killed: Cause, times: int, *, certain: bool
) -> Cause:
    return Cause(
        code=killed.code,
        what=f"{killed.what}, so {named(container, snapshot)} is restarted{_times(times)}",
        brief=killed.brief,
        said=killed.said,
        pod=pod,
        container=container.name,
        certain=certain,
        crashed=True,
        usual=killed.usual,
    )


def _not_started(pod: PodView, container: ContainerView) -> Cause | None:
    """Return why the runtime could not start the container at all; certain where its command does not exist."""
    waiting = container.phase == "waiting" and container.reason in _NOT_STARTED
    before = container.ended_reason if container.phase == "waiting" else container.reason
    if not waiting and before not in _NOT_STARTED:
        return None
    said = words(container.message if waiting else "", container.ended_message, container.message, before)
    missing = any(_COMMAND.search(word.lower()) for word in said)
    what = "the container can't start"
    return Cause(
        code=ReasonCode.CONTAINER_CONFIG,
        what=f"{what}: its command is not in the image" if missing else what,
        brief="its command is not in the image" if missing else "the container can't start yet",
        said=said or (container.reason,),
        pod=pod,
        container=container.name,
        certain=missing,
        silent=True,
        usual=_COMMANDS,
    )
