"""Checks a query of the configuration when the bot starts, so that a mistake is not found during a deploy.

`$window`, `$namespace` and `$environment` stand for what is known only when it is asked.
"""

import re
from collections.abc import Mapping

NAMES = ("window", "namespace", "environment")
_NAME = re.compile(r"\$(window|namespace|environment)\b")
_SAMPLE = {"window": "5m", "namespace": "omnicare", "environment": "production"}


def p95(histogram: str, seconds: float = 1) -> str:
    """Return the query for the 95th percentile of a histogram in seconds, in units of so many."""
    per = "" if seconds == 1 else f" * {1 / seconds:g}"
    return f'histogram_quantile(0.95, sum by (le) (rate({histogram}_bucket{{namespace="$namespace"}}[$window]))){per}'


ERROR_RATE = (
    '100 * (sum(rate(http_requests_total{namespace="$namespace",status=~"5.."}[$window])) or vector(0))'
    ' / sum(rate(http_requests_total{namespace="$namespace"}[$window]))'
)
"""Errors in percent. Without any request it divides by nothing, which is "no data", not 0 %."""


def written_out(query: str, values: Mapping[str, str]) -> str:
    """Return the query with the names replaced."""
    return _NAME.sub(lambda found: values[found[1]], query)


def names_in(query: str) -> frozenset[str]:
    """Return those of `NAMES` that stand in the query."""
    return frozenset(_NAME.findall(query))


def mistake_in(query: str) -> str:
    """Return what is wrong with a query that is to give one number; empty where it is right."""
    import promql_parser

    try:
        found = promql_parser.parse(written_out(query, _SAMPLE))
    except ValueError as error:
        return f"it is not PromQL: {error}"
    if isinstance(found, promql_parser.MatrixSelector | promql_parser.SubqueryExpr):
        return "it returns a range of values, not one: wrap it in a function, such as rate(…)"
    if isinstance(found, promql_parser.StringLiteral):
        return "it returns a string, not a number"
    return ""
