"""How often a method may be called: Slack's tiers as token buckets, for each method, and for posting each channel."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.slack.settings import SlackSettings


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


@dataclass(slots=True)
class Rates:
    settings: SlackSettings
    clock: Callable[[], float] = time.monotonic
    _buckets: dict[tuple[str, str], _Bucket] = field(default_factory=dict)

    def take(self, method: str, per_minute: float, *, burst: float | None = None, place: str = "") -> int:
        """Use one call. Nought if there was one left, else the whole seconds after which there is (Retry-After)."""
        if not self.settings.rate_limits:
            return 0
        if method in self.settings.rates:
            burst, per_minute = self.settings.rates[method]
        per_second = per_minute * self.settings.rate_scale / 60
        most = burst if burst is not None else per_minute
        now = self.clock()
        bucket = self._buckets.setdefault((method, place), _Bucket(most, now))
        bucket.tokens = min(most, bucket.tokens + (now - bucket.at) * per_second)
        bucket.at = now
        if bucket.tokens >= 1:
            bucket.tokens -= 1
            return 0
        return max(1, math.ceil((1 - bucket.tokens) / per_second)) if per_second else 60
