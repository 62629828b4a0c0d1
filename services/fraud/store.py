"""Rings in fraud's database: an id is written before it is answered, and stays through growth and merges."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa

from services.common.clock import Clock
from services.common.db import Database
from services.common.errors import NotFound
from services.fraud.lineage import Assignment, assign
from services.fraud.neighbourhood import KINDS
from services.fraud.parameters import RingParameters
from services.fraud.rings import Candidate
from usher.fraud.v1 import fraud_pb2

OPEN = fraud_pb2.RING_STATUS_OPEN
CONFIRMED = fraud_pb2.RING_STATUS_CONFIRMED
DISMISSED = fraud_pb2.RING_STATUS_DISMISSED
LISTED_MEMBERS = 1_000
LISTED_RESOURCES = 20
_LINEAGE = 100
"""Merges that are followed."""
_IN_CLAUSE = 500

T = TypeVar("T")

metadata = sa.MetaData()
RINGS = sa.Table(
    "rings",
    metadata,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("ring_id", sa.String, primary_key=True),
    sa.Column("score_e6", sa.Integer),
    sa.Column("member_count", sa.Integer),
    sa.Column("card", sa.LargeBinary),
    sa.Column("merged_into", sa.String),
    sa.Column("created_ms", sa.BigInteger),
    sa.Column("updated_ms", sa.BigInteger),
    sa.Column("status", sa.Integer),
    sa.Column("decided_by", sa.String),
    sa.Column("decided_ms", sa.BigInteger),
    sa.Column("note", sa.String),
)
MEMBERS = sa.Table(
    "ring_members",
    metadata,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("account", sa.String, primary_key=True),
    sa.Column("ring_id", sa.String),
)
VERDICTS = sa.Table(
    "ring_verdicts",
    metadata,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("account", sa.String, primary_key=True),
    sa.Column("ring_id", sa.String),
    sa.Column("status", sa.Integer),
)
KEY = sa.Table(
    "fingerprint_key",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.LargeBinary),
)


_CARD = (
    RINGS.c.ring_id,
    RINGS.c.card,
    RINGS.c.status,
    RINGS.c.decided_by,
    RINGS.c.decided_ms,
    RINGS.c.note,
)


class Recorded(NamedTuple):
    """Rings of a component as they stand."""

    assignments: list[Assignment]
    statuses: dict[str, int]
    """Ring id -> usher.fraud.v1.RingStatus."""
    confirmed: frozenset[str]
    """Accounts of the component that were in a ring when it was confirmed."""


def _status(assignment: Assignment, verdicts: dict[str, tuple[str, int]]) -> int:
    """Confirmed where a member was confirmed, dismissed where half of the members or more were, else open."""
    found = [verdicts[member][1] for member in assignment.candidate.members if member in verdicts]
    if CONFIRMED in found:
        return CONFIRMED
    dismissed = found.count(DISMISSED)
    return DISMISSED if dismissed and 2 * dismissed >= len(assignment.candidate.members) else OPEN


class RingStore:
    """Rings on SQLite or PostgreSQL. Its methods block: call them through `Database.run` and `Database.read`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._key = b""

    def open(self) -> None:
        """Reads the key of fingerprints; makes it at the first start."""
        with self._database.begin() as connection:
            self._lock(connection, "")
            key = connection.execute(sa.select(KEY.c.key)).scalar()
            if key is None:
                key = secrets.token_bytes(32)
                connection.execute(KEY.insert().values(id=1, key=key))
        self._key = bytes(key)

    def record(
        self,
        tenant: str,
        accounts: Sequence[str],
        candidates: Sequence[Candidate],
        parameters: RingParameters,
    ) -> Recorded:
        """Gives the rings found among `accounts` (a whole component) their ids, in one transaction.

        A group half of whose members or more were dismissed together is that dismissed ring again.

        Accounts that are in no ring any more leave theirs; a ring without members keeps its row, with score 0, and is
        listed no more. Idempotent.
        """
        now = self._clock.now_ms()
        with self._database.begin() as connection:
            self._lock(connection, tenant)
            established = self._established(connection, tenant, accounts)
            verdicts = self._verdicts(connection, tenant, accounts)
            remembered = {account: ring_id for account, (ring_id, _) in verdicts.items()} | established
            taken = self._taken(connection, tenant, candidates)
            assignments = assign(tenant, candidates, remembered, taken)
            current = {
                account: assignment.ring_id
                for assignment in assignments
                for account in assignment.candidate.members
            }
            left = [account for account in established if account not in current]
            moved = [
                {"tenant": tenant, "account": account, "ring_id": ring_id}
                for account, ring_id in current.items()
                if established.get(account) != ring_id
            ]
            outdated = left + [row["account"] for row in moved if row["account"] in established]
            for part in _parts(outdated):
                connection.execute(
                    MEMBERS.delete().where(MEMBERS.c.tenant == tenant, MEMBERS.c.account.in_(part))
                )
            for rows in _parts(moved):
                connection.execute(MEMBERS.insert().values(list(rows)))
            statuses = {}
            for assignment in assignments:
                status = _status(assignment, verdicts)
                statuses[assignment.ring_id] = status
                self._put(connection, tenant, assignment, parameters, now, status)
                for merged in assignment.merged:
                    connection.execute(
                        RINGS.update()
                        .where(RINGS.c.tenant == tenant, RINGS.c.ring_id == merged)
                        .values(merged_into=assignment.ring_id, updated_ms=now)
                    )
            standing = {assignment.ring_id for assignment in assignments}
            merged_ids = {ring_id for assignment in assignments for ring_id in assignment.merged}
            for ring_id in sorted(set(established.values()) - standing - merged_ids):
                connection.execute(
                    RINGS.update()
                    .where(RINGS.c.tenant == tenant, RINGS.c.ring_id == ring_id)
                    .values(score_e6=0, member_count=0, updated_ms=now)
                )
        confirmed = frozenset(account for account, (_, status) in verdicts.items() if status == CONFIRMED)
        return Recorded(assignments, statuses, confirmed)

    def page(
        self, tenant: str, minimum_e6: int, after: tuple[int, str] | None, size: int, status: int = 0
    ) -> list[tuple[int, fraud_pb2.Ring]]:
        """Rings that stand, with their score in millionths, most risky first, after (score, ring id).

        Args:
            status: only rings of this usher.fraud.v1.RingStatus; 0: open and confirmed ones.
        """
        r = RINGS.c
        query = sa.select(r.score_e6, *_CARD).where(
            r.tenant == tenant, r.merged_into == "", r.member_count > 0, r.score_e6 >= minimum_e6
        )
        query = query.where(r.status == status) if status else query.where(r.status != DISMISSED)
        if after is not None:
            score_e6, last = after
            query = query.where(
                sa.or_(r.score_e6 < score_e6, sa.and_(r.score_e6 == score_e6, r.ring_id > last))
            )
        query = query.order_by(r.score_e6.desc(), r.ring_id).limit(size)
        with self._database.reading() as connection:
            return [
                (score, self._ring(connection, tenant, row))
                for score, *row in connection.execute(query).all()
            ]

    def ring(self, tenant: str, ring_id: str) -> fraud_pb2.Ring:
        """One ring; of one that ended in another the other. Raises NotFound (RING_UNKNOWN)."""
        with self._database.reading() as connection:
            return self._ring(connection, tenant, self._standing(connection, tenant, ring_id))

    def set_status(
        self, tenant: str, ring_id: str, status: int, decided_by: str, note: str
    ) -> fraud_pb2.Ring:
        """Sets what analysts found, and remembers the members that it was found of. Raises NotFound (RING_UNKNOWN)."""
        now = self._clock.now_ms()
        with self._database.begin() as connection:
            self._lock(connection, tenant)
            row = self._standing(connection, tenant, ring_id)
            ring_id = row[0]
            connection.execute(
                RINGS.update()
                .where(RINGS.c.tenant == tenant, RINGS.c.ring_id == ring_id)
                .values(status=status, decided_by=decided_by, decided_ms=now, note=note, updated_ms=now)
            )
            v = VERDICTS.c
            connection.execute(VERDICTS.delete().where(v.tenant == tenant, v.ring_id == ring_id))
            if status != OPEN:
                m = MEMBERS.c
                query = sa.select(m.account).where(m.tenant == tenant, m.ring_id == ring_id)
                members = list(connection.execute(query).scalars())
                for part in _parts(members):
                    connection.execute(VERDICTS.delete().where(v.tenant == tenant, v.account.in_(part)))
                    rows = [
                        {"tenant": tenant, "account": account, "ring_id": ring_id, "status": status}
                        for account in part
                    ]
                    connection.execute(VERDICTS.insert().values(rows))
            return self._ring(connection, tenant, self._standing(connection, tenant, ring_id))

    def _standing(self, connection: sa.Connection, tenant: str, ring_id: str) -> Any:
        for _ in range(_LINEAGE):
            row = connection.execute(
                sa.select(*_CARD, RINGS.c.merged_into).where(
                    RINGS.c.tenant == tenant, RINGS.c.ring_id == ring_id
                )
            ).one_or_none()
            if row is None:
                break
            if not row.merged_into:
                return row[:-1]
            ring_id = row.merged_into
        raise NotFound("RING_UNKNOWN", "there is no such ring")

    def _ring(self, connection: sa.Connection, tenant: str, row: Any) -> fraud_pb2.Ring:
        ring_id, card, status, decided_by, decided_ms, note = row
        ring = fraud_pb2.Ring.FromString(bytes(card))
        ring.status = status
        if decided_ms:
            ring.decided_by, ring.note = decided_by, note
            ring.decided_time.FromMilliseconds(decided_ms)
        members = (
            sa.select(MEMBERS.c.account)
            .where(MEMBERS.c.tenant == tenant, MEMBERS.c.ring_id == ring_id)
            .order_by(MEMBERS.c.account)
            .limit(LISTED_MEMBERS)
        )
        ring.members.extend(connection.execute(members).scalars())
        return ring

    def ring_of(self, tenant: str, account: str) -> tuple[str, int, float, fraud_pb2.Ring] | None:
        """Id, members, score and card of the ring an account is in; None where it is in none."""
        query = (
            sa.select(RINGS.c.ring_id, RINGS.c.member_count, RINGS.c.score_e6, RINGS.c.card)
            .join(MEMBERS, sa.and_(MEMBERS.c.tenant == RINGS.c.tenant, MEMBERS.c.ring_id == RINGS.c.ring_id))
            .where(MEMBERS.c.tenant == tenant, MEMBERS.c.account == account)
        )
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        return row[0], row[1], row[2] / 1_000_000, fraud_pb2.Ring.FromString(bytes(row[3]))

    def members(self) -> list[tuple[str, str]]:
        """(tenant, account) of every account that is in a ring."""
        with self._database.reading() as connection:
            return [
                (row[0], row[1]) for row in connection.execute(sa.select(MEMBERS.c.tenant, MEMBERS.c.account))
            ]

    def forget(self, tenant: str, account: str) -> int:
        """Takes an account out of its ring, which stays with one member less; returns rows taken out."""
        m = MEMBERS.c
        with self._database.begin() as connection:
            self._lock(connection, tenant)
            where = (m.tenant == tenant, m.account == account)
            v = VERDICTS.c
            verdicts = connection.execute(
                VERDICTS.delete().where(v.tenant == tenant, v.account == account)
            ).rowcount
            ring_id = connection.execute(sa.select(m.ring_id).where(*where)).scalar()
            if ring_id is None:
                return int(verdicts)
            connection.execute(MEMBERS.delete().where(*where))
            ring = (RINGS.c.tenant == tenant, RINGS.c.ring_id == ring_id)
            card = connection.execute(sa.select(RINGS.c.card).where(*ring)).scalar()
            if card is not None:
                message = fraud_pb2.Ring.FromString(bytes(card))
                message.member_count = max(0, message.member_count - 1)
                values: dict[str, object] = {
                    "member_count": message.member_count,
                    "card": message.SerializeToString(),
                    "updated_ms": self._clock.now_ms(),
                }
                if not message.member_count:
                    values["score_e6"] = 0
                connection.execute(RINGS.update().where(*ring).values(values))
        return 1

    def fingerprint(self, tenant: str, kind: str, resource: str) -> str:
        """Keyed hash of a resource: 16 hexadecimal digits."""
        text = "\0".join((tenant, kind, resource)).encode()
        return hashlib.blake2b(text, key=self._key, digest_size=8).hexdigest()

    def _lock(self, connection: sa.Connection, tenant: str) -> None:
        # SQLite's transactions begin with the write lock. Beyond one process two could give one group two ids.
        if self._database.dialect == "postgresql":
            digest = hashlib.sha256(f"usher fraud rings {tenant}".encode()).digest()
            number = int.from_bytes(digest[:8], "big", signed=True)
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})

    def _established(self, connection: sa.Connection, tenant: str, accounts: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for part in _parts(list(accounts)):
            rows = connection.execute(
                sa.select(MEMBERS.c.account, MEMBERS.c.ring_id).where(
                    MEMBERS.c.tenant == tenant, MEMBERS.c.account.in_(part)
                )
            )
            found.update((account, ring_id) for account, ring_id in rows)
        return found

    def _verdicts(
        self, connection: sa.Connection, tenant: str, accounts: Sequence[str]
    ) -> dict[str, tuple[str, int]]:
        """Account -> (ring, status) of the verdict that it was part of."""
        v = VERDICTS.c
        found: dict[str, tuple[str, int]] = {}
        for part in _parts(list(accounts)):
            query = sa.select(v.account, v.ring_id, v.status).where(v.tenant == tenant, v.account.in_(part))
            found.update(
                (account, (ring_id, status)) for account, ring_id, status in connection.execute(query)
            )
        return found

    def _taken(self, connection: sa.Connection, tenant: str, candidates: Sequence[Candidate]) -> set[str]:
        # A new id depends on members and time alone: the same group may have stood before.
        ids = [assignment.ring_id for assignment in assign(tenant, candidates, {})]
        taken: set[str] = set()
        for part in _parts(ids):
            query = sa.select(RINGS.c.ring_id).where(RINGS.c.tenant == tenant, RINGS.c.ring_id.in_(part))
            taken.update(connection.execute(query).scalars())
        return taken

    def _put(
        self,
        connection: sa.Connection,
        tenant: str,
        assignment: Assignment,
        parameters: RingParameters,
        now: int,
        status: int,
    ) -> None:
        candidate = assignment.candidate
        values = {
            "score_e6": round(candidate.score * 1_000_000),
            "member_count": len(candidate.members),
            "card": self._card(tenant, assignment, parameters).SerializeToString(),
            "updated_ms": now,
            "merged_into": "",
            "status": status,
        }
        where = (RINGS.c.tenant == tenant, RINGS.c.ring_id == assignment.ring_id)
        if connection.execute(RINGS.update().where(*where).values(values)).rowcount == 0:
            connection.execute(
                RINGS.insert().values(tenant=tenant, ring_id=assignment.ring_id, created_ms=now, **values)
            )

    def _card(self, tenant: str, assignment: Assignment, parameters: RingParameters) -> fraud_pb2.Ring:
        return self.card(tenant, assignment.candidate, parameters, assignment.ring_id)

    def card(
        self, tenant: str, candidate: Candidate, parameters: RingParameters, ring_id: str = ""
    ) -> fraud_pb2.Ring:
        """A group as a message, without its members."""
        ring = fraud_pb2.Ring(
            ring_id=ring_id,
            member_count=len(candidate.members),
            score=candidate.score,
            confidence=candidate.confidence,
            flagged=not candidate.why_not and len(candidate.members) >= parameters.flagged_accounts,
            innocent_explanations=candidate.innocent,
            why_not=candidate.why_not,
        )
        ring.first_seen_time.FromMilliseconds(candidate.first_seen_ms)
        ring.last_seen_time.FromMilliseconds(candidate.last_seen_ms)
        for finding in candidate.findings:
            ring.findings.add(code=finding.code, points=finding.points, values=finding.values)
        for shared in candidate.shared[:LISTED_RESOURCES]:
            ring.shared.add(
                kind=KINDS[shared.kind],
                fingerprint=self.fingerprint(tenant, shared.kind, shared.name),
                accounts=shared.members,
            )
        return ring


def _parts(items: Sequence[T]) -> list[Sequence[T]]:
    return [items[start : start + _IN_CLAUSE] for start in range(0, len(items), _IN_CLAUSE)]
