"""The memory in process with snapshots: one file, written beside and renamed, so that the old one stays whole.

Format: JSON lines. A header (version, applied_through_ms), for each tenant a line (tenant, newest_ms) and a line a
shard of each table, and a last line with the number of lines before it and their CRC-32. A file that does not end so
is refused, kept aside as `*.corrupt`, and the memory starts empty: it then answers STATE_BEHIND.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import time
import zlib
from pathlib import Path
from typing import IO, Any

import orjson

from services.common.background import Background
from services.common.errors import Unavailable
from services.fraud.forget import SubjectMemory
from services.fraud.memory_process import SHARDS, TABLES

VERSION = 2
FILE_NAME = "memory.jsonl"

_log = logging.getLogger("usher.fraud.snapshot")


class SnapshotMemory(SubjectMemory):
    """`SubjectMemory` that loads a snapshot when opened, and saves one at intervals and when closed.

    Args:
        directory: where the snapshot lies; made where it is missing.
        interval: seconds between snapshots.
        capacity: entries of each table of each tenant at most.
    """

    def __init__(self, directory: Path, *, interval: float = 60.0, capacity: int = 1_000_000) -> None:
        super().__init__(capacity)
        self._path = directory / FILE_NAME
        self._interval = interval
        self._background = Background(_log)
        self._saving = asyncio.Lock()

    async def open(self) -> None:
        """Loads the snapshot where there is one. Blocks until it is read: nothing is served before."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        collecting = gc.isenabled()
        # Millions of objects come that stay, none of them in a cycle: looking for garbage among them would find none.
        gc.disable()
        try:
            self._load()
        finally:
            if collecting:
                gc.enable()
        self._background.start({"snapshots": self._run})

    async def close(self) -> None:
        """Saves a last snapshot."""
        if self._background.running:
            await self._background.stop()
            await self.save()

    async def healthy(self) -> None:
        """Raises Unavailable: SNAPSHOTS_STOPPED where the memory is not open, CHORE_FAILED while saving it fails."""
        if not self._background.running:
            raise Unavailable("SNAPSHOTS_STOPPED", "the memory is not open")
        self._background.check()

    async def save(self) -> None:
        """Writes a snapshot. Copies a shard at a time on the event loop; files and JSON are a thread's work."""
        async with self._saving:
            started = time.monotonic()
            temporary = self._path.with_name(FILE_NAME + ".tmp")
            file = await asyncio.to_thread(_create, temporary)
            try:
                writer = _Writer(file)
                # Read first: what is applied while the shards are copied may be in them or not.
                head = {"usher_fraud_memory": VERSION, "applied_through_ms": self.applied_through_ms}
                await asyncio.to_thread(writer.write, head)
                for tenant, memory in list(self.tenants.items()):
                    await asyncio.to_thread(writer.write, {"tenant": tenant, "newest_ms": memory.newest_ms})
                    for table in TABLES:
                        for number in range(SHARDS):
                            content = memory.dump_shard(table, number)
                            if content:
                                await asyncio.to_thread(writer.write, [table, content])
                size = await asyncio.to_thread(writer.finish)
                await asyncio.to_thread(_publish, temporary, self._path)
            finally:
                file.close()
            _log.info(
                "snapshot written",
                extra={"bytes": size, "seconds": round(time.monotonic() - started, 3)},
            )

    async def forget(self, tenant: str, account: str, event_ids: frozenset[str]) -> int:
        """As the memory in process; the saved snapshot is replaced, and one that was refused is removed."""
        taken = await super().forget(tenant, account, event_ids)
        await asyncio.to_thread(self._path.with_name(FILE_NAME + ".corrupt").unlink, missing_ok=True)
        if self._background.running:
            await self.save()
        return taken

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.save()
            except OSError as error:
                # The last snapshot stays whole; more would be restored after a loss.
                _log.error("snapshot failed", extra={"error": error.strerror or type(error).__name__})

    def _load(self) -> None:
        self._path.with_name(FILE_NAME + ".tmp").unlink(missing_ok=True)
        try:
            with self._path.open("rb") as file:
                _verify(file)
                file.seek(0)
                self._read(file)
        except FileNotFoundError:
            return
        except ValueError as error:
            self.tenants.clear()
            self.applied_through_ms = 0
            os.replace(self._path, self._path.with_name(FILE_NAME + ".corrupt"))
            _log.error("snapshot refused, the memory starts empty", extra={"error": str(error)})

    def _read(self, file: IO[bytes]) -> None:
        memory = None
        for line in file:
            content: Any = orjson.loads(line)
            if isinstance(content, list):
                if memory is None:
                    raise ValueError("a shard before its tenant")
                table, shard = content
                if table not in TABLES:
                    raise ValueError("a table that this version does not know")
                memory.load_shard(table, shard)
            elif "tenant" in content:
                memory = self.tenant(content["tenant"])
                memory.newest_ms = int(content["newest_ms"])
            elif "applied_through_ms" in content:
                self.applied_through_ms = int(content["applied_through_ms"])
        for loaded in self.tenants.values():
            loaded.rebuild_components()


class _Writer:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._lines = 0
        self._crc = 0

    def write(self, content: object) -> None:
        line = orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE)
        self._lines += 1
        self._crc = zlib.crc32(line, self._crc)
        self._file.write(line)

    def finish(self) -> int:
        """Writes the last line, and all of it to the disk; returns the file's size in bytes."""
        self._file.write(orjson.dumps({"lines": self._lines, "crc32": self._crc}) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()


def _create(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb")


def _publish(temporary: Path, path: Path) -> None:
    os.replace(temporary, path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _verify(file: IO[bytes]) -> None:
    """Raises ValueError unless the file is whole and of a version known here."""
    lines = crc = 0
    previous: bytes | None = None
    for line in file:
        if previous is not None:
            if lines == 0 and orjson.loads(previous).get("usher_fraud_memory") != VERSION:
                raise ValueError("not a snapshot of this version")
            lines += 1
            crc = zlib.crc32(previous, crc)
        previous = line
    if lines == 0 or previous is None or orjson.loads(previous) != {"lines": lines, "crc32": crc}:
        raise ValueError("it is not whole")
