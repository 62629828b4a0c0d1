"""The store on SQLite: one writer, one multi-row statement a table, many rows fetched as one.

Stepping a statement gives up the interpreter's lock and must win it back: with a busy event loop beside it that costs
up to a switch interval a row. So rows are written by one statement with many VALUES (in powers of two, which keeps the
number of distinct statements, and with it re-parsing, small) and read as one JSON text.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Sequence
from typing import Any

import orjson
import sqlalchemy as sa

from services.common.db import Database
from services.ingest.records import (
    Commit,
    InboxRow,
    LookUp,
    LostRaceError,
    Profile,
    Receipt,
    moved_profiles,
    previous_positions,
)
from services.ingest.store import Store, driver_errors
from services.ingest.vault import Vault

_MOST_ROWS = 256


class SqliteStore(Store):
    """Rows in one SQLite file. One process at a time: `usher up` holds a lock on its home."""

    _parameter = "?"

    def __init__(self, database: Database, vault: Vault | None = None) -> None:
        super().__init__(database, vault)
        with database.reading() as connection:
            newest = connection.exec_driver_sql("SELECT max(id) FROM profiles").scalar()
        self._profile_ids = itertools.count((newest or 0) + 1)

    def new_profile_id(self) -> dict[str, int]:
        return {"id": next(self._profile_ids)}

    def look_up(self, keys: Sequence[bytes], user_keys: Sequence[bytes]) -> LookUp:
        with self.database.reading() as connection, driver_errors():
            raw = _raw(connection)
            receipts = {
                bytes.fromhex(key): Receipt(bytes.fromhex(fingerprint), position)
                for key, fingerprint, position in _rows(
                    raw, "hex(key), hex(fingerprint), position", "receipts", "key", keys
                )
            }
            pending = {
                bytes.fromhex(key): bytes.fromhex(fingerprint)
                for key, fingerprint in _rows(raw, "hex(key), hex(fingerprint)", "inbox", "key", keys)
            }
            profiles = {
                bytes.fromhex(key): Profile(
                    row_id,
                    version,
                    last,
                    bytes.fromhex(devices),
                    bytes.fromhex(backlog),
                    bytes.fromhex(body),
                    bytes.fromhex(facts),
                )
                for key, row_id, version, last, devices, backlog, body, facts in _rows(
                    raw,
                    "hex(key), id, version, last_position, hex(devices), hex(backlog), hex(body), hex(facts)",
                    "profiles",
                    "key",
                    user_keys,
                )
            }
        return LookUp(receipts, pending, profiles)

    def _put(self, connection: sa.Connection, rows: Sequence[InboxRow]) -> dict[bytes, Receipt | bytes]:
        raw = _raw(connection)
        keys = [row.key for row in rows]
        known: dict[bytes, Receipt | bytes] = {
            bytes.fromhex(key): Receipt(bytes.fromhex(fingerprint), position)
            for key, fingerprint, position in _rows(
                raw, "hex(key), hex(fingerprint), position", "receipts", "key", keys
            )
        }
        for key, fingerprint in _rows(raw, "hex(key), hex(fingerprint)", "inbox", "key", keys):
            known[bytes.fromhex(key)] = bytes.fromhex(fingerprint)
        _insert(
            raw,
            "inbox (key, fingerprint, shard, tenant, received_ms, flags, traceparent, payload)",
            [tuple(row) for row in rows if row.key not in known],
        )
        return known

    def _write(
        self, connection: sa.Connection, commit: Commit, first: int, bodies: Sequence[bytes]
    ) -> dict[bytes, Profile]:
        raw = _raw(connection)
        decided = commit.decided
        try:
            _insert(
                raw,
                "receipts (key, fingerprint, position)",
                [(one.key, one.fingerprint, first + i) for i, one in enumerate(decided)],
            )
        except sqlite3.IntegrityError as error:
            raise LostRaceError from error
        previous = previous_positions(commit, first)
        _insert(
            raw,
            "decisions (position, tenant, user_key, previous, event_ms, event_class, outcome, flags)",
            [
                (first + i, d.tenant, d.user_key, previous[i], d.event_ms, d.event_class, d.outcome, d.flags)
                for i, d in enumerate(decided)
            ],
        )
        _insert(
            raw,
            "bodies (position, event, decision)",
            [(first + i, one.event, bodies[i]) for i, one in enumerate(decided)],
        )
        ending = [one for one in decided if one.from_inbox]
        if ending and self._end_inbox(connection, [one.key for one in ending]) != len(ending):
            raise LostRaceError
        return self._write_profiles(raw, commit, first)

    def _write_profiles(self, raw: sqlite3.Connection, commit: Commit, first: int) -> dict[bytes, Profile]:
        new: list[tuple[Any, ...]] = []
        moved: list[tuple[Any, ...]] = []
        after: dict[bytes, Profile] = {}
        for change, last, backlog in moved_profiles(commit, first):
            row_id = change.row_id or next(self._profile_ids)
            version = change.version + 1
            after[change.key] = Profile(
                row_id, version, last, change.devices, backlog, change.body, change.facts
            )
            if change.row_id:
                moved.append((row_id, version, last, change.devices, backlog, change.body))
            else:
                new.append((row_id, change.key, version, last, change.devices, backlog, change.body))
        try:
            _insert(raw, "profiles (id, key, version, last_position, devices, backlog, body)", new)
        except sqlite3.IntegrityError as error:
            raise LostRaceError([row[1] for row in new]) from error
        for chunk in _powers(moved):
            values = ", ".join(["(?, ?, ?, ?, ?, ?)"] * len(chunk))
            written = raw.execute(
                # Not as WITH: sqlite3 counts the rows of statements that begin with UPDATE only.
                "UPDATE profiles SET version = v.column2, last_position = v.column3, devices = v.column4, "
                f"backlog = v.column5, body = v.column6 FROM (VALUES {values}) AS v "
                "WHERE profiles.id = v.column1 AND profiles.version = v.column2 - 1",
                tuple(itertools.chain.from_iterable(chunk)),
            ).rowcount
            if written != len(chunk):
                raise LostRaceError([change.key for change in commit.profiles])
        return after

    def _bodies(self, positions: Sequence[int], column: str) -> dict[int, bytes]:
        with self.database.reading() as connection, driver_errors():
            return {
                position: bytes.fromhex(body)
                for position, body in _rows(
                    _raw(connection), f"position, hex({column})", "bodies", "position", positions
                )
            }

    def maintain(self, now_ms: int) -> None:
        self.database.checkpoint()


def _raw(connection: sa.Connection) -> sqlite3.Connection:
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw


def _powers(rows: Sequence[Any]) -> list[Sequence[Any]]:
    """Cuts rows into pieces whose lengths are powers of two, the largest first."""
    pieces = []
    start = 0
    while start < len(rows):
        size = min(_MOST_ROWS, 1 << (len(rows) - start).bit_length() - 1)
        pieces.append(rows[start : start + size])
        start += size
    return pieces


def _insert(raw: sqlite3.Connection, into: str, rows: Sequence[tuple[Any, ...]]) -> None:
    for chunk in _powers(rows):
        one = "(" + ", ".join("?" * len(chunk[0])) + ")"
        raw.execute(
            f"INSERT INTO {into} VALUES {', '.join([one] * len(chunk))}",
            tuple(itertools.chain.from_iterable(chunk)),
        )


def _rows(
    raw: sqlite3.Connection, columns: str, table: str, key: str, keys: Sequence[Any]
) -> list[list[Any]]:
    found: list[list[Any]] = []
    distinct = list(dict.fromkeys(keys))
    for start in range(0, len(distinct), _MOST_ROWS):
        chunk = distinct[start : start + _MOST_ROWS]
        # Filled up to a power of two with its first key again: few distinct statements.
        chunk += chunk[:1] * ((1 << (len(chunk) - 1).bit_length()) - len(chunk))
        marks = ", ".join("?" * len(chunk))
        text = raw.execute(
            f"SELECT json_group_array(json_array({columns})) FROM {table} WHERE {key} IN ({marks})", chunk
        ).fetchone()[0]
        if len(text) > 2:
            found += orjson.loads(text)
    return found
