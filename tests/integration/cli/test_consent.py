"""`usher consent show`, `record` and `verify` against a served ledger."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from click.testing import Result
from typer.testing import CliRunner

from cli.main import app
from services.common.clock import SystemClock
from services.common.db import Database, DatabaseSettings, open_database
from services.common.migrations import migrate
from services.common.server import ServerSettings, Service, start_server
from services.common.telemetry import Telemetry, TelemetrySettings
from services.compliance.servicer_consents import ConsentServicer
from services.compliance.store_consents import ConsentStore
from usher.compliance.v1 import consent_pb2_grpc


class Ledger:
    """A served ledger and the command that speaks to it."""

    def __init__(self, target: str, database: Database) -> None:
        self.target = target
        self.database = database

    async def run(self, command: str, *arguments: str) -> Result:
        line = ["consent", command, *arguments, "--target", self.target]
        return await asyncio.to_thread(CliRunner().invoke, app, line)

    async def json(self, command: str, *arguments: str) -> Any:
        done = await self.run(command, *arguments, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)


@pytest_asyncio.fixture
async def ledger(short_tmp_path: Path) -> AsyncIterator[Ledger]:
    telemetry = Telemetry("test", TelemetrySettings(), None)
    async with open_database(DatabaseSettings(url=f"{short_tmp_path}/c.db"), schema="compliance") as database:
        await asyncio.to_thread(migrate, database, "compliance")
        servicer = ConsentServicer(ConsentStore(database), telemetry.registry, SystemClock())
        service = Service(
            consent_pb2_grpc.add_ConsentServiceServicer_to_server,
            servicer,
            "usher.compliance.v1.ConsentService",
        )
        settings = ServerSettings(f"unix:{short_tmp_path}/c.sock", drain_notice=0.0)
        async with start_server(settings, [service], healthy=database.ping, telemetry=telemetry) as server:
            await server.wait_serving()
            yield Ledger(server.target, database)


async def test_record_show_and_verify(ledger: Ledger) -> None:
    given = ("ann", "given", "analytics", "personalisation", "--time", "2026-03-01T00:00:00Z")
    recorded = await ledger.json(
        "record",
        *given,
        "--source",
        "call_centre",
        "--scope",
        "terminal_access",
        "--policy",
        "2026-01",
        "--proof",
        "call 17",
        "--request-id",
        "r1",
    )
    assert [receipt["seq"] for receipt in recorded["receipts"]] == [1, 2]
    withdrawn = await ledger.run("record", "ann", "withdrawn", "analytics", "--time", "2026-06-01T00:00:00Z")
    assert withdrawn.exit_code == 0
    assert withdrawn.stdout.startswith("cr_")

    now = await ledger.json("show", "ann")
    assert [(state["purpose"], state["status"]) for state in now["states"]] == [
        ("analytics", "withdrawn"),
        ("personalisation", "granted"),
    ]
    assert now["ledger_version"] == 3
    then = await ledger.json("show", "ann", "--time", "2026-04-01T00:00:00Z")
    assert [state["status"] for state in then["states"]] == ["granted", "granted"]
    assert then["states"][0]["record"] == {
        "act": "given",
        "purpose": "analytics",
        "source": "call_centre",
        "policy_version": "2026-01",
        "scope": ["terminal_access"],
        "effective_time": "2026-03-01T00:00:00Z",
        "proof": {"reference": "call 17"},
    }
    unknown = await ledger.json("show", "ann", "--known", "2026-01-01T00:00:00Z")
    assert unknown["states"] == []

    history = await ledger.json("show", "ann", "--history")
    assert [entry["act"] for entry in history["entries"]] == ["withdrawn", "given", "given"]
    table = await ledger.run("show", "ann", "--history")
    assert "withdrawn" in table.stdout
    assert "nothing is known" in (await ledger.run("show", "ben")).stdout
    assert (await ledger.json("verify")) == {"checked": 3, "erased": 0, "broken_seq": 0, "broken": ""}


async def test_a_broken_chain_is_told(ledger: Ledger) -> None:
    await ledger.run("record", "ann", "given", "analytics")

    def alter() -> None:
        with ledger.database.begin() as connection:
            connection.execute(sa.text("UPDATE consents SET act = 3"))

    await asyncio.to_thread(alter)
    done = await ledger.run("verify")
    assert done.exit_code == 1
    assert "broken at entry 1" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("record", "ann", "agreed", "analytics"), "given, refused, withdrawn"),
        (("record", "ann", "given", "Not a purpose"), "purpose"),
        (("record", "ann", "given", "analytics", "--time", "yesterday"), "RFC 3339"),
        (("record", "ann", "given", "analytics", "--string", "2YNN"), "VERSION_UNKNOWN|version 2"),
        (("show", "ann", "--time", "yesterday"), "--time"),
        (("show", "a b"), "USER_ID_INVALID"),
    ],
)
async def test_what_is_wrong_is_told_in_a_line(ledger: Ledger, arguments: tuple[str, ...], told: str) -> None:
    done = await ledger.run(*arguments)
    assert done.exit_code == 2
    assert any(word in done.stderr for word in told.split("|")), done.stderr
