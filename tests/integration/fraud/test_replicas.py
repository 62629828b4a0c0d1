"""Two replicas on Redis and PostgreSQL, one process with its memory and SQLite: the same stream, the same assessments.

The services themselves, without the wire between: every signal is on, from streams that between them set each of them.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from services.common.clock import ManualClock
from services.common.db import Database, DatabaseSettings, open_database
from services.common.migrations import migrate
from services.common.places import SHIPPED, open_places
from services.common.policy import Part, PolicySetCache, write_policy_set
from services.fraud.engine import Engines
from services.fraud.forget import SubjectMemory
from services.fraud.memory import Memory
from services.fraud.ringbook import RingBook
from services.fraud.servicer import FraudServicer
from services.fraud.signals import SIGNAL_WIDTH
from services.fraud.store import RingStore
from services.fraud.store_redis import RedisMemory
from simulator.scenarios import JOURNEYS, SCENARIOS
from simulator.traffic import generate
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.fraud.v1 import fraud_pb2
from usher.policy.v1 import policy_pb2

TENANT = "acme"
T0 = 1_795_348_800_000
ROOT = Path(__file__).resolve().parents[3]
BATCH = 64


class Seen(NamedTuple):
    """An event with what is known of its address."""

    user: str
    event: bytes
    places: event_pb2.Places


class Told(NamedTuple):
    """What fraud answers to an event."""

    signals: tuple[float, ...]
    assessment: bytes


class Replica:
    """The service as one process has it."""

    def __init__(self, database: Database, memory: Memory, policy: Path) -> None:
        clock = ManualClock(T0)
        self.memory = memory
        store = RingStore(database, clock)
        store.open()
        self.book = RingBook(memory, store, database, clock)
        self.servicer = FraudServicer(
            memory, store, database, Engines(PolicySetCache(policy)), self.book, clock
        )

    async def assess(self, policy_set: str, part: Sequence[Seen]) -> list[Told]:
        request = fraud_pb2.AssessEventsRequest(
            tenant=TENANT, policy_set=policy_set, events=[seen.event for seen in part], batch_time_ms=T0,
            places=joined(part),
        )  # fmt: skip
        answer = await self.servicer.AssessEvents(request, None)
        assert answer.signal_width == SIGNAL_WIDTH
        rows = [
            tuple(answer.signals[start : start + SIGNAL_WIDTH])
            for start in range(0, len(answer.signals), SIGNAL_WIDTH)
        ]
        return [Told(*one) for one in zip(rows, answer.assessments, strict=True)]

    async def restore(self, parts: Sequence[Sequence[Seen]]) -> None:
        for number, part in enumerate(parts, start=1):
            request = fraud_pb2.RestoreRequest(
                tenant=TENANT, events=[seen.event for seen in part], places=joined(part),
                complete_through_ms=T0 if number == len(parts) else 0,
            )  # fmt: skip
            await self.servicer.Restore(request, None)


def joined(part: Sequence[Seen]) -> event_pb2.Places:
    """The columns of several events as those of one request."""
    columns = event_pb2.Places()
    for seen in part:
        columns.MergeFrom(seen.places)
    return columns


@pytest.fixture
def policy(tmp_path: Path) -> tuple[Path, str]:
    content = (ROOT / "services/fraud/defaults/parameters.yaml").read_bytes()
    part = Part(policy_pb2.PART_KIND_FRAUD_PARAMETERS, "parameters", content)
    return tmp_path / "policy", write_policy_set(tmp_path / "policy", [part])


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    with open_database(DatabaseSettings(url=f"sqlite:///{tmp_path}/fraud.db"), schema="fraud") as opened:
        migrate(opened, "fraud")
        yield opened


@pytest.fixture
def postgresql(postgres_url: str) -> Iterator[Database]:
    with open_database(DatabaseSettings(url=postgres_url), schema="fraud") as opened:
        migrate(opened, "fraud")
        yield opened


@asynccontextmanager
async def on_redis(url: str, database: Database, policy: Path) -> AsyncIterator[Replica]:
    memory = RedisMemory(url, allow_volatile=True, timeout=30)
    yield Replica(database, memory, policy)
    await memory.close()


def simulated(seed: int) -> list[Seen]:
    """Viewers of all scenarios over three days, with the places that the shipped data say."""
    places = open_places(SHIPPED)
    return [
        Seen(event.user_id, event.SerializeToString(), places.columns([event.ip_address]))
        for event, _ in generate(seed, 120, 3, T0, (*SCENARIOS, *JOURNEYS))
    ]


NOWHERE = event_pb2.Places(
    country=[0], latitude_e4=[0], longitude_e4=[0], accuracy_km=[0], asn=[0], flags=[0]
)
CITIES = ((525_200, 134_050, "DE", 3320), (407_128, -740_060, "US", 7922), (-338_688, 1_512_093, "AU", 1221))
KINDS = (
    ("login_failed", 6), ("login", 2), ("password_change", 1), ("payment_method_add", 1), ("bulk_download", 3),
    ("play", 4), ("heartbeat", 5), ("stop", 1), ("access", 6), ("chargeback", 1), ("export", 3),
)  # fmt: skip


def dense(seed: int, count: int = 2_400) -> list[Seen]:
    """Few accounts, devices, cards and addresses that meet in every way there is, late now and then."""
    chance = random.Random(seed)
    found = []
    for number in range(count):
        user = f"u{min(chance.randrange(40), chance.randrange(40))}"
        at = T0 + number * 20_000 - (chance.randrange(3_600_000) if chance.random() < 0.05 else 0)
        [kind] = chance.choices([name for name, _ in KINDS], [often for _, often in KINDS])
        network = chance.randrange(12)
        event = event_pb2.Event(
            event_id=f"e{number}", user_id=user, event_type=kind, region=chance.choice(("DE", "US")),
            device_id=f"d{chance.randrange(24)}", ip_address=f"203.0.{network}.{chance.randrange(3)}",
            user_agent=chance.choice(("app/1", "app/2", "grabber/1")), content_id=f"title-{chance.randrange(400)}",
        )  # fmt: skip
        if chance.random() < 0.4:
            event.payment_fingerprint = f"card-{chance.randrange(9)}"
        if kind in ("play", "heartbeat", "stop"):
            event.stream_id = f"{user}-{chance.randrange(6)}"
        event.account.stream_limit = 1
        event.account.trial = chance.random() < 0.3
        event.account.email_domain = chance.choice(("", "mail.example", "example.net"))
        event.account.signup_ip_address = chance.choice(("", "198.51.100.1", "198.51.100.2"))
        event.account.created_time.seconds = T0 // 1000 - chance.randrange(86_400)
        if chance.random() < 0.2:
            event.account.household_id = f"h{chance.randrange(5)}"
        event.event_time.FromMilliseconds(at)
        latitude, longitude, country, asn = CITIES[network % 3]
        flags = chance.choice((0, 0, 0, 0, 1 << event_pb2.PLACE_FLAG_VPN, 1 << event_pb2.PLACE_FLAG_TOR))
        places = event_pb2.Places(
            country=[ord(country[0]) << 8 | ord(country[1])], latitude_e4=[latitude], longitude_e4=[longitude],
            accuracy_km=[20], asn=[asn], flags=[flags],
        )  # fmt: skip
        found.append(Seen(user, event.SerializeToString(), places))
    return found


def ring(prefix: str, at_ms: int) -> list[Seen]:
    """Eight accounts on one box, one card and one sign-up address, each from an address of its own."""
    found = []
    for number in range(16):
        event = event_pb2.Event(
            event_id=f"{prefix}{number}", user_id=f"{prefix}-{number % 8}", event_type="login", region="DE",
            device_id=f"{prefix}-box", payment_fingerprint=f"{prefix}-card", ip_address=f"192.0.2.{number % 8}",
        )  # fmt: skip
        event.account.signup_ip_address = "203.0.113.9"
        event.event_time.FromMilliseconds(at_ms + number)
        found.append(Seen(event.user_id, event.SerializeToString(), NOWHERE))
    return found


def sprayed() -> list[Seen]:
    """Accounts that fail at one address, one after the other through half a day."""
    found = []
    for number in range(24):
        event = event_pb2.Event(
            event_id=f"s{number}", user_id=f"sprayed{number}", event_type="login_failed", region="DE",
            device_id=f"s-device{number}", ip_address="198.18.0.9", user_agent=f"app/{number}",
        )  # fmt: skip
        event.event_time.FromMilliseconds(T0 + number * 1_800_000)
        found.append(Seen(event.user_id, event.SerializeToString(), NOWHERE))
    return found


def batches(stream: Sequence[Seen]) -> list[Sequence[Seen]]:
    return [stream[start : start + BATCH] for start in range(0, len(stream), BATCH)]


def outcome(position: int, user: str, **fields: str) -> fraud_pb2.RecordOutcomesRequest:
    """What a label says: an account or a ring was fraud."""
    verdict = fraud_pb2.OUTCOME_VERDICT_FRAUD
    one = fraud_pb2.Outcome(
        tenant=TENANT, position=position, user_id=user, verdict=verdict, mature_ms=1, actor="ann", **fields
    )
    return fraud_pb2.RecordOutcomesRequest(outcomes=[one], through_position=position)


async def test_every_assessment_is_the_same_whichever_replica_is_asked(
    redis_url: str, postgresql: Database, sqlite: Database, policy: tuple[Path, str]
) -> None:
    folder, policy_set = policy
    one = Replica(sqlite, SubjectMemory(), folder)
    told: list[Told] = []
    async with on_redis(redis_url, postgresql, folder) as a, on_redis(redis_url, postgresql, folder) as b:
        number = 0

        async def both(part: Sequence[Seen], *, exact: bool = True) -> None:
            nonlocal number
            number += 1
            here = await one.assess(policy_set, part)
            there = await (a, b)[number % 2].assess(policy_set, part)
            if exact:
                assert here == there
            else:
                assert [weighed_apart(each) for each in here] == [weighed_apart(each) for each in there]
            told.extend(here)

        # To the bit, with households, campuses, takeovers, sharing and rings as the simulator has them.
        for part in batches([*simulated(5), *ring("q", T0 + 60_000)]):
            await both(part)
        # Where all are tied to all, but for the moment at which a process last weighed what an account shares.
        for part in batches([*dense(6), *sprayed(), *ring("r", T0 + 60_000)]):
            await both(part, exact=False)
        # A label says that an account was fraud, an analyst that a ring is: told to one of the replicas.
        ring_id = decision_pb2.Assessment.FromString(told[-1].assessment).ring_id
        assert ring_id
        for position, label in enumerate((outcome(1, "u3"), outcome(2, "", ring_id=ring_id)), start=1):
            for replica in (one, (a, b)[position % 2]):
                await replica.servicer.RecordOutcomes(label, None)
        await a.book.renew()
        await b.book.renew()
        for part in batches([*dense(8, 600), *ring("r", T0 + 120_000)]):
            await both([seen._replace(event=renamed(seen.event, "again")) for seen in part], exact=False)
    # Not one signal was left at nought.
    silent = [
        decision_pb2.SignalIndex.Name(index)
        for index in range(SIGNAL_WIDTH)
        if not any(one.signals[index] for one in told)
    ]
    assert silent == []
    codes = {
        decision_pb2.ReasonCode.Name(reason.code).removeprefix("REASON_CODE_")
        for one in told
        for reason in decision_pb2.Assessment.FromString(one.assessment).evidence
    }
    assert codes >= {
        "IMPOSSIBLE_TRAVEL", "REGION_MISMATCH", "VPN", "TOR_EXIT", "SHARED_DEVICE", "SHARED_PAYMENT", "BRUTE_FORCE",
        "CREDENTIAL_STUFFING", "DISTRIBUTED_STUFFING", "GUESSED_FROM_MANY_ADDRESSES", "TAKEOVER_SEQUENCE",
        "BULK_EXPORT", "SCRAPING", "TRIAL_ABUSE", "CHARGEBACK_CLUSTER", "STREAM_LIMIT",
        "RING_MEMBER", "CONFIRMED_RING", "CONFIRMED_NEIGHBOURS",
    }  # fmt: skip


def weighed_apart(told: Told) -> tuple[list[float], str, list[bytes]]:
    """Signals, ring and evidence without what the account's standing in its ring adds to its network risk."""
    signals = list(told.signals)
    signals[decision_pb2.SIGNAL_INDEX_NETWORK_RISK] = 0.0
    message = decision_pb2.Assessment.FromString(told.assessment)
    in_ring = (decision_pb2.REASON_CODE_RING_MEMBER,)
    evidence = [reason.SerializeToString() for reason in message.evidence if reason.code not in in_ring]
    return signals, message.ring_id, evidence


def renamed(event: bytes, suffix: str) -> bytes:
    message = event_pb2.Event.FromString(event)
    message.event_id += suffix
    return message.SerializeToString()


OWN = (
    decision_pb2.SIGNAL_INDEX_ACCOUNT_FAILURES, decision_pb2.SIGNAL_INDEX_TRAVEL_KMH, decision_pb2.SIGNAL_INDEX_TITLES,
    decision_pb2.SIGNAL_INDEX_CONCURRENT_STREAMS, decision_pb2.SIGNAL_INDEX_ACCOUNT_EXPORTS,
    decision_pb2.SIGNAL_INDEX_BURST_FAILURES, decision_pb2.SIGNAL_INDEX_FAILURE_SOURCES,
    decision_pb2.SIGNAL_INDEX_STREAMS_OVER_LIMIT,
)  # fmt: skip
"""Signals that depend on what the account itself did and in which order, and on nobody else."""


async def test_users_shared_out_between_replicas_at_the_same_time_end_the_same(
    redis_url: str, postgresql: Database, sqlite: Database, policy: tuple[Path, str]
) -> None:
    folder, policy_set = policy
    one = Replica(sqlite, SubjectMemory(), folder)
    stream = dense(21)
    end = max(event_pb2.Event.FromString(seen.event).event_time.ToMilliseconds() for seen in stream)
    alone: dict[str, list[tuple[float, ...]]] = {}
    for part in batches(stream):
        for seen, told in zip(part, await one.assess(policy_set, part), strict=True):
            alone.setdefault(seen.user, []).append(tuple(told.signals[index] for index in OWN))
    async with on_redis(redis_url, postgresql, folder) as a, on_redis(redis_url, postgresql, folder) as b:
        shared: dict[str, list[tuple[float, ...]]] = {}

        async def serve(replica: Replica, users: int) -> None:
            # Another interleaving of users than in the one process; each user's events in their order.
            mine = [seen for seen in stream if int(seen.user[1:]) % 2 == users]
            for part in batches(mine):
                for seen, told in zip(part, await replica.assess(policy_set, part), strict=True):
                    shared.setdefault(seen.user, []).append(tuple(told.signals[index] for index in OWN))

        await asyncio.gather(serve(a, 0), serve(b, 1))
        assert shared == alone
        # Afterwards all three know the same of everybody, others' doings included. Rings are weighed when ties change, so
        # what they weigh depends on whose events came first; what was seen does not.
        probes = [probe(number, end + 1_000) for number in range(40)]
        here = await one.assess(policy_set, probes)
        there = await a.assess(policy_set, probes[:20]) + await b.assess(policy_set, probes[20:])
        assert [beside_rings(told) for told in there] == [beside_rings(told) for told in here]
        assert any(told.signals[decision_pb2.SIGNAL_INDEX_RING_MEMBERS] for told in (*here, *there))
    assert any(told.signals[decision_pb2.SIGNAL_INDEX_DEVICE_ACCOUNTS] for told in here)


def beside_rings(told: Told) -> tuple[list[float], list[bytes]]:
    signals, _, evidence = weighed_apart(told)
    for index in (decision_pb2.SIGNAL_INDEX_RING_MEMBERS, decision_pb2.SIGNAL_INDEX_RING_SCORE):
        signals[index] = 0.0
    return signals, evidence


def probe(number: int, at_ms: int) -> Seen:
    event = event_pb2.Event(
        event_id=f"probe{number}", user_id=f"u{number}", event_type="login", region="DE",
        device_id=f"d{number % 24}", ip_address=f"203.0.{number % 12}.{number % 3}",
        payment_fingerprint=f"card-{number % 9}", user_agent="grabber/1",
    )  # fmt: skip
    event.event_time.FromMilliseconds(at_ms)
    return Seen(event.user_id, event.SerializeToString(), NOWHERE)


@pytest.mark.parametrize("kind", ["process", "redis"])
async def test_a_memory_that_was_restored_goes_on_as_if_nothing_had_been_lost(
    kind: str, request: pytest.FixtureRequest, sqlite: Database, policy: tuple[Path, str]
) -> None:
    folder, policy_set = policy
    stream = [*dense(31), *ring("r", T0 + 60_000)]
    before, after = stream[: len(stream) // 2], stream[len(stream) // 2 :]
    whole = Replica(sqlite, SubjectMemory(), folder)
    for part in batches(before):
        await whole.assess(policy_set, part)
    memory: Memory = SubjectMemory()
    if kind == "redis":
        memory = RedisMemory(request.getfixturevalue("redis_url"), allow_volatile=True, timeout=30)
    # The rows of the database are not lost with the memory; the first half comes in pieces of any order, some twice.
    lost = Replica(sqlite, memory, folder)
    pieces = batches(before)
    pieces += pieces[3:9]
    random.Random(1).shuffle(pieces)
    await lost.restore(pieces)
    assert await memory.applied_through() == T0
    for part in batches(after):
        expected = await whole.assess(policy_set, part)
        assert await lost.assess(policy_set, part) == expected
    await memory.close()
