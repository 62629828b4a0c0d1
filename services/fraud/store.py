"""Rings in fraud's database: an id is written before it is answered, and stays through growth and merges."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa

from services.common.clock import Clock
from services.common.db import Database
from services.common.errors import NotFound
from services.fraud.lineage import Assignment, assign, beside
from services.fraud.neighbourhood import KINDS
from services.fraud.parameters import RingParameters
from services.fraud.rings import Candidate
from services.fraud.signals import RingOfAccount
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
    sa.Column("swept_ms", sa.BigInteger),
)
MEMBERS = sa.Table(
    "ring_members",
    metadata,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("account", sa.String, primary_key=True),
    sa.Column("ring_id", sa.String),
    sa.Column("centrality_e3", sa.Integer),
)
VERDICTS = sa.Table(
    "ring_verdicts",
    metadata,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("account", sa.String, primary_key=True),
    sa.Column("ring_id", sa.String),
    sa.Column("status", sa.Integer),
)
REVISIONS = sa.Table(
    "ring_revisions",
    metadata,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("verdicts", sa.BigInteger),
    sa.Column("sweeps", sa.BigInteger),
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
    kept: dict[str, RingOfAccount]
    """Those of the accounts that stay in a ring which a sweep found and this look could not judge."""


class Revision(NamedTuple):
    """Counters of what changed beside the incremental search."""

    verdicts: int
    sweeps: int


class _Held(NamedTuple):
    """A ring that a sweep found and a smaller look cannot judge."""

    members: frozenset[str]
    centralities: dict[str, float]
    swept_ms: int
    score: float
    status: int
    card: bytes


def _centralities(candidate: Candidate) -> Iterator[tuple[str, float]]:
    return zip(candidate.members, candidate.centrality or (1.0,) * len(candidate.members), strict=True)


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
        *,
        swept_ms: int = 0,
    ) -> Recorded:
        """Gives the rings found among `accounts` (a whole component) their ids, in one transaction.

        A group half of whose members or more were dismissed together is that dismissed ring again.

        Accounts that are in no ring any more leave theirs; a ring without members keeps its row, with score 0, and is
        listed no more. Idempotent.

        A ring that a sweep found is judged by the incremental search only where that sees all its members, and so few
        accounts that it looks at them as a sweep does (`RingParameters.largest`). Otherwise the ring may grow, and stays
        else as it is until the next sweep (see `lineage.beside`).

        Args:
            swept_ms: of a sweep the time at which it began to read, Unix milliseconds; 0: this is none. What was recorded
                since and it cannot have seen stays: rings of which it found nothing, and members.
        """
        now = self._clock.now_ms()
        with self._database.begin() as connection:
            self._lock(connection, tenant)
            established = self._established(connection, tenant, accounts)
            verdicts = self._verdicts(connection, tenant, accounts)
            held: dict[str, _Held] = {}
            if not swept_ms:
                held = self._held(connection, tenant, established, len(accounts), parameters.largest)
            look = beside(candidates, established, {ring_id: ring.members for ring_id, ring in held.items()})
            if swept_ms:
                fresh = self._recorded_since(connection, tenant, established, candidates, swept_ms)
                look = look._replace(untouched=fresh)
            remembered = {account: ring_id for account, (ring_id, _) in verdicts.items()} | established
            taken = self._taken(connection, tenant, look.candidates)
            assignments = assign(tenant, look.candidates, remembered, taken)
            unseen: dict[str, int] = {}
            if swept_ms:
                ring_ids = [assignment.ring_id for assignment in assignments]
                unseen = self._unseen(connection, tenant, ring_ids, frozenset(accounts), swept_ms)
            current = {
                account: (assignment.ring_id, central)
                for assignment in assignments
                for account, central in _centralities(assignment.candidate)
            }
            for candidate in candidates:
                for account, central in _centralities(candidate):
                    ring_id = look.joins.get(account)
                    if ring_id is not None and held[ring_id].status != DISMISSED:
                        current[account] = (ring_id, central)
            left = [
                account for account in established if account not in current and account not in look.untouched
            ]
            moved = [
                {
                    "tenant": tenant,
                    "account": account,
                    "ring_id": ring_id,
                    "centrality_e3": round(central * 1_000),
                }
                for account, (ring_id, central) in current.items()
                if swept_ms or established.get(account) != ring_id
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
                met = {established.get(account) for account in assignment.candidate.members}
                found_ms = max([swept_ms, *(ring.swept_ms for key, ring in held.items() if key in met)])
                self._put(
                    connection,
                    tenant,
                    assignment,
                    parameters,
                    now,
                    status,
                    found_ms,
                    unseen.get(assignment.ring_id, 0),
                )
                for merged in assignment.merged:
                    connection.execute(
                        RINGS.update()
                        .where(RINGS.c.tenant == tenant, RINGS.c.ring_id == merged)
                        .values(merged_into=assignment.ring_id, updated_ms=now)
                    )
            standing = {assignment.ring_id for assignment in assignments}
            merged_ids = {ring_id for assignment in assignments for ring_id in assignment.merged}
            staying = {established[account] for account in look.untouched if account in established}
            for ring_id in sorted(set(established.values()) - standing - merged_ids - staying):
                connection.execute(
                    RINGS.update()
                    .where(RINGS.c.tenant == tenant, RINGS.c.ring_id == ring_id)
                    .values(score_e6=0, member_count=0, updated_ms=now)
                )
            kept: dict[str, RingOfAccount] = {}
            for ring_id in sorted(held.keys() - standing - merged_ids):
                joined = [account for account, (joins, _) in current.items() if joins == ring_id]
                ring = held[ring_id]
                if joined:
                    self._grow(connection, tenant, ring_id, ring, len(joined), parameters, now)
                if ring.status != DISMISSED:
                    size = len(ring.members) + len(joined)
                    confirmed_ring = ring.status == CONFIRMED
                    for account in (*sorted(ring.members & established.keys()), *joined):
                        central = current[account][1] if account in current else ring.centralities[account]
                        kept[account] = RingOfAccount(ring_id, size, ring.score, central, confirmed_ring)
        confirmed = frozenset(account for account, (_, status) in verdicts.items() if status == CONFIRMED)
        return Recorded(assignments, statuses, confirmed, kept)

    def finish_sweep(self, tenant: str, swept_ms: int) -> int:
        """Ends rings that a finished sweep did not find and nobody has recorded since it began to read; tells all replicas.

        Rings that analysts have spoken on stay. Returns how many ended.
        """
        now = self._clock.now_ms()
        r = RINGS.c
        with self._database.begin() as connection:
            self._lock(connection, tenant)
            query = sa.select(r.ring_id).where(
                r.tenant == tenant,
                r.merged_into == "",
                r.member_count > 0,
                r.status == OPEN,
                r.updated_ms < swept_ms,
            )
            ended = list(connection.execute(query).scalars())
            for part in _parts(ended):
                m = MEMBERS.c
                connection.execute(MEMBERS.delete().where(m.tenant == tenant, m.ring_id.in_(part)))
                connection.execute(
                    RINGS.update()
                    .where(r.tenant == tenant, r.ring_id.in_(part))
                    .values(score_e6=0, member_count=0, updated_ms=now)
                )
            self._revise(connection, tenant, sweeps=1)
        return len(ended)

    def revisions(self) -> dict[str, Revision]:
        """Of each tenant what has changed beside the incremental search."""
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(REVISIONS.c.tenant, REVISIONS.c.verdicts, REVISIONS.c.sweeps))
            return {tenant: Revision(verdicts, sweeps) for tenant, verdicts, sweeps in rows}

    def swept(self, tenant: str) -> tuple[dict[str, RingOfAccount], frozenset[str]]:
        """(accounts in rings that a sweep found and nobody dismissed, ids of all rings that stand)."""
        r, m = RINGS.c, MEMBERS.c
        stand = (r.tenant == tenant, r.merged_into == "", r.member_count > 0)
        members = (
            sa.select(m.account, m.ring_id, r.member_count, r.score_e6, m.centrality_e3, r.status)
            .join(RINGS, sa.and_(r.tenant == m.tenant, r.ring_id == m.ring_id))
            .where(*stand, r.swept_ms > 0, r.status != DISMISSED)
        )
        with self._database.reading() as connection:
            found = {
                account: RingOfAccount(ring_id, size, score / 1_000_000, central / 1_000, status == CONFIRMED)
                for account, ring_id, size, score, central, status in connection.execute(members)
            }
            ids = frozenset(connection.execute(sa.select(r.ring_id).where(*stand)).scalars())
        return found, ids

    def _held(
        self,
        connection: sa.Connection,
        tenant: str,
        established: dict[str, str],
        accounts: int,
        largest: int,
    ) -> dict[str, _Held]:
        """Rings of those that a look at so many accounts cannot judge."""
        r, m = RINGS.c, MEMBERS.c
        held: dict[str, _Held] = {}
        for part in _parts(sorted(set(established.values()))):
            query = sa.select(r.ring_id, r.swept_ms, r.score_e6, r.status, r.card).where(
                r.tenant == tenant, r.ring_id.in_(part), r.swept_ms > 0
            )
            for ring_id, swept_ms, score, status, card in connection.execute(query).all():
                rows = connection.execute(
                    sa.select(m.account, m.centrality_e3).where(m.tenant == tenant, m.ring_id == ring_id)
                )
                central = {account: of / 1_000 for account, of in rows}
                if accounts > largest or not established.keys() >= central.keys():
                    held[ring_id] = _Held(
                        frozenset(central), central, swept_ms, score / 1_000_000, status, bytes(card)
                    )
        return held

    def _recorded_since(
        self,
        connection: sa.Connection,
        tenant: str,
        established: dict[str, str],
        candidates: Sequence[Candidate],
        swept_ms: int,
    ) -> frozenset[str]:
        """Accounts of rings that were recorded since a sweep began to read and that none of its groups meets."""
        met = {established.get(member) for candidate in candidates for member in candidate.members}
        r = RINGS.c
        since: set[str] = set()
        for part in _parts(sorted(set(established.values()) - met)):
            query = sa.select(r.ring_id).where(
                r.tenant == tenant, r.ring_id.in_(part), r.updated_ms >= swept_ms
            )
            since.update(connection.execute(query).scalars())
        return frozenset(account for account, ring_id in established.items() if ring_id in since)

    def _grow(
        self,
        connection: sa.Connection,
        tenant: str,
        ring_id: str,
        ring: _Held,
        joined: int,
        parameters: RingParameters,
        now: int,
    ) -> None:
        card = fraud_pb2.Ring.FromString(ring.card)
        card.member_count = len(ring.members) + joined
        card.flagged = card.member_count >= parameters.flagged_accounts
        connection.execute(
            RINGS.update()
            .where(RINGS.c.tenant == tenant, RINGS.c.ring_id == ring_id)
            .values(member_count=card.member_count, card=card.SerializeToString(), updated_ms=now)
        )

    def _unseen(
        self,
        connection: sa.Connection,
        tenant: str,
        ring_ids: Sequence[str],
        seen: frozenset[str],
        swept_ms: int,
    ) -> dict[str, int]:
        """Ring -> members that came since a sweep began to read. Those that it should have seen leave."""
        r, m = RINGS.c, MEMBERS.c
        stays: dict[str, int] = {}
        gone: list[str] = []
        for part in _parts(ring_ids):
            query = (
                sa.select(m.account, m.ring_id, r.updated_ms)
                .join(RINGS, sa.and_(r.tenant == m.tenant, r.ring_id == m.ring_id))
                .where(m.tenant == tenant, m.ring_id.in_(part))
            )
            for account, ring_id, updated_ms in connection.execute(query).all():
                if account in seen:
                    continue
                if updated_ms < swept_ms:
                    gone.append(account)
                else:
                    stays[ring_id] = stays.get(ring_id, 0) + 1
        for part in _parts(gone):
            connection.execute(MEMBERS.delete().where(m.tenant == tenant, m.account.in_(part)))
        return stays

    def _revise(self, connection: sa.Connection, tenant: str, verdicts: int = 0, sweeps: int = 0) -> None:
        v = REVISIONS.c
        raised = REVISIONS.update().where(v.tenant == tenant)
        raised = raised.values(verdicts=v.verdicts + verdicts, sweeps=v.sweeps + sweeps)
        if connection.execute(raised).rowcount == 0:
            connection.execute(REVISIONS.insert().values(tenant=tenant, verdicts=verdicts, sweeps=sweeps))

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
            self._revise(connection, tenant, verdicts=1)
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
            self._revise(connection, tenant, sweeps=1)
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
        swept_ms: int,
        unseen: int,
    ) -> None:
        candidate = assignment.candidate
        card = self.card(tenant, candidate, parameters, assignment.ring_id)
        card.member_count += unseen
        values = {
            "score_e6": round(candidate.score * 1_000_000),
            "member_count": card.member_count,
            "card": card.SerializeToString(),
            "updated_ms": now,
            "merged_into": "",
            "status": status,
        }
        if swept_ms:
            values["swept_ms"] = swept_ms
        where = (RINGS.c.tenant == tenant, RINGS.c.ring_id == assignment.ring_id)
        if connection.execute(RINGS.update().where(*where).values(values)).rowcount == 0:
            connection.execute(
                RINGS.insert().values(tenant=tenant, ring_id=assignment.ring_id, created_ms=now, **values)
            )

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
