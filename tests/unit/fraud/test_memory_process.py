"""The memory in process: set semantics under any order, bounds, expiry, snapshots."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.fraud import store_snapshot
from services.fraud.memory import DAY_MS, HOUR_MS, Sighting, pack_place
from services.fraud.memory_process import SHARDS, TABLES, TenantMemory
from services.fraud.store_snapshot import FILE_NAME, SnapshotMemory
from tests.sightings import make_sighting

NOON = 1_795_348_800_000


def state(memory: TenantMemory) -> dict[str, Any]:
    """Everything the memory holds, without where it lies."""
    content: dict[str, Any] = {}
    for table in TABLES:
        rows: dict[str, Any] = {}
        for number in range(SHARDS):
            rows |= memory.dump_shard(table, number)
        content[table] = rows
    content["components"] = sorted(
        {
            (tuple(sorted(found.accounts)), tuple(sorted(found.resources)), found.ties)
            for found in memory.components.values()
        }
    )
    return content


def apply(sightings: list[Sighting]) -> dict[str, Any]:
    memory = TenantMemory(100_000)
    for item in sightings:
        memory.observe(item)
    return state(memory)


@st.composite
def sightings(draw: st.DrawFn) -> list[Sighting]:
    count = draw(st.integers(1, 25))
    items = []
    for number in range(count):
        time_ms = NOON + draw(st.integers(0, 40 * 24)) * HOUR_MS + draw(st.integers(0, 2))
        event_id = f"e{number}"
        place = (
            pack_place(time_ms, event_id, draw(st.integers(0, 2)), 0, 1, 0, 0) if draw(st.booleans()) else b""
        )
        items.append(
            make_sighting(
                event_id,
                draw(st.sampled_from("abcde")),
                device=draw(st.sampled_from(["d1", "d2", "d3"])),
                payment=draw(st.sampled_from(["", "p1"])),
                address=draw(st.sampled_from(["", "192.0.2.1", "192.0.2.2"])),
                household=draw(st.sampled_from(["", "h1", "h2"])),
                time_ms=time_ms,
                failed=draw(st.booleans()),
                place=place,
                domain=draw(st.sampled_from(["", "example.org"])),
                signup=draw(st.sampled_from(["", "198.51.100.1"])),
                created_ms=draw(st.sampled_from([0, NOON - DAY_MS, NOON - 2 * DAY_MS])),
                act=draw(st.integers(0, 5)),
                stream=draw(st.sampled_from(["", "s1", "s2"])),
                ended=draw(st.booleans()),
            )
        )
    return items


@settings(max_examples=200, deadline=None)
@given(items=sightings(), data=st.data())
def test_any_order_and_any_overlap_leave_the_same_state(items: list[Sighting], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(items), max_size=20))
    shuffled = data.draw(st.permutations(items + again))
    assert apply(shuffled) == apply(items)


def sighting(event_id: str, user: str, **changes: Any) -> Sighting:
    values: dict[str, Any] = {
        "device": "tv", "payment": "card", "address": "192.0.2.1", "household": "h", "time_ms": NOON,
        "failed": True, "place": pack_place(NOON, event_id, 1, 2, 3, 4, 5), "domain": "example.org",
        "signup": "198.51.100.1", "act": 1, "stream": "s",
    }  # fmt: skip
    return make_sighting(event_id, user, **{**values, **changes})


def test_tables_are_bounded() -> None:
    memory = TenantMemory(SHARDS * 4)
    for i in range(5_000):
        memory.observe(
            sighting(
                f"e{i}",
                f"u{i}",
                device=f"d{i}",
                payment=f"p{i}",
                address=f"a{i}",
                domain=f"m{i}",
                signup=f"s{i}",
            )
        )
    for table in TABLES:
        assert len(memory.tables[table]) <= SHARDS * 4
        assert memory.tables[table].evicted >= 5_000 - SHARDS * 4


@pytest.mark.parametrize(
    ("days", "kept"),
    [
        (7.9, set(TABLES)),
        (8.1, set(TABLES) - {"windows"}),
        (36.9, set(TABLES) - {"windows"}),
        (37.1, set()),
    ],
)
def test_what_no_event_may_ask_for_is_forgotten(days: float, kept: set[str]) -> None:
    memory = TenantMemory(1_000)
    memory.observe(sighting("e1", "ann"))
    memory.observe(sighting("e2", "bob"))
    memory.newest_ms = NOON + round(days * DAY_MS)
    for table in TABLES:
        for number in range(SHARDS):
            memory.sweep_shard(table, number)
    assert {table for table in TABLES if len(memory.tables[table])} == kept
    assert bool(memory.components) == ("accounts" in kept)


def test_sweeping_goes_round_by_itself() -> None:
    memory = TenantMemory(100_000)
    memory.observe(sighting("old", "ann", device="old"))
    memory.newest_ms = NOON + 40 * DAY_MS
    for _ in range(SHARDS * len(TABLES)):
        memory.sweep(512)
    assert [len(memory.tables[table]) for table in TABLES] == [0] * len(TABLES)


async def filled(directory: Path) -> SnapshotMemory:
    memory = SnapshotMemory(directory)
    await memory.open()
    events = [
        sighting(f"e{i}", f"u{i % 90}", device=f"d{i % 60}", payment=f"p{i % 50}", time_ms=NOON + i)
        for i in range(600)
    ]
    await memory.observe("acme", events, committed_through_ms=0, batch_time_ms=NOON + 9)
    await memory.observe("other", events[:5], committed_through_ms=0, batch_time_ms=NOON + 3)
    return memory


async def test_a_snapshot_brings_everything_back(tmp_path: Path) -> None:
    memory = await filled(tmp_path)
    await memory.close()
    loaded = SnapshotMemory(tmp_path)
    await loaded.open()
    for tenant in ("acme", "other"):
        assert state(loaded.tenant(tenant)) == state(memory.tenant(tenant))
    assert await loaded.applied_through() == NOON + 9
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


async def test_events_during_a_snapshot_are_whole_after_restore(tmp_path: Path) -> None:
    memory = await filled(tmp_path)
    later = [
        sighting(f"x{i}", f"u{i % 200}", device=f"d{i % 80}", payment=f"p{i % 45}", time_ms=NOON + 700 + i)
        for i in range(400)
    ]
    batches = [(NOON + 800 + start, later[start : start + 20]) for start in range(0, 400, 20)]
    saving = asyncio.create_task(memory.save())
    for time_ms, part in batches:
        await memory.observe("acme", part, committed_through_ms=0, batch_time_ms=time_ms)
        await asyncio.sleep(0.005)
    await saving
    loaded = SnapshotMemory(tmp_path)
    await loaded.open()
    through = await loaded.applied_through()
    assert NOON + 9 <= through < batches[-1][0]
    for time_ms, part in batches:
        if time_ms > through:
            await loaded.restore("acme", part, complete_through_ms=time_ms)
    assert state(loaded.tenant("acme")) == state(memory.tenant("acme"))


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("moment", ["while writing", "before the rename"])
async def test_a_crash_leaves_the_old_snapshot_whole(
    tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = await filled(tmp_path)
    await memory.save()
    before = state(memory.tenant("acme"))
    await memory.observe("acme", [sighting("new", "zoe")], committed_through_ms=0, batch_time_ms=NOON + 99)

    def die(*_: object) -> None:
        raise Killed

    if moment == "while writing":
        monkeypatch.setattr(store_snapshot._Writer, "finish", die)
    else:
        monkeypatch.setattr(store_snapshot.os, "replace", die)
    with pytest.raises(Killed):
        await memory.save()
    monkeypatch.undo()
    assert (tmp_path / (FILE_NAME + ".tmp")).exists()
    loaded = SnapshotMemory(tmp_path)
    await loaded.open()
    assert state(loaded.tenant("acme")) == before
    assert await loaded.applied_through() == NOON + 9
    assert not (tmp_path / (FILE_NAME + ".tmp")).exists()


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    return content.replace(b'"h"', b'"i"', 1)


def without_end(content: bytes) -> bytes:
    return b"\n".join(content.splitlines()[:-1]) + b"\n"


def newer(content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    lines[0] = json.dumps({"usher_fraud_memory": 99}).encode() + b"\n"
    return b"".join(lines)


@pytest.mark.parametrize("damage", [cut, flip, without_end, newer, lambda _: b"", lambda _: os.urandom(500)])
async def test_a_damaged_snapshot_is_kept_aside_and_the_memory_is_behind(tmp_path: Path, damage: Any) -> None:
    memory = await filled(tmp_path)
    await memory.close()
    path = tmp_path / FILE_NAME
    path.write_bytes(damage(path.read_bytes()))
    loaded = SnapshotMemory(tmp_path)
    await loaded.open()
    assert loaded.tenants == {}
    assert await loaded.applied_through() == 0
    assert (tmp_path / (FILE_NAME + ".corrupt")).exists()
