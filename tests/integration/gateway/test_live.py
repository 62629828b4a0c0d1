"""The live page's routes over real HTTP before a fake ingest on a real gRPC server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway import schemas
from services.common.errors import Internal, Unavailable
from tests.integration.gateway.test_gateway import Running, gateway, ingest, is_problem
from tests.unit.gateway.schema_check import problems as schema_problems
from usher.decision.v1 import decision_pb2

__all__ = ["gateway", "ingest"]
STREAM = "/api/v1/decision-stream"
LARGE = 1_882_571_180_050_743_296
"""A position beyond 2^53, up to which JavaScript is exact."""


def decisions(first: int, last: int, outcome: int = decision_pb2.OUTCOME_ALLOW) -> list[dict[str, Any]]:
    return [{"event_id": f"e{n}", "position": n, "outcome": outcome} for n in range(first, last + 1)]


async def messages(lines: AsyncIterator[str]) -> AsyncIterator[dict[str, Any]]:
    """The messages of a feed: `event`, `data` and, where there is one, `id`."""
    one: dict[str, Any] = {}
    async for line in lines:
        if not line:
            if "event" in one:
                yield one
            one = {}
            continue
        name, _, value = line.partition(": ")
        one[name] = json.loads(value) if name == "data" else value


async def read(gateway: Running, count: int, **options: Any) -> list[dict[str, Any]]:
    """The first messages of a feed."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(60), gateway.client.stream("GET", STREAM, **options) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for one in messages(answer.aiter_lines()):
            found.append(one)
            if len(found) == count:
                break
    return found


# --- the page ----------------------------------------------------------------------------------------


async def test_the_page_and_its_files(gateway: Running) -> None:
    page = await gateway.client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    rules = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert "unsafe" not in page.headers["content-security-policy"]
    assert rules["require-trusted-types-for"] == "'script'"
    for name, media_type in (
        ("main.js", "javascript"),
        ("live.css", "text/css"),
        ("icon.svg", "image/svg+xml"),
    ):
        answer = await gateway.client.get(f"/static/live/{name}")
        assert answer.status_code == 200
        assert media_type in answer.headers["content-type"]
        assert f"/static/live/{name}" in page.text


async def test_the_page_holds_no_inline_script_or_style(gateway: Running) -> None:
    page = (await gateway.client.get("/")).text
    assert page.count("<script") == page.count('<script type="module" src="/static/live/')
    assert "<style" not in page
    assert " style=" not in page
    assert " on" + "click=" not in page


# --- the list ----------------------------------------------------------------------------------------


async def test_the_newest_decisions(gateway: Running) -> None:
    query = "limit=2&page_token=9&minimum_outcome=REVIEW&user_id=u1"
    answer = await gateway.client.get(f"/api/v1/decisions?{query}", headers={"x-usher-tenant": "brand"})
    body = answer.json()
    assert [item["event_id"] for item in body["decisions"]] == ["e2", "e1"]
    assert body["after"] == "2"
    assert body["next_page_token"] == "1"
    assert schema_problems(body, schemas.COMPONENTS["DecisionPage"]) == []
    (asked,) = gateway.ingest.calls
    assert (asked.tenant, asked.page_size, asked.page_token, asked.user_id) == ("brand", 2, "9", "u1")
    assert asked.minimum_outcome == decision_pb2.OUTCOME_REVIEW


async def test_a_page_of_fifty_unless_asked(gateway: Running) -> None:
    assert len((await gateway.client.get("/api/v1/decisions")).json()["decisions"]) == 50


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=-1", "limit"),
        ("limit=1e2", "limit"),
        ("limit=%D9%A1", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=2", "limit"),
        ("page_size=5", "query"),
        ("minimum_outcome=DENY", "minimum_outcome"),
        ("minimum_outcome=UNSPECIFIED", "minimum_outcome"),
        ("user_id=" + "u" * 256, "user_id"),
    ],
)
async def test_wrong_parameters_are_named(gateway: Running, query: str, field: str) -> None:
    body = is_problem(await gateway.client.get(f"/api/v1/decisions?{query}"), 422, "PARAMETER_INVALID")
    assert [error["field"] for error in body["errors"]] == [field]
    assert gateway.ingest.calls == []


# --- the feed ----------------------------------------------------------------------------------------


async def test_a_piece_counts_all_and_holds_the_newest(gateway: Running) -> None:
    later = asyncio.Event()
    first, last = LARGE, LARGE + 99
    batch = decisions(first, last - 1) + decisions(last, last, decision_pb2.OUTCOME_BLOCK)
    batch[0]["degraded"] = [decision_pb2.SERVICE_FRAUD]
    gateway.ingest.watched = [batch, later]
    (one,) = await read(gateway, 1, params={"after": str(LARGE - 1)})
    assert one["event"] == "decisions"
    assert one["id"] == str(last)
    assert schema_problems(one["data"], schemas.COMPONENTS["DecisionDigest"]) == []
    piece = one["data"]
    assert piece["position"] == str(last)
    assert piece["decided"] == 100
    assert piece["outcomes"] == {"ALLOW": 99, "ALLOW_WITH_CAUTION": 0, "REVIEW": 0, "BLOCK": 1}
    assert piece["degraded"] == {"fraud": 1}
    assert [item["position"] for item in piece["decisions"]] == list(range(last, last - 64, -1))
    assert piece["left_out"] == 36
    assert gateway.ingest.calls[0].after_position == LARGE - 1


async def test_nothing_is_lost_between_pieces(gateway: Running) -> None:
    gateway.ingest.watched = [decisions(n, n) for n in range(1, 41)]
    found = await read(gateway, 100, params={"after": "0"})
    pieces = [one["data"] for one in found if one["event"] == "decisions"]
    assert sum(piece["decided"] for piece in pieces) == 40
    shown = [item["position"] for piece in pieces for item in reversed(piece["decisions"])]
    assert shown == list(range(1, 41))
    assert len(pieces) < 10
    assert found[-1]["event"] == "end"


async def test_signs_of_life(gateway: Running) -> None:
    gateway.ingest.watched = [[], [], asyncio.Event()]
    assert [one["event"] for one in await read(gateway, 2)] == ["alive", "alive"]
    assert gateway.ingest.calls[0].after_position == -1


async def test_the_last_id_seen_wins(gateway: Running) -> None:
    gateway.ingest.watched = [[]]
    await read(gateway, 1, params={"after": "5"}, headers={"last-event-id": "7"})
    assert gateway.ingest.calls[0].after_position == 7


@pytest.mark.parametrize("after", ["-2", "x", "", str(1 << 63), "1.0"])
async def test_a_wrong_position(gateway: Running, after: str) -> None:
    is_problem(await gateway.client.get(STREAM, params={"after": after}), 422, "PARAMETER_INVALID")


async def test_the_end_says_why(gateway: Running) -> None:
    gateway.ingest.error = Unavailable("DATABASE_UNREACHABLE", "the database is away")
    (one,) = await read(gateway, 1)
    assert one["event"] == "end"
    assert one["data"] == {"reason": "DATABASE_UNREACHABLE", "message": "the database is away"}
    gateway.ingest.error = Internal("INTERNAL", "secret")
    (one,) = await read(gateway, 1)
    assert one["data"] == {"reason": "INTERNAL", "message": "internal error"}


async def test_a_reader_that_leaves_ends_the_call(gateway: Running) -> None:
    gateway.ingest.watched = [[], asyncio.Event()]
    # More often than streams may be open: each makes room for the next one.
    for _ in range(4):
        await read(gateway, 1)
        async with asyncio.timeout(60):
            await gateway.ingest.left.wait()
        gateway.ingest.left.clear()
    assert gateway.ingest.watching == 0


async def test_streams_have_a_limit_of_their_own(gateway: Running) -> None:
    gateway.ingest.watched = [[], asyncio.Event()]
    async with gateway.client.stream("GET", STREAM) as one, gateway.client.stream("GET", STREAM) as two:
        # Held: a generator that nobody holds is closed, and its connection with it.
        feeds = [messages(answer.aiter_lines()) for answer in (one, two)]
        for feed in feeds:
            await asyncio.wait_for(anext(feed), 5)
        refused = await gateway.client.get(STREAM)
        is_problem(refused, 429, "TOO_MANY_STREAMS")
        assert refused.headers["retry-after"] == "5"
        text = (await gateway.client.get("/metrics")).text
        assert "usher_http_streams_open 2.0" in text
        # Open streams are no running requests: only the request for the metrics is.
        assert "usher_http_requests_in_flight 1.0" in text


async def test_a_drain_ends_the_streams(gateway: Running) -> None:
    gateway.ingest.watched = [[], asyncio.Event()]
    found = []
    async with asyncio.timeout(60), gateway.client.stream("GET", STREAM) as answer:
        async for one in messages(answer.aiter_lines()):
            found.append(one)
            gateway.stop.set()
    assert [one["event"] for one in found] == ["alive", "end"]
    assert found[-1]["data"]["reason"] == "DRAINING"
