"""Rings in fraud's database: an id is written before it is answered, and stays through growth and merges."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import TypeVar

import sqlalchemy as sa

from services.common.clock import Clock
from services.common.db import Database
from services.fraud.memory import DEVICE
from services.fraud.parameters import RingParameters
from services.fraud.rings import Assignment, Candidate, assign
from usher.fraud.v1 import fraud_pb2

LISTED_MEMBERS = 1_000
LISTED_RESOURCES = 20
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
)
MEMBERS = sa.Table(
    "ring_members",
    metadata,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("account", sa.String, primary_key=True),
    sa.Column("ring_id", sa.String),
)
KEY = sa.Table(
    "fingerprint_key",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.LargeBinary),
)


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
    ) -> list[Assignment]:
        """Gives the rings found among `accounts` (a whole component) their ids, in one transaction.

        Accounts that are in no ring any more leave theirs; a ring without members keeps its row, with score 0, and is
        listed no more. Idempotent.
        """
        now = self._clock.now_ms()
        with self._database.begin() as connection:
            self._lock(connection, tenant)
            established = self._established(connection, tenant, accounts)
            taken = self._taken(connection, tenant, candidates)
            assignments = assign(tenant, candidates, established, taken)
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
            for assignment in assignments:
                self._put(connection, tenant, assignment, parameters, now)
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
        return assignments

    def page(
        self, tenant: str, minimum_e6: int, after: tuple[int, str] | None, size: int
    ) -> list[tuple[int, fraud_pb2.Ring]]:
        """Rings that stand, with their score in millionths, most risky first, after (score, ring id)."""
        query = sa.select(RINGS.c.ring_id, RINGS.c.score_e6, RINGS.c.card).where(
            RINGS.c.tenant == tenant,
            RINGS.c.merged_into == "",
            RINGS.c.member_count > 0,
            RINGS.c.score_e6 >= minimum_e6,
        )
        if after is not None:
            score_e6, last = after
            query = query.where(
                sa.or_(
                    RINGS.c.score_e6 < score_e6,
                    sa.and_(RINGS.c.score_e6 == score_e6, RINGS.c.ring_id > last),
                )
            )
        query = query.order_by(RINGS.c.score_e6.desc(), RINGS.c.ring_id).limit(size)
        rings = []
        with self._database.reading() as connection:
            for ring_id, score, card in connection.execute(query).all():
                ring = fraud_pb2.Ring.FromString(bytes(card))
                members = (
                    sa.select(MEMBERS.c.account)
                    .where(MEMBERS.c.tenant == tenant, MEMBERS.c.ring_id == ring_id)
                    .order_by(MEMBERS.c.account)
                    .limit(LISTED_MEMBERS)
                )
                ring.members.extend(connection.execute(members).scalars())
                rings.append((score, ring))
        return rings

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
            ring_id = connection.execute(sa.select(m.ring_id).where(*where)).scalar()
            if ring_id is None:
                return 0
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
    ) -> None:
        candidate = assignment.candidate
        values = {
            "score_e6": round(candidate.score * 1_000_000),
            "member_count": len(candidate.members),
            "card": self._card(tenant, assignment, parameters).SerializeToString(),
            "updated_ms": now,
            "merged_into": "",
        }
        where = (RINGS.c.tenant == tenant, RINGS.c.ring_id == assignment.ring_id)
        if connection.execute(RINGS.update().where(*where).values(values)).rowcount == 0:
            connection.execute(
                RINGS.insert().values(tenant=tenant, ring_id=assignment.ring_id, created_ms=now, **values)
            )

    def _card(self, tenant: str, assignment: Assignment, parameters: RingParameters) -> fraud_pb2.Ring:
        candidate = assignment.candidate
        ring = fraud_pb2.Ring(
            ring_id=assignment.ring_id,
            member_count=len(candidate.members),
            score=candidate.score,
            flagged=len(candidate.members) >= parameters.flagged_accounts,
            innocent_explanations=candidate.innocent,
        )
        ring.first_seen_time.FromMilliseconds(candidate.first_seen_ms)
        ring.last_seen_time.FromMilliseconds(candidate.last_seen_ms)
        for kind, resource, accounts in candidate.shared[:LISTED_RESOURCES]:
            ring.shared.add(
                kind=(fraud_pb2.RESOURCE_KIND_DEVICE if kind == DEVICE else fraud_pb2.RESOURCE_KIND_PAYMENT),
                fingerprint=self.fingerprint(tenant, kind, resource),
                accounts=accounts,
            )
        return ring


def _parts(items: Sequence[T]) -> list[Sequence[T]]:
    return [items[start : start + _IN_CLAUSE] for start in range(0, len(items), _IN_CLAUSE)]
