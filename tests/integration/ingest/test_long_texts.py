"""Events with much text are checked beside the loop: the same verdict, in their place, and nobody waits for them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from services.common.errors import InvalidArgument, Unavailable
from services.ingest import check, door
from tests.fakes import TENANT, FakeMesh, event, running_ingest, until
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2

LONG = {"z": "a long story, " * 300, "b": "another one"}
ATTACK = {"title": "the end " * 200 + "' or 1=1 union select password from users --"}


class Watched:
    """The check, told by which thread it was asked and when it may go on."""

    def __init__(self) -> None:
        self.threads: dict[str, int] = {}
        self.goes_on = threading.Event()
        self.goes_on.set()
        self._examine = check.examine

    def __call__(self, one: event_pb2.Event, *more: Any) -> Any:
        self.threads[one.event_id] = threading.get_ident()
        if threading.current_thread() is not threading.main_thread():
            assert self.goes_on.wait(60)
        return self._examine(one, *more)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    made = Watched()
    monkeypatch.setattr(door.check, "examine", made)
    yield made
    made.goes_on.set()


def long_event(event_id: str, metadata: dict[str, Any], **fields: Any) -> event_pb2.Event:
    return event(event_id, metadata_json=json.dumps(metadata).encode(), **fields)


async def test_they_keep_their_place_and_their_form(
    mesh: FakeMesh, sqlite_url: str, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_ingest(sqlite_url, mesh, attacks_fail=("metadata_value",)) as front:
        story = long_event("long", LONG)
        batch = [event("e1"), story, event("e2"), long_event("attack", ATTACK), event("e3")]
        results = await front.decide(batch)

        assert [one.event_id for one in results] == ["e1", "long", "e2", "attack", "e3"]
        assert [one.HasField("decision") for one in results] == [True, True, True, False, True]
        assert {one.reason for one in results[3].failure.violations} == {"ATTACK_SQLI"}
        here = threading.get_ident()
        beside = {name for name, thread in watched.threads.items() if thread != here}
        assert beside == {"long", "attack"}
        # Checked on the loop it is the same event to the byte: its repeat is one.
        monkeypatch.setattr(door, "MUCH_TEXT", 1 << 20)
        (again,) = await front.decide([story])
        assert again.status == ingest_pb2.EVENT_STATUS_DUPLICATE
        assert watched.threads["long"] == here
        kept = await front.ingest.GetDecision(ingest_pb2.GetDecisionRequest(tenant=TENANT, event_id="long"))
        assert list(json.loads(kept.event.metadata_json)) == ["b", "z"]
        assert (await front.books()).balanced


async def test_nobody_waits_for_them(mesh: FakeMesh, sqlite_url: str, watched: Watched) -> None:
    async with running_ingest(sqlite_url, mesh, client_timeout=120.0) as front:
        watched.goes_on.clear()
        slow = asyncio.create_task(front.decide([long_event("long", LONG)]))
        await until(lambda: "long" in watched.threads, 60)
        for door_of in (front.decide, front.submit):
            (result,) = await door_of([event(f"quick-{door_of.__name__}", user="u2")])
            assert result.status in (ingest_pb2.EVENT_STATUS_DECIDED, ingest_pb2.EVENT_STATUS_ACCEPTED)
        assert not slow.done()
        watched.goes_on.set()
        assert (await slow)[0].HasField("decision")


async def test_what_is_refused_is_not_looked_at(mesh: FakeMesh, sqlite_url: str, watched: Watched) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        request = ingest_pb2.DecideEventsRequest(tenant="NO TENANT", events=[long_event("long", LONG)])
        with pytest.raises(InvalidArgument):
            await front.ingest.DecideEvents(request)
        batch = ingest_pb2.EventBatch(tenant=TENANT, events=[b"\xff" * 2_000])
        with pytest.raises(InvalidArgument) as malformed:
            await front.raw_decide(batch)
        assert malformed.value.reason == "MALFORMED_MESSAGE"
        front.app._door.close()
        with pytest.raises(Unavailable):
            await front.decide([long_event("late", LONG)])
        assert watched.threads == {}
