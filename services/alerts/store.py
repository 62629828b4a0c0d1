"""Messages, alerts, snoozes and storms in SQLite or PostgreSQL.

One transaction a batch of messages: their keys, the alerts they changed, the incidents they opened and the deliveries
that follow commit together or not at all. Transactions on one tenant take turns, so that two of them never open two
alerts where one is due.
"""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from google.protobuf import json_format

from services.alerts import incidents, store_incidents, tables
from services.alerts.faults import crash_point
from services.alerts.grouping import (
    DIGEST,
    ENDED,
    REOPENED,
    SNOOZE_ENDED,
    STORM_KIND,
    Grouping,
    Known,
    Source,
    Telling,
    digest,
    entity_key,
    group_key,
    hold_back,
    inhibited,
    message_key,
    ring_of,
    storm_digest,
    telling,
)
from services.alerts.rules import Planned, Rules
from services.alerts.selection import Filter
from services.alerts.store_rows import (
    add_deliveries,
    alert_of,
    cancel_steps,
    complete,
    insert,
    known_of,
    take_turns,
    write_alerts,
)
from services.common.db import Database
from services.common.errors import FailedPrecondition, NotFound
from usher.alerts.v1 import alerts_pb2
from usher.ingest.v1 import labels_pb2

STORM_WINDOW_MS = 60_000
MAX_SELECTED = 10_000
"""Alerts that one act may concern."""
MAX_QUEUE = 1_000
_CHUNK = 500
_OPEN_STATES = (alerts_pb2.ALERT_STATE_OPEN, alerts_pb2.ALERT_STATE_ACKNOWLEDGED)
_A = tables.alerts.c


class Position(NamedTuple):
    """Where a page of alerts begins: after this one."""

    last_ns: int
    alert_id: str


class Acted(NamedTuple):
    """What an act did, or would do."""

    selected: int
    changed: list[alerts_pb2.Alert]
    unknown: list[str]


class Queue(NamedTuple):
    """What is to be worked on."""

    alerts: list[alerts_pb2.Alert]
    done_today: int
    waiting: int


class AlertStore:
    """The rows of alerts. Methods may be called from the event loop; the work runs in the database's threads."""

    def __init__(self, database: Database, rules: Rules) -> None:
        self.database = database
        self._rules = rules

    # -- messages ----------------------------------------------------------------------------------

    async def raise_messages(
        self, messages: Sequence[alerts_pb2.AlertMessage], now_ms: int
    ) -> list[alerts_pb2.RaiseResult]:
        """Groups and keeps valid messages and what is to be told of them; durable when it returns.

        One result a message, in order. Raises the typed errors of `services.common.db`.
        """
        if not messages:
            return []
        return await self.database.run(self._raise, messages, now_ms)

    def _raise(
        self, messages: Sequence[alerts_pb2.AlertMessage], now_ms: int
    ) -> list[alerts_pb2.RaiseResult]:
        with self.database.begin() as connection:
            take_turns(self.database, connection, {message.tenant for message in messages})
            results = self._take(connection, messages, now_ms)
            crash_point("alerts.raise.before_commit")
        crash_point("alerts.raise.after_commit")
        return results

    def _take(
        self, connection: sa.Connection, messages: Sequence[alerts_pb2.AlertMessage], now_ms: int
    ) -> list[alerts_pb2.RaiseResult]:
        now_ns = now_ms * 1_000_000
        joinable = self._joinable(connection, messages, now_ns)
        grouping = Grouping(self._rules, self._known(connection, messages), joinable)
        results = [grouping.take(message, now_ns) for message in messages]
        if not grouping.new_keys:
            return results
        rows = [
            {"key": key, "alert_id": alert_id, "received_ms": now_ms}
            for key, alert_id in grouping.new_keys.items()
        ]
        insert(self.database, connection, tables.messages, rows)
        rows = [{"alert_id": alert_id, "event_id": event_id} for alert_id, event_id in grouping.new_events]
        insert(self.database, connection, tables.events, rows)
        ended = {one.alert.alert_id: one.ended_ns // 1_000_000 for one in joinable}
        self._settle(connection, grouping.changed, grouping.candidates(), grouping.told, ended, now_ms)
        return results

    def _settle(
        self,
        connection: sa.Connection,
        changed: dict[str, alerts_pb2.Alert],
        candidates: Sequence[Telling],
        told: dict[str, int],
        ended: dict[str, int],
        now_ms: int,
    ) -> None:
        """Decides who is told of changed alerts, opens incidents, and writes everything."""
        candidates = self._not_silent(connection, changed, candidates, now_ms)
        plans: list[tuple[Telling, alerts_pb2.Alert, Sequence[Planned]]] = []
        counts: dict[str, _Storm] = {}
        digests: dict[str, alerts_pb2.Alert] = {}
        raised: set[str] = set()
        for one in candidates:
            alert = changed[one.alert_id]
            told[alert.alert_id] = alert.severity
            storm = counts.get(alert.tenant)
            if storm is None:
                storm = counts[alert.tenant] = self._storm(connection, alert.tenant, now_ms)
            if storm.told < self._rules.storm_tellings or alert.severity >= self._rules.storm_always:
                storm.told += 1
                alert.silence = alerts_pb2.SILENCE_UNSPECIFIED
                plans.append((one, alert, self._rules.plan(alert, now_ms)))
                continue
            held = digests.get(alert.tenant)
            if held is None:
                held = digests[alert.tenant] = self._digest(connection, alert.tenant, storm.window_ms)
            before = held.severity
            hold_back(held, alert, now_ms)
            if held.severity > before:
                raised.add(alert.tenant)
        for tenant, storm in counts.items():
            storm.write(connection, tenant)
        for tenant in raised:
            held = digests[tenant]
            cancel_steps(connection, [held.alert_id], first=True)
            due_ms = counts[tenant].window_ms + STORM_WINDOW_MS
            plans.append((telling(held, DIGEST, ""), held, self._rules.plan(held, due_ms)))
        for held in digests.values():
            told[held.alert_id] = held.severity
        alerts = [*changed.values(), *digests.values()]
        reopened = store_incidents.open_for(self.database, connection, self._rules, alerts, now_ms)
        for alert in reopened:
            if all(alert is not told_ for _, told_, _ in plans) and not alert.silence:
                again = telling(alert, REOPENED, "", repeat=f"{alert.incident}:{now_ms}")
                plans.append((again, alert, self._rules.plan(alert, now_ms)))
        write_alerts(self.database, connection, self._rules, alerts, told, ended)
        add_deliveries(self.database, connection, plans)

    def _known(
        self, connection: sa.Connection, messages: Sequence[alerts_pb2.AlertMessage]
    ) -> Mapping[bytes, str]:
        m = tables.messages.c
        keys = list({message_key(message) for message in messages})
        found: dict[bytes, str] = {}
        for start in range(0, len(keys), _CHUNK):
            rows = connection.execute(
                sa.select(m.key, m.alert_id).where(m.key.in_(keys[start : start + _CHUNK]))
            )
            found.update((bytes(row.key), row.alert_id) for row in rows)
        return found

    def _joinable(
        self, connection: sa.Connection, messages: Sequence[alerts_pb2.AlertMessage], now_ns: int
    ) -> list[Known]:
        spans: dict[bytes, tuple[int, int]] = {}
        for message in messages:
            grouped = self._rules.grouped(message.kind)
            time = message.event_time.ToNanoseconds() if message.HasField("event_time") else now_ns
            key = group_key(message, grouped.by)
            first, last = spans.get(key, (time, time))
            spans[key] = min(first, time - grouped.window_ns), max(last, time + grouped.window_ns)
        keys = list(spans)
        found = []
        for start in range(0, len(keys), _CHUNK):
            chunk = keys[start : start + _CHUNK]
            rows = connection.execute(
                sa.select(tables.alerts).where(
                    _A.group_key.in_(chunk),
                    _A.last_ns >= min(spans[key][0] for key in chunk),
                    _A.first_ns <= max(spans[key][1] for key in chunk),
                )
            )
            found += [known_of(row) for row in rows]
        return found

    # -- what keeps people from being told -----------------------------------------------------------

    def _not_silent(
        self,
        connection: sa.Connection,
        changed: Mapping[str, alerts_pb2.Alert],
        candidates: Sequence[Telling],
        now_ms: int,
    ) -> list[Telling]:
        if not candidates:
            return []
        alerts = [changed[one.alert_id] for one in candidates]
        snoozed = self._snoozed(connection, {entity_key(alert) for alert in alerts}, now_ms)
        sources = self._sources(connection, alerts, now_ms)
        sources += [
            Source(a.alert_id, a.tenant, a.kind, entity_key(a), ring_of(a), a.last_time.ToNanoseconds())
            for a in changed.values()
        ]
        # Most kinds of source are few: only alerts that can mute anything are compared.
        sources = [one for one in sources if any(rule.is_source(one.kind) for rule in self._rules.inhibition)]
        told = []
        for one, alert in zip(candidates, alerts, strict=True):
            kinds: Collection[str] = snoozed.get(entity_key(alert), ())
            if "" in kinds or alert.kind in kinds:
                alert.silence = alerts_pb2.SILENCE_SNOOZED
            elif inhibited(self._rules, alert, _about(sources, alert), now_ms * 1_000_000):
                alert.silence = alerts_pb2.SILENCE_INHIBITED
            else:
                told.append(one)
        return told

    def _snoozed(self, connection: sa.Connection, entities: set[bytes], now_ms: int) -> dict[bytes, set[str]]:
        s = tables.snoozes.c
        keys, found = list(entities), dict[bytes, set[str]]()
        for start in range(0, len(keys), _CHUNK):
            rows = connection.execute(
                sa.select(s.entity_key, s.kind).where(
                    s.entity_key.in_(keys[start : start + _CHUNK]), s.ended == 0, s.until_ms > now_ms
                )
            )
            for row in rows:
                found.setdefault(bytes(row.entity_key), set()).add(row.kind)
        return found

    def _sources(
        self, connection: sa.Connection, alerts: Sequence[alerts_pb2.Alert], now_ms: int
    ) -> list[Source]:
        rules = [rule for alert in alerts for rule in self._rules.sources_of(alert.kind)]
        if not rules:
            return []
        since = now_ms * 1_000_000 - max(rule.nanoseconds for rule in rules)
        columns = (_A.alert_id, _A.tenant, _A.kind, _A.entity_key, _A.ring_id, _A.last_ns)
        rings = list({(a.tenant, ring_of(a)) for a in alerts if ring_of(a)})
        entities = list({entity_key(a) for a in alerts})
        found = []
        for start in range(0, max(len(rings), len(entities)), _CHUNK):
            which: list[Any] = [_A.entity_key.in_(entities[start : start + _CHUNK])]
            for tenant in {tenant for tenant, _ in rings}:
                some = [ring for owner, ring in rings[start : start + _CHUNK] if owner == tenant]
                if some:
                    which.append(sa.and_(_A.tenant == tenant, _A.ring_id.in_(some)))
            for clause in which:
                rows = connection.execute(
                    sa.select(*columns).where(clause, _A.last_ns >= since, _A.state.in_(_OPEN_STATES))
                )
                found += [Source(r[0], r[1], r[2], bytes(r[3]), r[4], r[5]) for r in rows]
        return found

    def _storm(self, connection: sa.Connection, tenant: str, now_ms: int) -> _Storm:
        window_ms = now_ms - now_ms % STORM_WINDOW_MS
        s = tables.storms.c
        row = connection.execute(sa.select(s.window_ms, s.told).where(s.tenant == tenant)).first()
        # A clock that was set back must not open a window anew.
        if row is None or row.window_ms < window_ms:
            return _Storm(window_ms, 0)
        return _Storm(row.window_ms, row.told)

    def _digest(self, connection: sa.Connection, tenant: str, window_ms: int) -> alerts_pb2.Alert:
        new = storm_digest(tenant, window_ms)
        row = connection.execute(sa.select(tables.alerts).where(_A.alert_id == new.alert_id)).first()
        return new if row is None else alert_of(row)

    # -- reading -----------------------------------------------------------------------------------

    async def list_alerts(
        self, tenant: str, which: Filter, limit: int, after: Position | None
    ) -> list[alerts_pb2.Alert]:
        """Returns up to `limit` alerts of the tenant, last seen first, beginning after `after`."""
        return await self.database.read(self._list, tenant, which, limit, after)

    async def get_alert(self, tenant: str, alert_id: str) -> alerts_pb2.Alert:
        """One alert. Raises NotFound (ALERT_UNKNOWN)."""

        def read() -> alerts_pb2.Alert:
            query = sa.select(tables.alerts).where(_A.tenant == tenant, _A.alert_id == alert_id)
            with self.database.reading() as connection:
                found = _alerts(connection, query)
            if not found:
                raise NotFound("ALERT_UNKNOWN", "this tenant has no alert of this alert_id")
            return found[0]

        return await self.database.read(read)

    async def changed_after(
        self, tenant: str, place: int, minimum_severity: int, limit: int
    ) -> list[alerts_pb2.Alert]:
        """Alerts that changed after a place, in that order."""

        def read() -> list[alerts_pb2.Alert]:
            query = (
                sa.select(tables.alerts)
                .where(_A.tenant == tenant, _A.changed > place, _A.severity >= minimum_severity)
                .order_by(_A.changed)
                .limit(limit)
            )
            with self.database.reading() as connection:
                return _alerts(connection, query)

        return await self.database.read(read)

    async def last_changed(self) -> int:
        """The last place given out; 0: none."""

        def read() -> int:
            s = tables.sequences.c
            with self.database.reading() as connection:
                return connection.execute(sa.select(s.n).where(s.name == "changed")).scalar() or 0

        return await self.database.read(read)

    async def work_queue(self, tenant: str, assignee: str, now_ms: int) -> Queue:
        """Alerts that wait for somebody, the greatest expected loss first."""
        return await self.database.read(self._work_queue, tenant, assignee, now_ms)

    def _work_queue(self, tenant: str, assignee: str, now_ms: int) -> Queue:
        waiting = sa.and_(
            _A.tenant == tenant,
            _A.state.in_(_OPEN_STATES),
            # A digest stands for alerts that are in the queue themselves.
            _A.kind != STORM_KIND,
        )
        if assignee:
            waiting = sa.and_(waiting, _A.assignee.in_((assignee, "")))
        query = (
            sa.select(tables.alerts)
            .where(waiting)
            .order_by(_A.expected_loss.desc(), _A.severity.desc(), _A.first_ns, _A.alert_id)
            .limit(MAX_QUEUE)
        )
        day = datetime.datetime.fromtimestamp(now_ms / 1000, datetime.UTC).replace(
            hour=0, minute=0, second=0, microsecond=0
        )
        done = sa.select(sa.func.count()).where(
            _A.tenant == tenant, _A.ended_ms >= round(day.timestamp() * 1000), _A.kind != STORM_KIND
        )
        with self.database.reading() as connection:
            return Queue(
                _alerts(connection, query),
                int(connection.execute(done).scalar_one()),
                int(connection.execute(sa.select(sa.func.count()).where(waiting)).scalar_one()),
            )

    def _list(self, tenant: str, which: Filter, limit: int, after: Position | None) -> list[alerts_pb2.Alert]:
        query = _selected(tenant, which)
        if after is not None:
            query = query.where(sa.tuple_(_A.last_ns, _A.alert_id) < sa.tuple_(after.last_ns, after.alert_id))
        query = query.order_by(_A.last_ns.desc(), _A.alert_id.desc()).limit(limit)
        with self.database.reading() as connection:
            return _alerts(connection, query)

    # -- acts --------------------------------------------------------------------------------------

    async def act(
        self,
        tenant: str,
        act: int,
        *,
        alert_ids: Sequence[str],
        which: Filter | None,
        actor: str,
        assignee: str,
        note: str,
        label: bool,
        preview: bool,
        now_ms: int,
    ) -> Acted:
        """Does something with alerts, or says what it would do.

        Raises FailedPrecondition (SELECTION_TOO_LARGE).
        """

        def run() -> Acted:
            with self.database.begin() as connection:
                take_turns(self.database, connection, {tenant})
                known, unknown = self._select(connection, tenant, alert_ids, which)
                changed = [one for one in known if _would_change(one.alert, act, assignee)]
                if preview:
                    return Acted(len(known), [one.alert for one in changed], unknown)
                told = {one.alert.alert_id: one.told for one in changed}
                ended = {one.alert.alert_id: one.ended_ns // 1_000_000 for one in changed}
                for one in changed:
                    _change(one.alert, act, assignee, ended, now_ms)
                alerts = [one.alert for one in changed]
                write_alerts(self.database, connection, self._rules, alerts, told, ended)
                if act not in (alerts_pb2.ALERT_ACT_ASSIGN, alerts_pb2.ALERT_ACT_REOPEN):
                    ids = [alert.alert_id for alert in alerts]
                    cancel_steps(connection, ids, first=act != alerts_pb2.ALERT_ACT_ACKNOWLEDGE)
                store_incidents.note_act(connection, alerts, act, actor, note, now_ms)
                if label:
                    complete(connection, alerts)
                    confirmed = act == alerts_pb2.ALERT_ACT_RESOLVE
                    new = [
                        one
                        for alert in alerts
                        for one in incidents.labels_of(
                            incidents.decided_events(alert),
                            confirmed=confirmed,
                            reference=alert.alert_id,
                            actor=actor,
                            now_ms=now_ms,
                        )
                    ]
                    put_labels(connection, tenant, new, now_ms)
            return Acted(len(known), alerts, unknown)

        return await self.database.run(run)

    def _select(
        self, connection: sa.Connection, tenant: str, alert_ids: Sequence[str], which: Filter | None
    ) -> tuple[list[Known], list[str]]:
        if alert_ids:
            found = self.by_id(connection, tenant, alert_ids)
            return list(found.values()), [one for one in alert_ids if one not in found]
        assert which is not None
        rows = connection.execute(_selected(tenant, which).limit(MAX_SELECTED + 1)).all()
        if len(rows) > MAX_SELECTED:
            raise FailedPrecondition(
                "SELECTION_TOO_LARGE", f"more than {MAX_SELECTED} alerts are selected: narrow it"
            )
        return [known_of(row) for row in rows], []

    @staticmethod
    def by_id(connection: sa.Connection, tenant: str, alert_ids: Sequence[str]) -> dict[str, Known]:
        """Alerts by their id."""
        found = {}
        for start in range(0, len(alert_ids), _CHUNK):
            chunk = alert_ids[start : start + _CHUNK]
            query = sa.select(tables.alerts).where(_A.tenant == tenant, _A.alert_id.in_(chunk))
            for row in connection.execute(query):
                found[row.alert_id] = known_of(row)
        return found

    # -- snoozes -----------------------------------------------------------------------------------

    async def snooze(self, tenant: str, snooze: alerts_pb2.Snooze) -> alerts_pb2.Snooze:
        """Keeps an entity quiet. What is planned for later of its alerts is called off."""
        snooze.snooze_id = f"snooze_{secrets.token_hex(16)}"
        key = digest(tenant, snooze.entity_kind, snooze.entity)

        def run() -> None:
            with self.database.begin() as connection:
                take_turns(self.database, connection, {tenant})
                connection.execute(
                    sa.insert(tables.snoozes).values(
                        snooze_id=snooze.snooze_id,
                        tenant=tenant,
                        entity_key=key,
                        kind=snooze.kind,
                        until_ms=snooze.until_time.ToMilliseconds(),
                        ended=0,
                        entity_kind=snooze.entity_kind,
                        entity=snooze.entity,
                        body=json_format.MessageToJson(snooze, indent=None),
                    )
                )
                which = [_A.entity_key == key, _A.state == alerts_pb2.ALERT_STATE_OPEN]
                if snooze.kind:
                    which.append(_A.kind == snooze.kind)
                ids = list(connection.execute(sa.select(_A.alert_id).where(*which)).scalars())
                cancel_steps(connection, ids)

        await self.database.run(run)
        return snooze

    async def lift_snooze(self, tenant: str, snooze_id: str, now_ms: int) -> bool:
        """Ends a snooze at the next sweep; returns whether there is such a snooze."""

        def run() -> bool:
            s = tables.snoozes.c
            with self.database.begin() as connection:
                found = connection.execute(
                    sa.select(s.ended).where(s.tenant == tenant, s.snooze_id == snooze_id)
                ).first()
                connection.execute(
                    sa.update(tables.snoozes)
                    .where(s.tenant == tenant, s.snooze_id == snooze_id, s.ended == 0, s.until_ms > now_ms)
                    .values(until_ms=now_ms)
                )
            return found is not None

        return await self.database.run(run)

    async def list_snoozes(self, tenant: str, now_ms: int) -> list[alerts_pb2.Snooze]:
        """Snoozes that hold, the one that ends first at the front."""

        def read() -> list[alerts_pb2.Snooze]:
            s = tables.snoozes.c
            query = (
                sa.select(s.body)
                .where(s.tenant == tenant, s.ended == 0, s.until_ms > now_ms)
                .order_by(s.until_ms, s.snooze_id)
                .limit(1_000)
            )
            with self.database.reading() as connection:
                return [
                    json_format.Parse(body, alerts_pb2.Snooze())
                    for body in connection.execute(query).scalars()
                ]

        return await self.database.read(read)

    # -- what time brings ----------------------------------------------------------------------------

    async def sweep(self, now_ms: int) -> int:
        """Tells what waited for the end of a snooze, and marks incidents that are late; returns how many of both."""
        if not await self.database.read(self._anything_due, now_ms):
            return 0
        return await self.database.run(self._sweep, now_ms)

    def _anything_due(self, now_ms: int) -> bool:
        s = tables.snoozes.c
        with self.database.reading() as connection:
            query = sa.select(s.snooze_id).where(s.ended == 0, s.until_ms <= now_ms).limit(1)
            if connection.execute(query).first() is not None:
                return True
            return store_incidents.any_late(connection, now_ms)

    def _sweep(self, now_ms: int) -> int:
        s = tables.snoozes.c
        with self.database.begin() as connection:
            over = connection.execute(
                sa.select(s.snooze_id, s.tenant, s.entity_key, s.kind)
                .where(s.ended == 0, s.until_ms <= now_ms)
                .order_by(s.tenant)
                .limit(100)
            ).all()
            late = store_incidents.late(connection, now_ms)
            take_turns(self.database, connection, {row.tenant for row in over} | {one.tenant for one in late})
            for row in over:
                connection.execute(
                    sa.update(tables.snoozes).where(s.snooze_id == row.snooze_id).values(ended=1)
                )
                self._tell_waiting(connection, row, now_ms)
            messages = store_incidents.mark_late(connection, late, now_ms)
            if messages:
                self._take(connection, messages, now_ms)
        return len(over) + len(late)

    def _tell_waiting(self, connection: sa.Connection, snooze: Any, now_ms: int) -> None:
        which = [
            _A.entity_key == snooze.entity_key,
            _A.silence == alerts_pb2.SILENCE_SNOOZED,
            _A.state == alerts_pb2.ALERT_STATE_OPEN,
            _A.told < _A.severity,
        ]
        if snooze.kind:
            which.append(_A.kind == snooze.kind)
        known = [known_of(row) for row in connection.execute(sa.select(tables.alerts).where(*which))]
        changed = {one.alert.alert_id: one.alert for one in known}
        told = {one.alert.alert_id: one.told for one in known}
        self._settle(
            connection,
            changed,
            [telling(one.alert, SNOOZE_ENDED, "") for one in known],
            told,
            {},
            now_ms,
        )

    # -- the outbox ----------------------------------------------------------------------------------

    async def claim_labels(self, now_ms: int, lease_ms: int) -> tuple[int, int, bytes] | None:
        """The next labels to hand to ingest: row, tries before this one, request; None where nothing is due."""

        def run() -> tuple[int, int, bytes] | None:
            o = tables.outbox.c
            due = sa.select(o.id).where(o.due_ms <= now_ms).order_by(o.id).limit(1)
            with self.database.reading() as connection:
                if connection.execute(due).first() is None:
                    return None
            if self.database.dialect == "postgresql":
                due = due.with_for_update(skip_locked=True)
            with self.database.begin() as connection:
                row = connection.execute(
                    sa.update(tables.outbox)
                    .where(o.id.in_(due.scalar_subquery()))
                    .values(due_ms=now_ms + lease_ms, attempts=o.attempts + 1)
                    .returning(o.id, o.attempts, o.body)
                ).first()
                return None if row is None else (row[0], row[1] - 1, bytes(row[2]))

        return await self.database.run(run)

    async def labels_done(self, row_id: int) -> None:
        """Labels reached ingest."""
        await self.database.run(self._outbox, sa.delete(tables.outbox).where(tables.outbox.c.id == row_id))

    async def labels_later(self, row_id: int, due_ms: int) -> None:
        """Labels did not reach ingest."""
        await self.database.run(
            self._outbox, sa.update(tables.outbox).where(tables.outbox.c.id == row_id).values(due_ms=due_ms)
        )

    def _outbox(self, statement: Any) -> None:
        with self.database.begin() as connection:
            connection.execute(statement)


class _Storm:
    """How many tellings of a tenant went out in the running minute."""

    def __init__(self, window_ms: int, told: int) -> None:
        self.window_ms = window_ms
        self.told = told

    def write(self, connection: sa.Connection, tenant: str) -> None:
        """Keeps it."""
        connection.execute(
            sa.text(
                "INSERT INTO storms (tenant, window_ms, told) VALUES (:tenant, :window, :told) "
                "ON CONFLICT (tenant) DO UPDATE SET window_ms = excluded.window_ms, told = excluded.told"
            ),
            {"tenant": tenant, "window": self.window_ms, "told": self.told},
        )


def put_labels(connection: sa.Connection, tenant: str, new: Sequence[labels_pb2.Label], now_ms: int) -> None:
    """Puts labels into the outbox, as calls that ingest takes."""
    for start in range(0, len(new), 1_000):
        request = labels_pb2.RecordLabelsRequest(tenant=tenant, labels=new[start : start + 1_000])
        connection.execute(
            sa.insert(tables.outbox).values(
                tenant=tenant, due_ms=now_ms, attempts=0, body=request.SerializeToString()
            )
        )


def _about(sources: Sequence[Source], alert: alerts_pb2.Alert) -> list[Source]:
    ring, entity = ring_of(alert), entity_key(alert)
    return [one for one in sources if one.entity == entity or (ring and one.ring_id == ring)]


def _selected(tenant: str, which: Filter) -> Any:
    query = sa.select(tables.alerts).where(_A.tenant == tenant)
    if which.minimum_severity:
        query = query.where(_A.severity >= which.minimum_severity)
    if which.states:
        query = query.where(_A.state.in_(which.states))
    if which.kind:
        query = query.where(_A.kind == which.kind)
    if which.assignee:
        query = query.where(_A.assignee == which.assignee)
    if which.subject:
        s = tables.subjects.c
        ids = sa.select(s.alert_id).where(
            s.tenant == tenant, s.kind == which.subject_kind, s.value == which.subject
        )
        query = query.where(_A.alert_id.in_(ids))
    return query


def _alerts(connection: sa.Connection, query: Any) -> list[alerts_pb2.Alert]:
    found = [alert_of(row) for row in connection.execute(query)]
    complete(connection, found)
    return found


def _would_change(alert: alerts_pb2.Alert, act: int, assignee: str) -> bool:
    if act == alerts_pb2.ALERT_ACT_ASSIGN:
        return alert.assignee != assignee
    if act == alerts_pb2.ALERT_ACT_ACKNOWLEDGE:
        return alert.state == alerts_pb2.ALERT_STATE_OPEN
    if act == alerts_pb2.ALERT_ACT_REOPEN:
        return alert.state in ENDED
    return alert.state != _STATES[act]


_STATES: dict[int, alerts_pb2.AlertState] = {
    alerts_pb2.ALERT_ACT_ACKNOWLEDGE: alerts_pb2.ALERT_STATE_ACKNOWLEDGED,
    alerts_pb2.ALERT_ACT_RESOLVE: alerts_pb2.ALERT_STATE_RESOLVED,
    alerts_pb2.ALERT_ACT_FALSE_ALARM: alerts_pb2.ALERT_STATE_FALSE_ALARM,
    alerts_pb2.ALERT_ACT_REOPEN: alerts_pb2.ALERT_STATE_OPEN,
}


def _change(alert: alerts_pb2.Alert, act: int, assignee: str, ended: dict[str, int], now_ms: int) -> None:
    if act == alerts_pb2.ALERT_ACT_ASSIGN:
        alert.assignee = assignee
        return
    alert.state = _STATES[act]
    ended[alert.alert_id] = now_ms if alert.state in ENDED else 0
