"""What compliance itself keeps of one subject: consents, requests, legal holds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from google.protobuf.json_format import MessageToDict

from services.common.clock import utc_now_ms
from services.common.erased import Entry, Erased, ErasedRows, State, subject_of
from services.common.subject_data import NothingKept, Rows, Subject
from services.compliance import requests as rules
from services.compliance.store_consents import ConsentStore, consents
from services.compliance.store_records import TABLES, RecordStore
from usher.compliance.v1 import consent_pb2
from usher.compliance.v1.records_pb2 import SubjectRequest


class ComplianceSubjects(NothingKept):
    """The `SubjectStore` of compliance.

    Closed requests lose the subject's name and words and stay under the keyed hash, as proof that they were answered;
    open ones keep the name until they are closed. Consents lose their content; their chain of digests stays.
    """

    def __init__(
        self,
        store: RecordStore,
        consents: ConsentStore,
        forget: Callable[[str, str], None],
        rows: ErasedRows,
        key: bytes,
    ) -> None:
        """`forget` drops what the process remembers of a subject (tenant, user id) beside its rows."""
        self._store = store
        self.consents = consents
        self._forget = forget
        self._database = store.database
        self._rows = rows
        self._key = key

    async def export(self, subject: Subject, profile: bytes) -> AsyncIterator[Rows | bytes]:
        found = await self._database.read(self.consents_of, subject)
        if found:
            yield "consents", found
        key = subject_of(self._key, subject.tenant, subject.user_id)
        requests = await self._database.read(
            lambda: self._store.list_requests(subject.tenant, None, 1_000, subject=key, closed=True)
        )
        if requests:
            yield "requests", [_told(one) for one in requests]

    def consents_of(self, subject: Subject) -> list[dict[str, Any]]:
        """The ledger's records of a subject, oldest first."""
        c = consents.c
        query = sa.select(c.recorded_ms, c.receipt_id, c.digest, c.content).where(
            c.tenant == subject.tenant, c.user_id == subject.user_id
        )
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(c.seq)).all()
        found = []
        for row in rows:
            record = consent_pb2.ConsentRecord.FromString(bytes(row.content))
            found.append(
                {
                    "recorded_ms": row.recorded_ms,
                    "receipt_id": row.receipt_id,
                    "digest": bytes(row.digest).hex(),
                    "record": MessageToDict(record, preserving_proto_field_name=True),
                }
            )
        return found

    async def erase(self, subject: Subject, key: bytes, entry: Entry | None) -> Erased:
        done = await self._database.run(self._erase, subject)
        self._forget(subject.tenant, subject.user_id)
        if entry is not None:
            await self._database.run(self._rows.record, key, [entry])
        return Erased(done)

    def _erase(self, subject: Subject) -> dict[str, int]:
        done = {"consents": 0, "requests": 0, "holds": 0}
        if not subject.keeps_all("consents"):
            with self._database.begin() as connection:
                done["consents"] = self.consents.erase_within(
                    connection, subject.tenant, subject.user_id, utc_now_ms()
                )
        key = subject_of(self._key, subject.tenant, subject.user_id)
        for store, message in list(self._store.named(subject.tenant, key)):
            if store == "holds":
                if message.HasField("released_time"):
                    message.user_id = ""
                    self._store.rewrite_hold(message)
                    done["holds"] += 1
            elif message.state in rules.CLOSED:
                self._store.change_request(message.tenant, message.request_id, _anonymised)
                done["requests"] += 1
        return {store: number for store, number in done.items() if number}

    def scrub(self, user_id: str) -> None:
        """Clears what the erased rows left behind in files. Blocks."""
        self._database.scrub([user_id.encode()], TABLES)

    async def remaining(self, subject: Subject) -> Mapping[str, int]:
        return await self._database.read(self._remaining, subject)

    def _remaining(self, subject: Subject) -> dict[str, int]:
        c = consents.c
        query = sa.select(sa.func.count()).where(c.tenant == subject.tenant, c.user_id == subject.user_id)
        with self._database.reading() as connection:
            left = {"consents": int(connection.execute(query).scalar_one())}
        if subject.keeps_all("consents"):
            left = {}
        key = subject_of(self._key, subject.tenant, subject.user_id)
        for store, message in self._store.named(subject.tenant, key):
            closed = message.HasField("released_time") if store == "holds" else message.state in rules.CLOSED
            if closed:
                left[store] = left.get(store, 0) + 1
        return left

    async def erasure_state(self) -> State:
        return await self._database.read(self._rows.state)

    async def reapply(self, key: bytes, entries: Sequence[Entry], complete: bool) -> Mapping[str, int]:
        done: dict[str, int] = {}
        if entries:
            wanted = {entry.subject for entry in entries}
            for tenant, user_id in await self._database.read(self._people):
                if subject_of(key, tenant, user_id) in wanted:
                    found = await self.erase(Subject(tenant, user_id), key, None)
                    await self._database.run(self.scrub, user_id)
                    for store, number in found.erased.items():
                        done[store] = done.get(store, 0) + number
        await self._database.run(lambda: self._rows.record(key, entries, complete=complete))
        return done

    def _people(self) -> list[tuple[str, str]]:
        c = consents.c
        with self._database.reading() as connection:
            query = sa.select(c.tenant, c.user_id).where(c.user_id.is_not(None)).distinct()
            people = {(row[0], row[1]) for row in connection.execute(query)}
        people.update(self._store.people())
        return sorted(people)


def _anonymised(request: SubjectRequest) -> int:
    rules.anonymise(request)
    return 0


def _told(request: SubjectRequest) -> dict[str, Any]:
    """A request as its subject may see it: without who handled it."""
    copy = SubjectRequest()
    copy.CopyFrom(request)
    for step in copy.steps:
        step.actor = ""
    copy.ClearField("certificate")
    return MessageToDict(copy, preserving_proto_field_name=True)
