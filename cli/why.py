"""`usher why`: one decision, told for a viewer, an analyst or a regulator."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import Any

import orjson

from cli.console import EXIT_INCOMPLETE, EXIT_OK, UnusableError, say
from cli.mesh import call, connected, printable, told
from services.common.errors import InvalidArgument, NotFound
from services.common.readers import LINES, READERS
from usher.ingest.v1 import ingest_pb2, ingest_pb2_grpc

_TITLES = {"viewer": "For the viewer", "analyst": "For an analyst", "regulator": "For a regulator"}
_WIDTHS = (60, 110)
"""Narrowest and widest column of text."""


def why(
    event_id: str, *, target: str, tenant: str, readers: list[str], as_json: bool, timeout: float = 10.0
) -> int:
    """Writes the decision on an event to stdout; returns the exit status.

    Raises UnusableError where the mesh cannot be asked.
    """
    with connected(target) as channel:
        stub = ingest_pb2_grpc.IngestServiceStub(channel)
        request = ingest_pb2.GetDecisionRequest(tenant=tenant, event_id=event_id)
        try:
            answer = call(target, stub.GetDecision, request, timeout)
        except NotFound as error:
            say(f"usher: {printable(event_id)}: {told(error)}")
            return EXIT_INCOMPLETE
        except InvalidArgument as error:
            raise UnusableError(told(error)) from None
    wanted = readers or list(READERS)
    found = {name: READERS[name](answer.decision, answer.event) for name in wanted}
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(found, option=orjson.OPT_APPEND_NEWLINE))
        return EXIT_OK
    print(render(found))
    return EXIT_OK


def render(found: dict[str, dict[str, Any]], width: int = 0) -> str:
    """What the readers are told, as text; `width` 0: as wide as the terminal, within limits."""
    width = width or min(max(shutil.get_terminal_size((100, 24)).columns, _WIDTHS[0]), _WIDTHS[1])
    pieces = []
    for name, content in found.items():
        lines = LINES[name](content)
        if len(found) > 1:
            lines = [_TITLES[name], "=" * len(_TITLES[name]), *lines]
        pieces.append("\n".join(_wrapped(printable(line), width) for line in lines))
    return "\n\n".join(pieces)


def _wrapped(line: str, width: int) -> str:
    indent = len(line) - len(line.lstrip())
    return textwrap.fill(
        line.strip(),
        width,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2 if indent else 0),
        break_long_words=False,
        break_on_hyphens=False,
    )
