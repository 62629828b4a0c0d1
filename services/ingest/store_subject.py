"""What ingest keeps of one viewer: its rows found, exported, erased and counted.

Erasures are rare and a viewer's rows are found by reading the narrow table of decisions through, which spares an index
on the way of every event. Rows go in pieces, each in a transaction of its own: an erasure that is cut short is begun
again and finds the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from google.protobuf.message import DecodeError
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from services.common.clock import utc_now_ms
from services.common.erased import Entry, Erased, ErasedRows, State, subject_of
from services.common.event_json import account_to_json, event_to_json
from services.common.render import decision_to_json
from services.common.subject_data import Retained, Rows, Rule, Subject, as_word, rule_for
from services.ingest import receipts, store_subject_lists, tables
from services.ingest.erasures import ErasedViewers
from services.ingest.outbox import Outbox
from services.ingest.pipeline import Pipeline
from services.ingest.records import ERASED, POSITION_SHIFT
from services.ingest.store import Store
from usher.alerts.v1 import alerts_pb2
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2

_PIECE = 250
_SCAN = 2_000
_NO_FINGERPRINT = bytes(16)
_TABLES = (
    *("decisions", "bodies", "receipts", "inbox", "failed", "outbox", "profiles", "unsighted"),
    *("labels", "enforcements", "list_entries"),
)


class IngestSubjects:
    """The `SubjectStore` of ingest."""

    def __init__(
        self,
        store: Store,
        rows: ErasedRows,
        viewers: ErasedViewers,
        pipeline: Pipeline,
        outbox: Outbox,
    ) -> None:
        self._store = store
        self._database = store.database
        self._rows = rows
        self._viewers = viewers
        self._pipeline = pipeline
        self._outbox = outbox

    # -- reading -----------------------------------------------------------------------------------

    async def export(self, subject: Subject, profile: bytes) -> AsyncIterator[Rows | bytes]:
        """Decisions with their events, failed and waiting events, and the profile."""
        read = self._database.read
        positions = await read(self._positions, subject)
        for start in range(0, len(positions), _PIECE):
            yield "decisions", await read(self._decisions, positions[start : start + _PIECE])
        failed = await read(self._failed, subject)
        if failed:
            yield "failed_events", [_failed_json(one) for _, one in failed]
        waiting = await read(self._waiting, subject)
        if waiting:
            events = [event_pb2.Event.FromString(payload) for _, payload in waiting]
            yield "waiting_events", [event_to_json(event) for event in events]
        ids = frozenset([one async for some in self.event_ids(subject) for one in some])
        lists = await read(store_subject_lists.export, self._store, subject, ids)
        for name, rows in lists.items():
            yield name, rows
        facts = await read(self._facts, subject)
        if facts:
            yield "account_facts", [facts]
        body = await read(self._profile, subject)
        if body:
            yield body

    async def event_ids(self, subject: Subject) -> AsyncIterator[Sequence[str]]:
        read = self._database.read
        positions = await read(self._positions, subject)
        for start in range(0, len(positions), _PIECE):
            yield await read(self._ids_at, positions[start : start + _PIECE])
        failed = await read(self._failed, subject)
        waiting = await read(self._waiting, subject)
        rest = [one.event_id for _, one in failed]
        rest += [event_pb2.Event.FromString(payload).event_id for _, payload in waiting]
        if rest:
            yield rest

    async def remaining(self, subject: Subject) -> Mapping[str, int]:
        return await self._database.read(self._remaining, subject)

    def _remaining(self, subject: Subject) -> dict[str, int]:
        event_ids = subject.event_ids
        counts = {
            "decisions": len(self._positions(subject, erasable=True)),
            "failed_events": 0 if subject.keeps_all("failed_events") else len(self._failed(subject)),
            "waiting_events": 0 if subject.keeps_all("waiting_events") else len(self._waiting(subject)),
            "outbox": 0 if subject.keeps_all("outbox") else len(self._messages(subject, event_ids)),
            **store_subject_lists.count(self._store, subject, event_ids),
            "profiles": int(not subject.keeps_all("profiles") and self._profile(subject) is not None),
        }
        return {store: number for store, number in counts.items() if number}

    def _positions(self, subject: Subject, *, erasable: bool = False) -> list[int]:
        d = tables.decisions.c
        query = sa.select(d.position).where(
            d.user_key == receipts.user_key(subject.tenant, subject.user_id), d.tenant == subject.tenant
        )
        if subject.through_ms is not None:
            query = query.where(d.position < (subject.through_ms + 1) << POSITION_SHIFT)
        kept_from = subject.kept_from("decisions") if erasable else None
        if kept_from is not None:
            query = query.where(d.event_ms < kept_from)
        with self._database.reading() as connection:
            return list(connection.execute(query.order_by(d.position)).scalars())

    def _decisions(self, positions: Sequence[int]) -> list[dict[str, Any]]:
        b = tables.bodies.c
        with self._database.reading() as connection:
            rows = connection.execute(
                sa.select(b.event, b.decision).where(b.position.in_(positions)).order_by(b.position)
            ).all()
        found = []
        for event, decision in rows:
            message = event_pb2.Event.FromString(bytes(event))
            body = decision_to_json(decision_pb2.Decision.FromString(bytes(decision)), message)
            found.append({"event": event_to_json(message), "decision": body})
        return found

    def _ids_at(self, positions: Sequence[int]) -> list[str]:
        with self._database.reading() as connection:
            return [event.event_id for event in self._events_at(connection, positions)]

    def _events_at(self, connection: sa.Connection, positions: Sequence[int]) -> Iterator[event_pb2.Event]:
        b = tables.bodies.c
        for (event,) in connection.execute(sa.select(b.event).where(b.position.in_(positions))).all():
            yield event_pb2.Event.FromString(bytes(event))

    def _profile(self, subject: Subject) -> bytes | None:
        p = tables.profiles.c
        key = receipts.user_key(subject.tenant, subject.user_id)
        with self._database.reading() as connection:
            body = connection.execute(sa.select(p.body).where(p.key == key)).scalar()
        return None if body is None else bytes(body)

    def _facts(self, subject: Subject) -> dict[str, Any]:
        p = tables.profiles.c
        with self._database.reading() as connection:
            found = connection.execute(
                sa.select(p.facts).where(p.key == receipts.user_key(subject.tenant, subject.user_id))
            ).scalar()
        return account_to_json(event_pb2.AccountFacts.FromString(bytes(found))) if found else {}

    def _failed(self, subject: Subject) -> list[tuple[int, ingest_pb2.FailedEvent]]:
        return [
            (row_id, failed)
            for row_id, failed in self._all_failed(subject.tenant)
            if names(failed.payload, subject.user_id)
            and (subject.through_ms is None or failed.failed_time.ToMilliseconds() <= subject.through_ms)
        ]

    def _all_failed(self, tenant: str | None) -> Iterator[tuple[int, ingest_pb2.FailedEvent]]:
        f = tables.failed.c
        after = 0
        while True:
            query = sa.select(f.id, f.body).where(f.id > after).order_by(f.id).limit(_SCAN)
            if tenant is not None:
                query = query.where(f.tenant == tenant)
            with self._database.reading() as connection:
                rows = connection.execute(query).all()
            for row_id, body in rows:
                yield row_id, self._store.vault.open(bytes(body))
            if len(rows) < _SCAN:
                return
            after = rows[-1][0]

    def _waiting(self, subject: Subject) -> list[tuple[bytes, bytes]]:
        """Keys and events of the viewer's inbox rows."""
        i = tables.inbox.c
        shard = receipts.shard(receipts.user_key(subject.tenant, subject.user_id))
        query = sa.select(i.key, i.payload).where(i.shard == shard, i.tenant == subject.tenant)
        if subject.through_ms is not None:
            query = query.where(i.received_ms <= subject.through_ms)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return [
            (bytes(key), bytes(payload))
            for key, payload in rows
            if event_pb2.Event.FromString(bytes(payload)).user_id == subject.user_id
        ]

    def _messages(self, subject: Subject, event_ids: frozenset[str]) -> list[tuple[int, bytes | None]]:
        """Rows that speak of the viewer, each with what is left of it without; None: nothing."""
        o = tables.outbox.c
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(o.id, o.topic, o.body)).all()
        found: list[tuple[int, bytes | None]] = []
        for row_id, topic, body in rows:
            if topic != "alerts":
                if names(bytes(body), subject.user_id):
                    found.append((row_id, None))
                continue
            request = alerts_pb2.RaiseAlertsRequest.FromString(bytes(body))
            others = [one for one in request.messages if not _about(one, subject, event_ids)]
            if len(others) < len(request.messages):
                left = alerts_pb2.RaiseAlertsRequest(messages=others)
                found.append((row_id, left.SerializeToString() if others else None))
        return found

    # -- erasing -----------------------------------------------------------------------------------

    async def erase(self, subject: Subject, key: bytes, entry: Entry | None) -> Erased:
        """Erases; a repeated event of the viewer's from before is GONE from here on."""
        run = self._database.run
        if entry is not None:
            # First: what arrives meanwhile and happened before is refused already.
            await run(self._rows.record, key, [entry])
            await self._viewers.refresh()
        erased: Counter[str] = Counter()
        event_ids: set[str] = set(subject.event_ids)
        positions = await self._database.read(lambda: self._positions(subject, erasable=True))
        for start in range(0, len(positions), _PIECE):
            piece = positions[start : start + _PIECE]
            ids = await run(self._erase_decisions, subject.tenant, piece)
            event_ids.update(ids)
            erased["decisions"] += len(piece)
        lists = await run(store_subject_lists.erase, self._store, subject, frozenset(event_ids), utc_now_ms())
        erased.update(lists)
        erased += await run(self._erase_rest, subject, frozenset(event_ids))
        await self._outbox.calls_ended()
        self._pipeline.forget(receipts.user_key(subject.tenant, subject.user_id))
        kept = len(await self._database.read(self._positions, subject))
        if not kept:
            await run(self._database.scrub, [subject.user_id.encode()], _TABLES)
        erased = +erased
        return Erased(erased, {"decisions": kept} if kept else {})

    def _erase_decisions(self, tenant: str, positions: Sequence[int]) -> list[str]:
        with self._database.begin() as connection:
            ids = [event.event_id for event in self._events_at(connection, positions)]
            self._entomb(connection, [receipts.event_key(tenant, event_id) for event_id in ids])
            for table in (tables.unsighted, tables.bodies, tables.decisions):
                connection.execute(sa.delete(table).where(table.c.position.in_(positions)))
        return ids

    def _erase_rest(self, subject: Subject, event_ids: frozenset[str]) -> Counter[str]:
        failed = [] if subject.keeps_all("failed_events") else self._failed(subject)
        waiting = [] if subject.keeps_all("waiting_events") else self._waiting(subject)
        # Alerts about failed and waiting events name them, too.
        event_ids |= {one.event_id for _, one in failed}
        outbox = [] if subject.keeps_all("outbox") else self._messages(subject, event_ids)
        done: Counter[str] = Counter()
        f, i, o, p = tables.failed, tables.inbox, tables.outbox, tables.profiles
        with self._database.begin() as connection:
            for row_id, one in failed:
                self._entomb(connection, [receipts.event_key(subject.tenant, one.event_id)])
                done["failed_events"] += connection.execute(sa.delete(f).where(f.c.id == row_id)).rowcount
            for key, _ in waiting:
                ended = connection.execute(sa.delete(i).where(i.c.key == key)).rowcount
                if ended:
                    self._entomb(connection, [key])
                    done["waiting_events"] += ended
            if done["waiting_events"]:
                # The books: it was accepted and ends here without a decision.
                insert = self._insert(tables.counters).values(
                    tenant=subject.tenant, name="superseded", n=done["waiting_events"]
                )
                connection.execute(
                    insert.on_conflict_do_update(
                        index_elements=["tenant", "name"],
                        set_={"n": tables.counters.c.n + insert.excluded.n},
                    )
                )
            for row_id, left in outbox:
                change: sa.Update | sa.Delete = sa.delete(o)
                if left is not None:
                    change = sa.update(o).values(body=left)
                done["outbox"] += connection.execute(change.where(o.c.id == row_id)).rowcount
            if not subject.keeps_all("profiles"):
                key = receipts.user_key(subject.tenant, subject.user_id)
                done["profiles"] += connection.execute(sa.delete(p).where(p.c.key == key)).rowcount
        return done

    def _entomb(self, connection: sa.Connection, keys: Sequence[bytes]) -> None:
        """Keeps of events only that they were there: whoever sends one again is told that it is gone."""
        if not keys:
            return
        insert = self._insert(tables.receipts)
        connection.execute(
            insert.on_conflict_do_update(
                index_elements=["key"], set_={"fingerprint": _NO_FINGERPRINT, "position": ERASED}
            ),
            [{"key": key, "fingerprint": _NO_FINGERPRINT, "position": ERASED} for key in keys],
        )

    def _insert(self, table: sa.Table) -> Any:
        return (sqlite_insert if self._database.dialect == "sqlite" else postgresql_insert)(table)

    # -- retention ---------------------------------------------------------------------------------

    async def retain(
        self, tenant: str, rules: Sequence[Rule], held: frozenset[str], dry_run: bool
    ) -> tuple[Mapping[Rule, Retained], int]:
        """Goes through what is older than the shortest period, oldest first, and asks each event's own rule."""
        by_place = {(rule.store, rule.jurisdiction): rule for rule in rules}
        rows: Counter[Rule] = Counter()
        kept: Counter[Rule] = Counter()
        latest = max((rule.before_ms for rule in rules if rule.store == "decisions"), default=0)
        after = -1
        while latest:
            found = await self._database.read(self._older, tenant, after, latest)
            gone: list[int] = []
            for position, user_id, region in found:
                rule = rule_for(by_place, "decisions", region)
                if rule is None or position >= rule.before_ms << POSITION_SHIFT:
                    continue
                if user_id in held:
                    kept[rule] += 1
                    continue
                rows[rule] += 1
                gone.append(position)
            if not dry_run:
                for start in range(0, len(gone), _PIECE):
                    await self._database.run(self._erase_decisions, tenant, gone[start : start + _PIECE])
            if len(found) < _SCAN:
                break
            after = found[-1][0]
        old, held_failed = await self._database.run(self._retain_failed, tenant, by_place, held, dry_run)
        rows += old
        kept += held_failed
        dropped = 0
        if latest and not dry_run:
            dropped = await self._database.run(self._store.drop_empty_partitions, latest)
        both = {rule: Retained(rows[rule], kept[rule]) for rule in rules if rows[rule] or kept[rule]}
        return both, dropped

    def _older(self, tenant: str, after: int, before_ms: int) -> list[tuple[int, str, str]]:
        d, b = tables.decisions.c, tables.bodies.c
        with self._database.reading() as connection:
            found = connection.execute(
                sa.select(d.position, b.event)
                .join(tables.bodies, b.position == d.position)
                .where(d.tenant == tenant, d.position > after, d.position < before_ms << POSITION_SHIFT)
                .order_by(d.position)
                .limit(_SCAN)
            ).all()
        events = ((row[0], event_pb2.Event.FromString(bytes(row[1]))) for row in found)
        return [(position, event.user_id, event.region) for position, event in events]

    def _retain_failed(
        self, tenant: str, rules: Mapping[tuple[str, str], Rule], held: frozenset[str], dry_run: bool
    ) -> tuple[Counter[Rule], Counter[Rule]]:
        rows: Counter[Rule] = Counter()
        kept: Counter[Rule] = Counter()
        rule = rules.get(("failed_events", ""))
        if rule is None:
            return rows, kept
        gone = []
        for row_id, failed in self._all_failed(tenant):
            if failed.failed_time.ToMilliseconds() < rule.before_ms:
                if _user_of(failed.payload) in held:
                    kept[rule] += 1
                else:
                    gone.append(row_id)
        rows[rule] = len(gone)
        if not dry_run:
            for start in range(0, len(gone), _PIECE):
                with self._database.begin() as connection:
                    some = tables.failed.c.id.in_(gone[start : start + _PIECE])
                    connection.execute(sa.delete(tables.failed).where(some))
        return rows, kept

    # -- the ledger --------------------------------------------------------------------------------

    async def erasure_state(self) -> State:
        return await self._database.read(self._rows.state)

    async def reapply(self, key: bytes, entries: Sequence[Entry], complete: bool) -> Mapping[str, int]:
        """Finds whom the entries name by reading everything once, and erases them again."""
        done: Counter[str] = Counter()
        if entries:
            wanted = {entry.subject: entry.erased_ms for entry in entries}
            found = await self._database.read(self._named, key, wanted)
            for (tenant, user_id), through_ms in sorted(found.items()):
                again = await self.erase(Subject(tenant, user_id, through_ms=through_ms), key, None)
                done.update(again.erased)
        await self._database.run(lambda: self._rows.record(key, entries, complete=complete))
        await self._viewers.refresh()
        return done

    def _named(self, key: bytes, wanted: Mapping[bytes, int]) -> dict[tuple[str, str], int]:
        seen: dict[tuple[str, str], int | None] = {}
        for tenant, user_id in self._all_viewers():
            if (tenant, user_id) not in seen:
                seen[tenant, user_id] = wanted.get(subject_of(key, tenant, user_id))
        return {viewer: through for viewer, through in seen.items() if through is not None}

    def _all_viewers(self) -> Iterator[tuple[str, str]]:
        d, b = tables.decisions.c, tables.bodies.c
        after = -1
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(
                    sa.select(d.position, d.tenant, b.event)
                    .join(tables.bodies, b.position == d.position)
                    .where(d.position > after)
                    .order_by(d.position)
                    .limit(_SCAN)
                ).all()
            for _, tenant, event in rows:
                yield tenant, event_pb2.Event.FromString(bytes(event)).user_id
            if len(rows) < _SCAN:
                break
            after = rows[-1][0]
        for _, failed in self._all_failed(None):
            user_id = _user_of(failed.payload)
            if user_id:
                yield failed.tenant, user_id
        i = tables.inbox.c
        with self._database.reading() as connection:
            waiting = connection.execute(sa.select(i.tenant, i.payload)).all()
        for tenant, payload in waiting:
            yield tenant, event_pb2.Event.FromString(bytes(payload)).user_id


def names(content: bytes, user_id: str) -> bool:
    """Whether an event, or a sender's text that is none, names a viewer."""
    user = user_id.encode()
    if user not in content:
        return False
    if _user_of(content) == user_id:
        return True
    # Text that could not be mapped: the id as a word of its own, not as a part of a longer one.
    return as_word(user_id).search(content.decode("utf-8", "replace")) is not None


def _user_of(payload: bytes) -> str:
    try:
        return event_pb2.Event.FromString(payload).user_id
    except DecodeError:
        return ""


def _about(message: alerts_pb2.AlertMessage, subject: Subject, event_ids: frozenset[str]) -> bool:
    if message.tenant != subject.tenant:
        return False
    named = message.entity_kind == "user" and message.entity == subject.user_id
    beside = any(one.kind == "user" and one.value == subject.user_id for one in message.subjects)
    told = as_word(subject.user_id).search(message.summary) is not None
    return named or beside or told or message.event_id in event_ids


def _failed_json(failed: ingest_pb2.FailedEvent) -> dict[str, Any]:
    try:
        event: Any = event_to_json(event_pb2.Event.FromString(failed.payload))
    except DecodeError:
        event = failed.payload.decode("utf-8", "replace")
    return {
        "failed_id": failed.failed_id,
        "event_id": failed.event_id,
        "failed_time": failed.failed_time.ToJsonString(),
        "reason": failed.failure.reason,
        "message": failed.failure.message,
        "event": event,
    }
