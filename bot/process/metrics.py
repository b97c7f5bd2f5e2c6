"""The figures of the process, in Prometheus' text format."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_ACKNOWLEDGED = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.0, 3.0)
"""Buckets up to the three seconds that Slack waits."""


class ProcessMetrics:
    """The bot's figures, in a registry of their own. Labels are closed sets: command names, exits, reason codes."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._deliveries = self._counter(
            "deliveries", "Requests that reached the dispatcher.", "surface", "command", "exit"
        )
        self._acknowledged = Histogram(
            "omnicare_acknowledgement_seconds",
            "Time from receiving a request to acknowledging it.",
            ["surface", "kind"],
            buckets=_ACKNOWLEDGED,
            registry=self.registry,
        )
        self._runs = self._counter("runs", "Ended requests, by outcome.", "environment", "command", "reason_code")
        self._refusals = self._counter("refusals", "Refusals, by reason code.", "reason_code")
        self._appends = self._counter("audit_appends", "Events written to the audit log.", "result")
        self._failures = self._counter(
            "background_failures", "Background tasks that failed and were restarted.", "task"
        )
        self._slack = Gauge(
            "omnicare_socket_mode_connections",
            "Open Socket Mode connections that recently answered a ping.",
            registry=self.registry,
        )

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"omnicare_{name}", about, labels, registry=self.registry)

    def inbound(self, surface: str, command: str | None, exit_name: str) -> None:
        """A delivery was answered; `command` None where it was not understood."""
        self._deliveries.labels(surface, command or "unknown", exit_name).inc()

    def acknowledged(self, surface: str, kind: str, seconds: float) -> None:
        """A delivery was acknowledged (Slack) or answered (terminal) after `seconds`."""
        self._acknowledged.labels(surface, kind).observe(seconds)

    def ended(self, environment: str, command: str, reason_code: str) -> None:
        """A request and its run ended."""
        self._runs.labels(environment, command, reason_code).inc()

    def refused(self, reason_code: str) -> None:
        """Somebody was refused."""
        self._refusals.labels(reason_code).inc()

    def appended(self, *, count: int = 1, failed: bool = False) -> None:
        """Events were written to the audit log, or could not be."""
        self._appends.labels("failed" if failed else "written").inc(count)

    def failed(self, task: str) -> None:
        """Background work failed; `task` is one of the supervisor's names."""
        self._failures.labels(task).inc()

    def connections(self, fresh: Callable[[], int]) -> None:
        """Who says how many Socket Mode connections are fresh: it is asked whenever the figures are."""
        self._slack.set_function(fresh)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)
