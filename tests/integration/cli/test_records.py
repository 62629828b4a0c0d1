"""`usher compliance requests`, `holds`, `breaches`, `retention`, `evidence` and `audit` against a served compliance."""

from __future__ import annotations

import asyncio
import json
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from typer.testing import CliRunner, Result

from cli.main import app
from tests.records import Served, served_records


class Desk:
    """The command, and what it speaks to."""

    def __init__(self, served: Served) -> None:
        self.served = served

    async def run(self, *line: str) -> Result:
        words = ["compliance", *line, "--target", self.served.target]
        return await asyncio.to_thread(CliRunner().invoke, app, words)

    async def json(self, *line: str) -> Any:
        done = await self.run(*line, "--json")
        assert done.exit_code == 0, done.output
        return [json.loads(one) for one in done.stdout.splitlines()]


@pytest_asyncio.fixture
async def desk(short_tmp_path: Path) -> AsyncIterator[Desk]:
    async with served_records(short_tmp_path) as served:
        yield Desk(served)


OPEN = ("requests", "open", "--user", "ann", "--country", "DE", "--actor", "dpo")


async def test_an_access_request_is_opened_listed_moved_on_and_exported(desk: Desk, tmp_path: Path) -> None:
    (one,) = await desk.json(*OPEN, "--right", "access")
    name = one["request_id"]
    assert [item["request_id"] for item in await desk.json("requests", "list", "--actor", "dpo")] == [name]
    for action in ("ask-identity", "confirm-identity"):
        assert (await desk.run("requests", "act", name, action, "--actor", "dpo")).exit_code == 0
    refused = await desk.run("requests", "act", name, "fulfil", "--actor", "dpo")
    assert (refused.exit_code, "handing out its bundle" in refused.output) == (2, True)
    file = tmp_path / "ann.zip"
    assert (await desk.run("requests", "export", name, str(file), "--actor", "dpo")).exit_code == 0
    assert zipfile.is_zipfile(file)
    shown = (await desk.run("requests", "show", name, "--actor", "dpo")).output
    assert "completed" in shown
    assert "EU_GDPR" in shown


async def test_an_overdue_request_ends_the_list_with_1(desk: Desk) -> None:
    await desk.json(*OPEN, "--right", "erasure", "--received", "2020-01-01T00:00:00Z")
    found = await desk.run("requests", "list", "--overdue", "--actor", "dpo")
    assert found.exit_code == 1
    assert "erasure" in found.output


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ((*OPEN, "--right", "magic"), "--right magic: one of access"),
        ((*OPEN, "--right", "access", "--received", "yesterday"), "--received:"),
        (("requests", "show", "none", "--actor", "dpo"), "REQUEST_UNKNOWN"),
    ],
)
async def test_what_is_wrong_is_told_in_one_line(desk: Desk, line: tuple[str, ...], told: str) -> None:
    done = await desk.run(*line)
    assert done.exit_code == 2
    assert told in done.output
    assert "Traceback" not in done.output


async def test_a_breach_has_a_countdown_a_draft_and_a_record_of_what_was_sent(desk: Desk) -> None:
    told = ("--aware", "2026-03-02T08:00:00Z", "--affected", "DE=12", "--risk", "likely", "--actor", "dpo")
    (breach,) = await desk.json("breaches", "register", "--description", "A backup was readable.", *told)
    name = breach["breach_id"]
    whom = ("--regulation", "EU_GDPR", "--to", "regulator", "--actor", "dpo")
    assert "A backup was readable." in (await desk.run("breaches", "draft", name, *whom)).output
    assert (await desk.run("breaches", "sent", name, *whom, "--note", "portal, ref. 9")).exit_code == 0
    (listed,) = await desk.json("breaches", "list", "--actor", "dpo")
    (duty,) = [one for one in listed["duties"] if one.get("sent_note")]
    # GDPR art. 33(1): 72 hours after having become aware.
    assert (duty["due_time"], duty["sent_note"]) == ("2026-03-05T08:00:00Z", "portal, ref. 9")


async def test_retention_counts_first_and_a_failure_is_told(desk: Desk) -> None:
    assert {one["kind"] for one in await desk.json("retention", "policies")} >= {"decisions", "failed_events"}
    dry = await desk.run("retention", "run", "--dry-run", "--actor", "dpo")
    assert (dry.exit_code, "would delete" in dry.output) == (0, True)
    (done,) = await desk.json("retention", "run", "--actor", "dpo")
    assert json.loads(done["report"])["kind"] == "retention_report"
    desk.served.ingest.broken = True
    failed = await desk.run("retention", "run", "--actor", "dpo")
    assert failed.exit_code == 2
    assert "Traceback" not in failed.output


async def test_evidence_verifies_and_a_changed_one_does_not(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "evidence.json"
    line = ("evidence", "export", str(file), "--period", "2020-01-01T00:00:00Z", "--actor", "dpo")
    assert (await desk.run(*line)).exit_code == 0
    check = ["compliance", "evidence", "verify", str(file)]
    good = await asyncio.to_thread(CliRunner().invoke, app, check)
    assert good.exit_code == 0, good.output
    document = json.loads(file.read_bytes())
    document["tenant"] = "another"
    file.write_text(json.dumps(document))
    assert (await asyncio.to_thread(CliRunner().invoke, app, check)).exit_code == 1


async def test_the_audit_log_is_listed_and_verified(desk: Desk) -> None:
    await desk.json(*OPEN, "--right", "access")
    actions = [one["action"] for one in await desk.json("audit", "list", "--actor", "dpo")]
    assert "compliance.OpenSubjectRequest" in actions
    assert (await desk.run("audit", "verify")).exit_code == 0
