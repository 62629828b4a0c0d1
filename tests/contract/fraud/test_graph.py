"""What the sweep reads of a memory: the same from a snapshot of the memory in process and from a real Redis."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis

from bench.rings import Plan, Population
from services.common.errors import FailedPrecondition, InvalidArgument, StateBehind, Unavailable
from services.fraud.communities import split_parties
from services.fraud.edge_list import EdgeList, components
from services.fraud.memory import DAY_MS, DEGREE_CAP, EDGE_RETENTION_MS, AccountFacts, Memory, Sighting
from services.fraud.parameters import shipped
from services.fraud.rings import Candidate
from services.fraud.store_graph import Graph, RedisGraph, SnapshotGraph
from services.fraud.store_redis import RedisMemory
from services.fraud.store_snapshot import FILE_NAME, SnapshotMemory
from services.fraud.sweep import in_memory
from tests.sightings import make_sighting

NOW = 1_795_348_800_000
TENANT = "acme"
PARAMETERS = shipped().rings
Opened = Callable[[], Graph]
"""Opens the graph of what was remembered until then."""


class Remembered:
    """A memory of one kind, and the graph that a sweep opens of it."""

    def __init__(self, kind: str, folder: Path, url: str) -> None:
        self.kind, self.folder, self.url = kind, folder, url

    def observe(self, *sightings: Sighting, tenant: str = TENANT, applied_ms: int = NOW) -> None:
        asyncio.run(self._observe(sightings, tenant, applied_ms))

    async def _observe(self, sightings: Sequence[Sighting], tenant: str, applied_ms: int) -> None:
        memory: Memory
        if self.kind == "snapshot":
            memory = SnapshotMemory(self.folder)
        else:
            memory = RedisMemory(self.url, allow_volatile=True, timeout=30)
        await memory.open()
        await memory.observe(tenant, sightings, committed_through_ms=0, batch_time_ms=applied_ms)
        await memory.close()

    def graph(self) -> Graph:
        return SnapshotGraph(self.folder / FILE_NAME) if self.kind == "snapshot" else RedisGraph(self.url)

    def edges(self, tenant: str = TENANT) -> EdgeList:
        with self.graph() as graph:
            return graph.edges(tenant, lambda _: None)


@pytest.fixture(params=["snapshot", "redis"])
def remembered(request: pytest.FixtureRequest, tmp_path: Path) -> Remembered:
    url = request.getfixturevalue("redis_url") if request.param == "redis" else ""
    return Remembered(request.param, tmp_path, url)


def sighting(event_id: str, user: str, **changes: Any) -> Sighting:
    values: dict[str, Any] = {
        "device": f"device-of-{user}", "payment": "", "address": "", "household": "", "time_ms": NOW, "place": b"",
    }  # fmt: skip
    return make_sighting(event_id, user, **{**values, **changes})


def ring(count: int, prefix: str = "u") -> list[Sighting]:
    """Accounts on one box, one card and one sign-up address, each with an address of its own."""
    return [
        sighting(
            f"{prefix}{i}", f"{prefix}{i}", device=f"{prefix}-box", payment=f"{prefix}-card",
            address=f"192.0.2.{i}", time_ms=NOW + i, signup="203.0.113.1", created_ms=NOW - 1000 * i,
        )
        for i in range(count)
    ]  # fmt: skip


def swept(graph: Graph, tenant: str = TENANT) -> list[Candidate]:
    told: list[float] = []
    with graph:
        edges = graph.edges(tenant, told.append)
        found = [
            ring
            for _, rings in in_memory(graph, edges, PARAMETERS, split_parties(), told.append)
            for ring in rings
        ]
    assert all(0 <= share <= 1 for share in told)
    assert told[-1] == 1.0
    return sorted(found, key=lambda ring: ring.members)


def readable(edges: EdgeList) -> list[tuple[str, str, str, int, int]]:
    columns = (
        edges.account.tolist(),
        edges.resource.tolist(),
        edges.first_ms.tolist(),
        edges.last_ms.tolist(),
    )
    return [
        (*edges.resources[resource], edges.accounts[account], first, last)
        for account, resource, first, last in zip(*columns, strict=True)
    ]


def test_a_ring_is_found_with_what_the_memory_knows_of_its_members(remembered: Remembered) -> None:
    remembered.observe(*ring(7))
    [found] = swept(remembered.graph())
    assert found.members == tuple(f"u{i}" for i in range(7))
    # The times at which the accounts were opened are not in the edges.
    assert any(finding.code == "signup_burst" for finding in found.findings)


def test_only_what_is_shared_is_read_with_its_first_and_last_time(remembered: Remembered) -> None:
    remembered.observe(
        sighting("e1", "ann", device="tv", address="192.0.2.1", time_ms=NOW),
        sighting("e2", "bob", device="tv", address="192.0.2.2", time_ms=NOW + 5),
        sighting("e3", "ann", device="tv", time_ms=NOW + 9),
        sighting("e4", "cid", payment="card"),
    )
    edges = remembered.edges()
    assert readable(edges) == [("d", "tv", "ann", NOW, NOW + 9), ("d", "tv", "bob", NOW + 5, NOW + 5)]
    assert edges.accounts == ["ann", "bob"]


def test_facts_of_accounts(remembered: Remembered) -> None:
    remembered.observe(
        sighting("e1", "ann", device="tv", household="h1", created_ms=NOW - DAY_MS),
        sighting("e2", "ann", device="phone", time_ms=NOW + 1),
        sighting("e3", "bob", device="tv"),
        sighting("e4", "cid"),
    )
    with remembered.graph() as graph:
        graph.edges(TENANT, lambda _: None)
        known = graph.facts(["ann", "bob", "nobody"])
        assert known == {"ann": AccountFacts("h1", NOW - DAY_MS, 2), "bob": AccountFacts("", 0, 1)}
        assert graph.facts(["bob"]) == {"bob": AccountFacts("", 0, 1)}


def test_a_public_device_is_left_out_and_a_crowded_address_keeps_its_size(remembered: Remembered) -> None:
    crowd = [
        sighting(f"e{i}", f"user-{i}", device="kiosk", address="100.64.0.1", time_ms=NOW + i)
        for i in range(1000)
    ]
    remembered.observe(*crowd, *ring(6))
    edges = remembered.edges()
    assert edges.totals is not None
    total = dict(zip(edges.resources, edges.totals.tolist(), strict=True))
    assert ("d", "kiosk") not in total
    assert total[("d", "u-box")] == 0
    # Bottom-k sketch of 64: relative standard error 1 / sqrt(62) = 12.7 %; four of them allowed.
    assert total[("i", "100.64.0.1")] == pytest.approx(1000, rel=4 * 0.127)
    assert edges.resource.tolist().count(edges.resources.index(("i", "100.64.0.1"))) == DEGREE_CAP
    [component] = components(edges, PARAMETERS.degree, PARAMETERS.minimum_accounts)
    assert len(component.accounts) == 6


def test_what_is_older_than_edges_are_remembered_is_left_out(remembered: Remembered) -> None:
    old = [one._replace(time_ms=NOW - EDGE_RETENTION_MS + i) for i, one in enumerate(ring(6, "old"))]
    remembered.observe(*old, *ring(6, "new"))
    assert {name for kind, name, *_ in readable(remembered.edges()) if kind == "d"} == {"new-box"}


def test_tenants_are_apart_also_where_a_name_looks_like_a_pattern(remembered: Remembered) -> None:
    for number, tenant in enumerate(("a", "a:d", "a*", "other")):
        remembered.observe(*ring(5 + number, f"t{number}-"), tenant=tenant)
    for number, tenant in enumerate(("a", "a:d", "a*", "other")):
        assert [len(found.members) for found in swept(remembered.graph(), tenant)] == [5 + number]


def test_a_tenant_that_nothing_is_remembered_of_is_said_to_be_so(remembered: Remembered) -> None:
    remembered.observe(*ring(6))
    with pytest.raises(InvalidArgument, match="nobody") as caught:
        remembered.edges("nobody")
    assert caught.value.reason == "TENANT_UNKNOWN"


def test_a_memory_that_is_being_restored_is_not_swept(remembered: Remembered) -> None:
    remembered.observe(*ring(6), applied_ms=0)
    with pytest.raises(StateBehind):
        remembered.edges()


def test_the_same_stream_has_the_same_rings_in_both(tmp_path: Path, redis_url: str) -> None:
    plan = Plan(Population(accounts=900, seed=3, rings=6, dorms=2, wifis=4, family_plans=12, second_hand=20))
    kinds = {
        "device": "device",
        "payment": "payment",
        "ip": "address",
        "email_domain": "domain",
        "signup_ip": "signup",
    }
    newest = max(moment for *_, moment in plan.rows)
    events = []
    for number, (user, kind, value, moment) in enumerate(plan.rows):
        at = NOW - (newest - moment) * 1000
        # Who signed up before the time that edges are remembered has been seen there since.
        seen = max(at, NOW - 30 * DAY_MS)
        opened = at if kind == "signup_ip" else 0
        events.append(sighting(f"e{number}", user, time_ms=seen, created_ms=opened, **{kinds[kind]: value}))
    both = [Remembered("snapshot", tmp_path, ""), Remembered("redis", tmp_path, redis_url)]
    for memory in both:
        memory.observe(*events)
    here, there = (memory.edges() for memory in both)
    assert readable(here) == readable(there)
    found = [swept(memory.graph()) for memory in both]
    assert found[0] == found[1]
    assert len(found[0]) >= 4


def test_redis_is_read_by_scan_in_small_pieces(redis_url: str, tmp_path: Path) -> None:
    remembered = Remembered("redis", tmp_path, redis_url)
    remembered.observe(*(sighting(f"e{i}", f"u{i}", device=f"tv{i // 2}") for i in range(2_000)))
    client = redis.Redis.from_url(redis_url)
    client.config_resetstat()
    assert len(remembered.edges().account) == 2_000
    used = {name.removeprefix("cmdstat_"): row["calls"] for name, row in client.info("commandstats").items()}
    assert not {"keys", "smembers", "eval", "evalsha", "sort"} & used.keys()
    assert set(used) <= {
        "scan",
        "hgetall",
        "get",
        "dbsize",
        "client|setinfo",
        "hello",
        "info",
        "config|resetstat",
    }
    # Every key was looked at, a piece at a time.
    assert used["scan"] >= client.dbsize() / 256 / 2
    client.close()


def test_a_server_that_is_not_there_and_one_that_refuses(redis_url: str) -> None:
    with pytest.raises(Unavailable), RedisGraph("redis://127.0.0.1:1/0") as graph:
        graph.edges(TENANT, lambda _: None)
    refused = redis_url.replace("redis://", "redis://nobody:wrong@")
    with pytest.raises(FailedPrecondition, match="Redis refuses"), RedisGraph(refused) as graph:
        graph.edges(TENANT, lambda _: None)


@pytest.mark.parametrize("spoil", ["cut", "changed", "empty", "other"])
def test_a_snapshot_that_is_not_whole_is_refused(spoil: str, tmp_path: Path) -> None:
    remembered = Remembered("snapshot", tmp_path, "")
    remembered.observe(*ring(6))
    path = tmp_path / FILE_NAME
    lines = path.read_bytes().splitlines(keepends=True)
    spoiled = {
        "cut": lines[:-2],
        "changed": [line.replace(b"u-box", b"v-box") for line in lines],
        "empty": [],
        "other": [b'{"usher_fraud_memory":1}\n', *lines[1:]],
    }
    path.write_bytes(b"".join(spoiled[spoil]))
    with pytest.raises(InvalidArgument) as caught:
        remembered.edges()
    assert caught.value.reason == "SNAPSHOT_INVALID"


def test_the_process_sweeps_redis(redis_url: str, tmp_path: Path) -> None:
    Remembered("redis", tmp_path, redis_url).observe(*ring(7))
    url_file = tmp_path / "url"
    url_file.write_text(redis_url + "\n")
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-m", "services.fraud.sweep", "redis", str(url_file), "--tenant", TENANT],
        cwd=root, env={"PYTHONPATH": f"{root}:{root / 'proto'}"}, capture_output=True, timeout=120, check=True,
    )  # fmt: skip
    [line] = done.stdout.splitlines()
    assert orjson.loads(line)["members"] == [f"u{i}" for i in range(7)]
    assert b"acme: 1 rings among 7 accounts" in done.stderr
