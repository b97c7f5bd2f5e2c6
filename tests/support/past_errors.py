"""A Prometheus of an application whose requests failed between two times: what it answers to a range query, over whatever window is asked."""

import re

from aiohttp import web


def errors_between(began: float, ended: float, request: web.Request) -> web.Response:
    """Answer as a Prometheus does whose application fails 3 % of its requests between two times: with the rate over the query's own window."""
    start, end, step = (float(request.query[name]) for name in ("start", "end", "step"))
    found = re.search(r"\[(\d+)s\]", request.query["query"])
    assert found is not None
    window = float(found[1])
    times = [start + step * place for place in range(int((end - start) / step + 1e-6) + 1)]
    values = [[at, f"{0.01 + 3 * max(0.0, min(at, ended) - max(at - window, began)) / window:g}"] for at in times]
    return web.json_response(
        {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": values}]}}
    )
