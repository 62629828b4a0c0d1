"""`usher backfill`: events of the past as JSON lines, decided as an import.

Every event is sent as `origin: import` under one import id, which is a name of the file's content unless one is
given. So a second run over the same file sends the same events: what was decided answers from its receipt, and
the run goes on where the first one ended.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from dataclasses import replace

from cli.console import EXIT_INCOMPLETE, UnusableError, say
from cli.import_log import twice_readable
from cli.mesh import checked_target
from cli.send import SendSettings, send
from usher.event.v1 import event_pb2

_IMPORT_ID = re.compile(r"[A-Za-z0-9._:@+/=~-]{1,255}")
_PROGRESS_SECONDS = 5.0


def backfill(name: str, import_id: str, settings: SendSettings) -> int:
    """Sends a file of events ("-": stdin) as an import; returns the exit status.

    Raises UnusableError where it cannot begin.
    """
    checked_target(settings.target)
    if import_id and not _IMPORT_ID.fullmatch(import_id):
        raise UnusableError("--import-id is 1 to 255 characters of A-Z a-z 0-9 . _ : @ + / = ~ -")
    with twice_readable(name) as file:
        import_id = import_id or f"backfill-{_digest(file.fileno())[:16]}"
        size = os.fstat(file.fileno()).st_size
        say(f"import {import_id}, {size:,} bytes")

        def relabel(event: event_pb2.Event) -> None:
            event.origin = event_pb2.ORIGIN_IMPORT
            event.import_id = import_id

        # One call after the other: what is sent behind a call that failed would be late when that one comes again.
        settings = replace(settings, in_flight=1, relabel=relabel, told_every=_PROGRESS_SECONDS)
        status = asyncio.run(send(file.fileno(), settings, total=size or None))
    if status == EXIT_INCOMPLETE:
        say(f"run it again to resume import {import_id}: what is decided stays as it is")
    return status


def _digest(descriptor: int) -> str:
    """SHA-256 of an open file from its beginning, where it is left again."""
    digest = hashlib.sha256()
    os.lseek(descriptor, 0, os.SEEK_SET)
    while chunk := os.read(descriptor, 1 << 20):
        digest.update(chunk)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return digest.hexdigest()
