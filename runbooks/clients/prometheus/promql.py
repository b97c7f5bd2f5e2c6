"""Checks a query of the configuration when the bot starts, so that a mistake is not found during a deploy.

`$window`, `$namespace` and `$environment` stand for what is known only when it is asked.
"""

import re
from collections.abc import Mapping

NAMES = ("window", "namespace", "environment")
_NAME = re.compile(r"\$(window|namespace|environment)\b")
_SAMPLE = {"window": "5m", "namespace": "omnicare", "environment": "production"}


def written_out(query: str, values: Mapping[str, str]) -> str:
    """Return the query with the names replaced."""
    return _NAME.sub(lambda found: values[found[1]], query)


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
