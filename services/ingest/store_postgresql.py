"""The store on PostgreSQL: COPY for what is appended, a staging table for what is replaced.

COPY costs a third of executemany per row; it cannot resolve conflicts, so a receipt that is already there fails the
transaction (LostRaceError: look up again), and profiles go through a temporary table into one compare-and-set UPDATE.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
import sqlalchemy as sa

from services.ingest import tables
from services.ingest.records import (
    POSITION_SHIFT,
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

_DAY_MS = 86_400_000
_DAYS_AHEAD = 3
_STAGE = """CREATE TEMPORARY TABLE IF NOT EXISTS profile_stage (
    id bigint, key bytea, version bigint, last_position bigint, devices bytea, backlog bytea, body bytea
) ON COMMIT DELETE ROWS"""


class PostgresqlStore(Store):
    """Rows in one schema. Several processes may share it."""

    _parameter = "%s"

    def look_up(self, keys: Sequence[bytes], user_keys: Sequence[bytes]) -> LookUp:
        with self.database.reading() as connection, driver_errors():
            raw = _raw(connection)
            receipts = {
                bytes(row[0]): Receipt(bytes(row[1]), row[2])
                for row in _select(raw, "key, fingerprint, position", "receipts", keys)
            }
            pending = {
                bytes(row[0]): bytes(row[1]) for row in _select(raw, "key, fingerprint", "inbox", keys)
            }
            profiles = {
                bytes(row[0]): Profile(
                    row[1], row[2], row[3], bytes(row[4]), bytes(row[5]), bytes(row[6]), bytes(row[7] or b"")
                )
                for row in _select(
                    raw,
                    "key, id, version, last_position, devices, backlog, body, facts",
                    "profiles",
                    user_keys,
                )
            }
        return LookUp(receipts, pending, profiles)

    def _put(self, connection: sa.Connection, rows: Sequence[InboxRow]) -> dict[bytes, Receipt | bytes]:
        raw = _raw(connection)
        keys = [row.key for row in rows]
        # The inbox first: a row that another process ends between the two look-ups shows as a receipt.
        new: set[bytes] = set()
        for row in rows:
            written = raw.execute(
                "INSERT INTO inbox (key, fingerprint, shard, tenant, received_ms, flags, traceparent, payload) "
                "VALUES (%b, %b, %s, %s, %s, %s, %s, %b) ON CONFLICT (key) DO NOTHING",
                tuple(row),
            ).rowcount
            if written:
                new.add(row.key)
        known: dict[bytes, Receipt | bytes] = {
            bytes(key): bytes(fingerprint)
            for key, fingerprint in _select(raw, "key, fingerprint", "inbox", keys)
            if bytes(key) not in new
        }
        for key, fingerprint, position in _select(raw, "key, fingerprint, position", "receipts", keys):
            known[bytes(key)] = Receipt(bytes(fingerprint), position)
        decided_already = [key for key in new if key in known]
        if decided_already:
            self._end_inbox(connection, decided_already)
        if any(row.key not in known and row.key not in new for row in rows):
            # Ended by another process between the statements: the receipt is visible to the next attempt.
            raise LostRaceError
        return known

    def _write(
        self, connection: sa.Connection, commit: Commit, first: int, bodies: Sequence[bytes]
    ) -> dict[bytes, Profile]:
        raw = _raw(connection)
        decided = commit.decided
        ending = [one for one in decided if one.from_inbox]
        if ending and self._end_inbox(connection, [one.key for one in ending]) != len(ending):
            raise LostRaceError
        try:
            _copy(
                raw,
                "receipts (key, fingerprint, position)",
                ("bytea", "bytea", "int8"),
                [(one.key, one.fingerprint, first + i) for i, one in enumerate(decided)],
            )
        except psycopg.errors.UniqueViolation as error:
            raise LostRaceError from error
        previous = previous_positions(commit, first)
        _copy(
            raw,
            "decisions (position, tenant, user_key, previous, event_ms, event_class, outcome, flags)",
            ("int8", "text", "bytea", "int8", "int8", "int2", "int2", "int4"),
            [
                (first + i, d.tenant, d.user_key, previous[i], d.event_ms, d.event_class, d.outcome, d.flags)
                for i, d in enumerate(decided)
            ],
        )
        _copy(
            raw,
            "bodies (position, event, decision)",
            ("int8", "bytea", "bytea"),
            [(first + i, one.event, bodies[i]) for i, one in enumerate(decided)],
        )
        return self._write_profiles(raw, commit, first)

    def _write_profiles(
        self, raw: psycopg.Connection[Any], commit: Commit, first: int
    ) -> dict[bytes, Profile]:
        moved = moved_profiles(commit, first)
        if not moved:
            return {}
        raw.execute(_STAGE)
        _copy(
            raw,
            "profile_stage (id, key, version, last_position, devices, backlog, body)",
            ("int8", "bytea", "int8", "int8", "bytea", "bytea", "bytea"),
            [
                (c.row_id, c.key, c.version + 1, last, c.devices, backlog, c.body)
                for c, last, backlog in moved
            ],
        )
        after = {
            change.key: Profile(
                change.row_id, change.version + 1, last, change.devices, backlog, change.body, change.facts
            )
            for change, last, backlog in moved
        }
        replaced = raw.execute(
            "UPDATE profiles p SET version = s.version, last_position = s.last_position, devices = s.devices, "
            "backlog = s.backlog, body = s.body FROM profile_stage s "
            "WHERE s.id > 0 AND p.id = s.id AND p.version = s.version - 1"
        ).rowcount
        made = 0
        for key, row_id in raw.execute(
            "INSERT INTO profiles (key, version, last_position, devices, backlog, body) "
            "SELECT key, version, last_position, devices, backlog, body FROM profile_stage WHERE id = 0 "
            "ON CONFLICT (key) DO NOTHING RETURNING key, id"
        ):
            after[bytes(key)] = after[bytes(key)]._replace(row_id=row_id)
            made += 1
        if replaced + made != len(moved):
            raise LostRaceError([change.key for change, _, _ in moved])
        return after

    def _bodies(self, positions: Sequence[int], column: str) -> dict[int, bytes]:
        with self.database.reading() as connection, driver_errors():
            rows = _raw(connection).execute(
                f"SELECT position, {column} FROM bodies WHERE position = ANY(%s)",
                (list(positions),),
                binary=True,
            )
            return {row[0]: bytes(row[1]) for row in rows}

    def maintain(self, now_ms: int) -> None:
        """Makes the partitions of today and the days ahead. A row without one lies in the default partition."""
        today = now_ms // _DAY_MS
        for day in range(today, today + _DAYS_AHEAD):
            low, high = (day * _DAY_MS) << POSITION_SHIFT, ((day + 1) * _DAY_MS) << POSITION_SHIFT
            for table in tables.PARTITIONED:
                name = f"{table.name}_d{day}"
                with self.database.begin() as connection:
                    # One maker at a time; the lock goes with the transaction.
                    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('usher partitions'))")
                    exists = connection.exec_driver_sql(
                        "SELECT to_regclass(%s) IS NOT NULL", (f"{self.database.schema}.{name}",)
                    ).scalar()
                    if exists:
                        continue
                    in_default = connection.exec_driver_sql(
                        f"SELECT 1 FROM {table.name}_default WHERE position >= %s AND position < %s LIMIT 1",
                        (low, high),
                    ).scalar()
                    if in_default:
                        # The day has begun without its partition: its rows stay in the default one.
                        continue
                    connection.exec_driver_sql(
                        f"CREATE TABLE {name} PARTITION OF {table.name} FOR VALUES FROM ({low}) TO ({high})"
                    )

    def drop_empty_partitions(self, before_ms: int) -> int:
        dropped = 0
        with self.database.reading() as connection:
            found = connection.exec_driver_sql(
                "SELECT c.relname, p.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
                "JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace n ON n.oid = p.relnamespace "
                "WHERE n.nspname = %s",
                (self.database.schema,),
            ).all()
        names = {table.name for table in tables.PARTITIONED}
        for name, parent in found:
            day = name.removeprefix(f"{parent}_d")
            if parent not in names or not day.isdigit() or (int(day) + 1) * _DAY_MS > before_ms:
                continue
            with self.database.begin() as connection:
                # The lock keeps a late row out between the look and the drop.
                connection.exec_driver_sql(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE")
                if connection.exec_driver_sql(f"SELECT 1 FROM {name} LIMIT 1").first() is None:
                    connection.exec_driver_sql(f"DROP TABLE {name}")
                    dropped += 1
        return dropped


def _raw(connection: sa.Connection) -> psycopg.Connection[Any]:
    raw = connection.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)
    return raw


def _select(
    raw: psycopg.Connection[Any], columns: str, table: str, keys: Sequence[bytes]
) -> list[tuple[Any, ...]]:
    if not keys:
        return []
    return raw.execute(
        f"SELECT {columns} FROM {table} WHERE key = ANY(%s::bytea[])",
        (list(dict.fromkeys(keys)),),
        binary=True,
    ).fetchall()


def _copy(
    raw: psycopg.Connection[Any], into: str, types: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    if not rows:
        return
    with raw.cursor() as cursor, cursor.copy(f"COPY {into} FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)
