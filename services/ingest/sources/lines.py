"""JSON lines of a file or of stdin.

A file's position (the byte after the last line that has its ending) lies in a small file beside it, written atomically, so
that a process that was killed goes on there. The position belongs to a file by its first bytes: another file under the same
name is read from its beginning. Stdin cannot be read again: what was read and not settled when the process is killed is
for its sender to repeat, under the same ids.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import threading
import time
from typing import NamedTuple

from services.common.errors import InvalidArgument, UsherError
from services.common.telemetry import Telemetry
from services.ingest.sources.pump import Batch, Lag
from services.ingest.sources.records import KEPT_BYTES, Record
from services.ingest.sources.settings import FileSettings

MAX_LINE_BYTES = 1 << 20
"""Of a longer line only its beginning is kept: an event has at most 65,536 bytes."""

_READ_BYTES = 256 << 10
_FOLLOW_S = 0.25
_HEAD_BYTES = 1024
_CHUNKS_AHEAD = 4


class Line(NamedTuple):
    """One line without its end."""

    text: bytes
    offset: int
    """Byte at which it begins."""
    size: int
    """Its bytes; more than `text` holds where it is too long."""
    end: int
    """Byte after it and its line end."""
    number: int
    """From 1, counted from where reading began."""


class Lines:
    """Takes bytes apart into lines, holding at most one unfinished line of bounded length."""

    def __init__(self, offset: int = 0) -> None:
        self._begin = offset
        self._rest = b""
        self._size = 0
        self._number = 0

    def feed(self, data: bytes) -> list[Line]:
        """The lines that end within the data."""
        *whole, rest = data.split(b"\n")
        lines = []
        for piece in whole:
            self._take(piece)
            lines.append(self._line(1))
        self._take(rest)
        return lines

    def end(self) -> Line | None:
        """The last line, where it has no line end."""
        return self._line(0) if self._size else None

    def _take(self, piece: bytes) -> None:
        self._size += len(piece)
        room = MAX_LINE_BYTES - len(self._rest)
        self._rest += piece if len(piece) <= room else piece[:room]

    def _line(self, line_end: int) -> Line:
        self._number += 1
        text = self._rest if self._size <= MAX_LINE_BYTES else self._rest[:KEPT_BYTES]
        line = Line(text, self._begin, self._size, self._begin + self._size + line_end, self._number)
        self._begin = line.end
        self._rest, self._size = b"", 0
        return line


class _Head(NamedTuple):
    """What a file is known by: a hash of its first bytes, and how many they are."""

    digest: str
    size: int


class FileSource:
    """Reads a file from where it was left."""

    def __init__(self, settings: FileSettings, batch_events: int, telemetry: Telemetry) -> None:
        self._settings = settings
        self._batch = batch_events
        self._position = settings.position or settings.path.with_name(f"{settings.path.name}.position")
        self._log = telemetry.logger("file")
        self._descriptor = -1
        self._lines = Lines()
        self._ready: list[Line] = []
        self._read = 0
        self._settled = 0
        self._lines_read = 0
        self._lines_settled = 0
        self._behind_since: float | None = None
        self._generation = 0
        self.trouble = ""

    async def open(self) -> None:
        """Opens the file at its position. Raises InvalidArgument (FILE_UNREADABLE, POSITION_UNREADABLE)."""
        await asyncio.to_thread(self._open)

    async def next(self) -> Batch | None:
        """The next lines; None at the end of a file that is not followed."""
        while True:
            if not self._ready:
                data = await asyncio.to_thread(self._more)
                if data is None:
                    return None
                if not data:
                    await asyncio.sleep(_FOLLOW_S)
                continue
            some, self._ready = self._ready[: self._batch], self._ready[self._batch :]
            self._lines_read += len(some)
            records = [self._record(one) for one in some if one.size and one.text.strip()]
            mark = (self._generation, some[-1].end, len(some))
            return Batch(str(self._settings.path), records, mark)

    async def settle(self, batch: Batch) -> None:
        """Writes the position after the batch."""
        generation, end, number = batch.mark
        if generation != self._generation:
            return
        self._settled = end
        self._lines_settled += number
        await asyncio.to_thread(self._write_position)
        if self._settled == self._read:
            self._behind_since = None

    async def lag(self) -> Lag:
        """Lines that are not settled; of those that were not read yet an estimate by the mean length of the others."""
        size = await asyncio.to_thread(lambda: os.fstat(self._descriptor).st_size)
        left = max(0, size - self._settled)
        if not left:
            self._behind_since = None
            return Lag(0, 0)
        if self._behind_since is None:
            self._behind_since = time.monotonic()
        waited = int((time.monotonic() - self._behind_since) * 1000)
        unread = max(0, size - self._read)
        lines = self._lines_read + len(self._ready) - self._lines_settled
        if unread:
            mean = self._read / max(1, self._lines_read + len(self._ready))
            lines += max(1, round(unread / mean)) if mean and self._lines_read else 1
        # A file that is read once waits as a whole: that is no delay.
        return Lag(lines, waited if self._settings.follow else -1)

    async def close(self) -> None:
        """Closes the file; the position is written already."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    # -- the file, in threads ----------------------------------------------------------------------

    def _open(self) -> None:
        path = self._settings.path
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            if os.path.isdir(path):
                raise IsADirectoryError(21, "it is a directory")
        except OSError as error:
            raise InvalidArgument("FILE_UNREADABLE", f"cannot read {path}: {error.strerror}") from None
        self._begin_at(self._left_at())

    def _begin_at(self, offset: int) -> None:
        os.lseek(self._descriptor, offset, os.SEEK_SET)
        self._lines = Lines(offset)
        self._read = self._settled = offset
        self._ready = []
        self._generation += 1

    def _left_at(self) -> int:
        try:
            kept = json.loads(self._position.read_text(encoding="utf-8"))
            offset, head = int(kept["offset"]), _Head(str(kept["head"]), int(kept["head_bytes"]))
        except FileNotFoundError:
            return 0
        except (OSError, ValueError, KeyError, TypeError):
            raise InvalidArgument(
                "POSITION_UNREADABLE",
                f"{self._position} is no position of a file: remove it to read the file from its beginning "
                "(events that are known already stay as they are)",
            ) from None
        if os.fstat(self._descriptor).st_size < offset or self._head(head.size) != head:
            self._log.info("the position is that of another file: this one is read from its beginning")
            return 0
        return offset

    def _head(self, size: int) -> _Head:
        data = os.pread(self._descriptor, min(size, _HEAD_BYTES), 0)
        return _Head(hashlib.sha256(data).hexdigest(), len(data))

    def _more(self) -> bytes | None:
        """Reads on into `_ready`. Empty: nothing there now; None: the end."""
        data = os.read(self._descriptor, _READ_BYTES)
        if data:
            self._read += len(data)
            if self._behind_since is None:
                self._behind_since = time.monotonic()
            self._ready += self._lines.feed(data)
            return data
        if not self._settings.follow:
            last = self._lines.end()
            if last is None:
                return None
            self._ready.append(last)
            return last.text
        return self._next_file()

    def _next_file(self) -> bytes:
        """Goes on with the file that took this one's place, once everything of this one is settled."""
        if os.fstat(self._descriptor).st_size < self._read:
            self._log.warning("the file was cut short: it is read from its beginning")
            self._begin_at(0)
            return b""
        if self._settled < self._read:
            return b""
        with contextlib.suppress(FileNotFoundError):
            found = os.stat(self._settings.path)
            mine = os.fstat(self._descriptor)
            if (found.st_dev, found.st_ino) != (mine.st_dev, mine.st_ino):
                descriptor = os.open(self._settings.path, os.O_RDONLY | os.O_CLOEXEC)
                os.close(self._descriptor)
                self._descriptor = descriptor
                self._log.info("the file was rotated: the new one is read")
                self._begin_at(0)
        return b""

    def _write_position(self) -> None:
        head = self._head(min(self._settled, _HEAD_BYTES))
        text = json.dumps({"offset": self._settled, "head": head.digest, "head_bytes": head.size})
        beside = self._position.with_name(f"{self._position.name}.new")
        try:
            with open(beside, "w", encoding="utf-8") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
            os.replace(beside, self._position)
        except OSError as error:
            raise UsherError(
                "POSITION_UNWRITABLE",
                f"cannot write {self._position}: {error.strerror}; name another with POSITION",
            ) from None

    def _record(self, line: Line) -> Record:
        path = self._settings.path
        return Record(
            value=line.text,
            place=f"file:{path.name}/{line.offset}",
            where=f"the line at byte {line.offset} of {path.name}",
            size=line.size if line.size > len(line.text) else -1,
        )


class StdinSource:
    """Reads stdin to its end."""

    def __init__(self, batch_events: int, name: str, descriptor: int = 0) -> None:
        self._batch = batch_events
        self._name = name
        self._descriptor = descriptor
        self._chunks: asyncio.Queue[list[Line] | OSError | None] = asyncio.Queue()
        self._room = threading.Semaphore(_CHUNKS_AHEAD)
        self._ready: list[Line] = []
        self._held: list[tuple[int, float]] = []
        """(lines, when they were read) of each batch that is not settled, in order."""
        self._ended = False
        self.trouble = ""

    async def open(self) -> None:
        """Begins to read, in a thread of its own: a read from a terminal cannot be called off."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, args=(loop,), daemon=True, name="stdin").start()

    async def next(self) -> Batch | None:
        """The next lines that have come; None at the end. Raises UsherError (STDIN_UNREADABLE)."""
        while not self._ready:
            if self._ended:
                return None
            chunk = await self._chunks.get()
            self._room.release()
            if isinstance(chunk, OSError):
                raise UsherError("STDIN_UNREADABLE", f"stdin cannot be read: {chunk.strerror}")
            if chunk is None:
                self._ended = True
            else:
                self._ready = chunk
        some, self._ready = self._ready[: self._batch], self._ready[self._batch :]
        self._held.append((len(some), time.monotonic()))
        return Batch("stdin", [self._record(one) for one in some if one.size and one.text.strip()], None)

    async def settle(self, batch: Batch) -> None:
        """Counts."""
        self._held.pop(0)

    async def lag(self) -> Lag:
        """Lines that were read and are not settled."""
        if not self._held:
            return Lag(len(self._ready), 0)
        waited = max(1, int((time.monotonic() - self._held[0][1]) * 1000))
        return Lag(sum(number for number, _ in self._held) + len(self._ready), waited)

    async def close(self) -> None:
        """Nothing to leave."""

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        lines = Lines()
        try:
            while True:
                self._room.acquire()
                try:
                    data = os.read(self._descriptor, _READ_BYTES)
                except OSError as error:
                    loop.call_soon_threadsafe(self._chunks.put_nowait, error)
                    return
                found = lines.feed(data)
                if not data:
                    last = lines.end()
                    loop.call_soon_threadsafe(self._chunks.put_nowait, [last] if last is not None else [])
                    loop.call_soon_threadsafe(self._chunks.put_nowait, None)
                    return
                loop.call_soon_threadsafe(self._chunks.put_nowait, found)
        except RuntimeError:
            # The loop is closed: the process ends before its input does.
            return

    def _record(self, line: Line) -> Record:
        return Record(
            value=line.text,
            place=f"stdin:{self._name}/{line.number}",
            where=f"line {line.number} of stdin",
            size=line.size if line.size > len(line.text) else -1,
        )
