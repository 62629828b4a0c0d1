"""The graph of a tenant as the sweep reads it from outside the service: out of a saved snapshot, or out of Redis.

Both read what is shared and leave the rest; the contract suite holds them to the same rings for the same stream.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Protocol, Self

import orjson
import redis
import redis.exceptions

from services.common.clock import SystemClock
from services.common.errors import FailedPrecondition, InvalidArgument, StateBehind, Unavailable
from services.fraud.edge_list import EdgeList, Gathering
from services.fraud.memory import EDGE_RETENTION_MS, AccountFacts
from services.fraud.memory_process import KINDS as TABLES
from services.fraud.store_redis import PREFIX, applied_key, literally, tenant_prefix
from services.fraud.store_snapshot import VERSION

Tell = Callable[[float], None]
"""Told the share that is read, 0 to 1, now and then."""

PIECE = 256
"""Buckets of Redis' table looked at by one SCAN, and keys read by one pipeline: the server answers others in between."""

SAVING_MS = 600_000
"""A snapshot was begun less than this before it was published."""
CLOCKS_APART_MS = 60_000
"""The clocks of two machines of a mesh are less than this apart."""


class Graph(Protocol):
    """Where the sweep reads from. A context manager: it holds a file or a connection."""

    as_of_ms: int
    """What fraud recorded before was in the memory when it was read, Unix milliseconds."""

    def edges(self, tenant: str, tell: Tell) -> EdgeList:
        """What accounts of the tenant share.

        Raises:
            InvalidArgument: TENANT_UNKNOWN, where nothing of the tenant is remembered; SNAPSHOT_INVALID.
            StateBehind: STATE_BEHIND, where the memory was lost and is not restored yet: it would be half a graph.
            Unavailable: MEMORY_UNREACHABLE, where the server behind it does not answer.
            FailedPrecondition: MEMORY_REFUSED, where it answers with a refusal.
        """
        ...

    def facts(self, accounts: Collection[str]) -> dict[str, AccountFacts]:
        """What is remembered of accounts among those whose edges were read; unknown ones are missing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class SnapshotGraph:
    """A snapshot of the memory in process. It stays the one that was opened, also when the service saves a newer one."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("rb")
        about = os.fstat(self._file.fileno())
        self._size = max(1, about.st_size)
        self.as_of_ms = int(about.st_mtime * 1000) - SAVING_MS
        self._tenant = ""
        self._newest_ms = 0
        self._known: dict[str, AccountFacts] | None = None
        self._accounts: frozenset[str] = frozenset()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def edges(self, tenant: str, tell: Tell) -> EdgeList:
        """As `Graph.edges`."""
        _check_whole(self._file)
        gathering = Gathering()
        found = False
        for table, content in self._shards(tenant, tell):
            found = True
            if table in TABLES:
                for name, edges in content.items():
                    marker = edges.pop("", None)
                    pairs = {user: (edge[0], edge[1]) for user, edge in edges.items()}
                    gathering.add(TABLES[table], name, pairs, -1 if marker is None else marker[0])
        if not found:
            raise InvalidArgument("TENANT_UNKNOWN", f"the snapshot holds nothing of the tenant {tenant!r}")
        read = gathering.result()
        self._tenant, self._newest_ms, self._known = tenant, gathering.newest_ms, None
        self._accounts = frozenset(read.accounts)
        return read

    def facts(self, accounts: Collection[str]) -> dict[str, AccountFacts]:
        """As `Graph.facts`. The first call reads the file once more, for all accounts that share something."""
        if self._known is None:
            self._known = {}
            oldest = self._newest_ms - EDGE_RETENTION_MS
            for table, content in self._shards(self._tenant, lambda _: None, ("accounts",)):
                if table == "accounts":
                    for name in self._accounts & content.keys():
                        seen_ms, _, household, created_ms, devices, *_ = content[name]
                        if seen_ms > oldest:
                            self._known[name] = AccountFacts(household, created_ms, len(devices))
        return {name: self._known[name] for name in accounts if name in self._known}

    def _shards(
        self, tenant: str, tell: Tell, tables: Sequence[str] = tuple(TABLES)
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """(table, content) of the tenant's shards in those tables; first once ("", {}) where it has any."""
        self._file.seek(0)
        heads = tuple(b'["%b",' % table.encode() for table in tables)
        ours = False
        for line in self._file:
            if line.startswith(b"{"):
                ours = orjson.loads(line).get("tenant") == tenant
                if ours:
                    yield "", {}
            elif ours and line.startswith(heads):
                table, content = orjson.loads(line)
                yield table, content
            tell(self._file.tell() / self._size)


class RedisGraph:
    """The memory in Redis, read while it is written to: SCAN in small pieces, so that the services go on meanwhile.

    An edge that is written meanwhile may be in what is read or not; one that stood throughout is. What is held here at a
    time is one piece beside what accounts share.

    Args:
        url: as `RedisMemory`'s.
        prefix: first part of every key.
        timeout: seconds for one round trip.
    """

    def __init__(self, url: str, *, prefix: str = PREFIX, timeout: float = 30.0) -> None:
        self.as_of_ms = SystemClock().now_ms() - CLOCKS_APART_MS
        self._client = redis.Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout)
        self._prefix = prefix
        self._tenant = ""
        self._newest_ms = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def edges(self, tenant: str, tell: Tell) -> EdgeList:
        """As `Graph.edges`. A key that comes twice, as SCAN allows, counts once."""
        gathering = Gathering()
        head = tenant_prefix(self._prefix, tenant)
        kinds = "".join(TABLES.values())
        found = False
        with _told():
            client: Any = self._client
            if not int(client.get(applied_key(self._prefix)) or 0):
                raise _behind()
            keys_of_all = max(1, client.dbsize())
            cursor, looked_at = 0, 0
            while True:
                cursor, keys = client.scan(cursor, match=f"{literally(head)}[{kinds}]:*", count=PIECE)
                looked_at += PIECE
                found |= bool(keys)
                for start in range(0, len(keys), PIECE):
                    self._read(gathering, len(head), keys[start : start + PIECE])
                tell(min(1.0, looked_at / keys_of_all))
                if not cursor:
                    break
        if not found:
            raise InvalidArgument("TENANT_UNKNOWN", f"the memory holds nothing of the tenant {tenant!r}")
        self._tenant, self._newest_ms = tenant, gathering.newest_ms
        return gathering.result()

    def _read(self, gathering: Gathering, skip: int, keys: Sequence[bytes]) -> None:
        pipe = self._client.pipeline(transaction=False)
        for key in keys:
            pipe.hgetall(key)
        for key, values in zip(keys, pipe.execute(), strict=True):
            # Gone between SCAN and HGETALL: it expired, or was erased.
            if values:
                kind, _, name = key.decode()[skip:].partition(":")
                marker = values.pop(b"", None)
                pairs = {}
                for user, value in values.items():
                    first, last, _ = value.split(b",", 2)
                    pairs[user.decode()] = (int(first), int(last))
                gathering.add(kind, name, pairs, -1 if marker is None else int(marker))

    def facts(self, accounts: Collection[str]) -> dict[str, AccountFacts]:
        """As `Graph.facts`: a round trip for every 128 accounts."""
        head = tenant_prefix(self._prefix, self._tenant)
        oldest = self._newest_ms - EDGE_RETENTION_MS
        known = {}
        names = list(accounts)
        with _told():
            for start in range(0, len(names), PIECE // 2):
                part = names[start : start + PIECE // 2]
                pipe = self._client.pipeline(transaction=False)
                for name in part:
                    pipe.hmget(f"{head}a:{name}", "h", "c", "n")
                    pipe.zcard(f"{head}v:{name}")
                rows = pipe.execute()
                for name, row, devices in zip(part, rows[::2], rows[1::2], strict=True):
                    household, created_ms, seen_ms = row
                    if int(seen_ms or 0) > oldest:
                        known[name] = AccountFacts((household or b"").decode(), int(created_ms or 0), devices)
        return known


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Raises Unavailable (MEMORY_UNREACHABLE) and FailedPrecondition (MEMORY_REFUSED) for what the client raises."""
    try:
        yield
    except (redis.exceptions.AuthenticationError, redis.exceptions.ResponseError) as error:
        raise FailedPrecondition("MEMORY_REFUSED", f"Redis refuses: {error}") from error
    except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError) as error:
        raise Unavailable("MEMORY_UNREACHABLE", "the fraud memory's server does not answer") from error


def _check_whole(file: IO[bytes]) -> None:
    """Raises InvalidArgument (SNAPSHOT_INVALID) unless the file is whole and of this version, StateBehind
    (STATE_BEHIND) where the memory that it is of was lost and not restored yet."""
    file.seek(0)
    lines = crc = 0
    previous = b""
    for line in file:
        if lines:
            crc = zlib.crc32(previous, crc)
        elif _object(line).get("usher_fraud_memory") != VERSION:
            raise InvalidArgument("SNAPSHOT_INVALID", "it is no snapshot of this version")
        elif not _object(line).get("applied_through_ms"):
            raise _behind()
        lines += 1
        previous = line
    if not lines or _object(previous) != {"lines": lines - 1, "crc32": crc}:
        raise InvalidArgument("SNAPSHOT_INVALID", "the snapshot is not whole")


def _object(line: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}


def _behind() -> StateBehind:
    return StateBehind(
        message="the memory is empty or not restored yet: sweep again once fraud has answered a batch",
        metadata={"applied_through": "0"},
    )
