"""What flows in from sources and out to subscribers: what `usher sources` and `usher subscribers` show."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import orjson

from cli.console import EXIT_OK, UnusableError, say
from cli.mesh import call, connected, printable, told
from services.common.errors import InvalidArgument
from services.common.event_json import time_to_json
from usher.ingest.v1 import flow_pb2, flow_pb2_grpc

_TIMEOUT = 10.0


def sources(target: str, tenant: str, as_json: bool) -> int:
    """Shows sources; returns the exit status. Raises UnusableError."""
    request = flow_pb2.ListSourcesRequest(tenant=tenant)
    found = _ask(target, "ListSources", request).sources
    rows = [
        {
            "tenant": one.tenant,
            "source": one.name,
            "instance": one.instance,
            "kind": one.kind,
            "lag_records": _known(one.lag_records),
            "lag_ms": _known(one.lag_ms),
            "accepted": one.accepted,
            "failed": one.failed,
            "refused": one.refused,
            "poison": one.poison,
            "waiting_for": one.waiting_for or None,
            "reported_at": time_to_json(one.report_time),
        }
        for one in found
    ]
    _show(rows, as_json, "no source has reported within a day")
    return EXIT_OK


def subscribers(target: str, tenant: str, as_json: bool) -> int:
    """Shows subscribers; returns the exit status. Raises UnusableError."""
    found = _ask(target, "ListSubscribers", flow_pb2.ListSubscribersRequest(tenant=tenant)).subscribers
    rows = [
        {
            "tenant": one.tenant,
            "subscriber": one.name,
            "position": str(one.position),
            "lag_decisions": one.lag_decisions,
            "lag_ms": one.lag_ms,
            "acked_at": time_to_json(one.ack_time),
        }
        for one in found
    ]
    _show(rows, as_json, "nobody has acknowledged decisions under a name")
    return EXIT_OK


def _ask(target: str, method: str, request: Any) -> Any:
    with connected(target) as channel:
        try:
            return call(target, getattr(flow_pb2_grpc.FlowServiceStub(channel), method), request, _TIMEOUT)
        except InvalidArgument as error:
            raise UnusableError(told(error)) from None


def _known(number: int) -> int | None:
    return None if number < 0 else number


def _show(rows: Sequence[dict[str, Any]], as_json: bool, nothing: str) -> None:
    if as_json:
        for row in rows:
            sys.stdout.buffer.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
        sys.stdout.buffer.flush()
        return
    if not rows:
        say(nothing)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in rows[0]:
        table.add_column(title, no_wrap=True)
    for row in rows:
        table.add_row(*(printable("-" if value is None else str(value)) for value in row.values()))
    Console(width=None if sys.stdout.isatty() else 220, highlight=False, markup=False).print(table)
