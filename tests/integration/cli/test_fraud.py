"""`usher fraud` and `usher geo` against a running fraud: cards, pictures, verdicts, and what goes wrong."""

from __future__ import annotations

import asyncio
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli.main import app
from services.common.clock import ManualClock
from services.common.db import DatabaseSettings, open_database
from services.common.migrations import migrate
from services.common.policy import Part, PolicySetCache, write_policy_set
from services.common.server import ServerSettings, Service, start_server
from services.common.telemetry import TelemetrySettings, start_telemetry
from services.fraud import servicer
from services.fraud.engine import Engines
from services.fraud.forget import SubjectMemory
from services.fraud.ringbook import RingBook
from services.fraud.servicer import FraudServicer
from services.fraud.store import RingStore
from usher.event.v1 import event_pb2
from usher.fraud.v1 import fraud_pb2, fraud_pb2_grpc
from usher.policy.v1 import policy_pb2

NOW = 1_795_348_800_000
DEFAULTS = Path(servicer.__file__).parent / "defaults" / "parameters.yaml"
MEMBERS = [f"member{number}" for number in range(6)]
ADDRESS = "92.230.10.20"


def event(event_id: str, user: str, kind: str, ago_ms: int, address: str, **fields: str) -> bytes:
    one = event_pb2.Event(
        event_id=event_id, user_id=user, event_type=kind, region="DE", ip_address=address, **fields
    )
    if fields["device_id"] == "box":
        one.account.signup_ip_address = "203.0.113.9"
    one.event_time.FromMilliseconds(NOW - ago_ms)
    return one.SerializeToString()


def ring(number: int) -> list[bytes]:
    """Six accounts on one box, card and sign-up address, each at an address of its own."""
    return [
        event(f"r{number}-{who}", user, "play", 7_200_000 - number, f"92.230.11.{who + 1}", device_id="box",
              payment_fingerprint="card")
        for who, user in enumerate(MEMBERS)
    ]  # fmt: skip


def failures() -> list[bytes]:
    """Six strangers who fail at one address an hour ago."""
    return [
        event(f"f{who}", f"stranger{who}", "login_failed", 3_600_000, ADDRESS, device_id=f"phone{who}")
        for who in range(6)
    ]


@pytest.fixture
async def target(tmp_path: Path) -> AsyncIterator[str]:
    """A running fraud that has found one ring."""
    part = Part(policy_pb2.PART_KIND_FRAUD_PARAMETERS, "parameters", DEFAULTS.read_bytes())
    policy_set = write_policy_set(tmp_path / "policy", [part])
    clock, memory = ManualClock(NOW), SubjectMemory()
    telemetry = start_telemetry("fraud", TelemetrySettings())
    with open_database(DatabaseSettings(url=f"sqlite:///{tmp_path}/fraud.db"), schema="fraud") as database:
        migrate(database, "fraud")
        store = RingStore(database, clock)
        store.open()
        book = RingBook(memory, store, database, clock)
        engines = Engines(PolicySetCache(tmp_path / "policy"))
        fraud = FraudServicer(memory, store, database, engines, book, clock)
        for part in (ring(0), ring(1), failures()):
            request = fraud_pb2.AssessEventsRequest(
                tenant="dev", policy_set=policy_set, events=part, batch_time_ms=NOW
            )
            await fraud.AssessEvents(request, None)

        async def healthy() -> None:
            return None

        service = Service(
            fraud_pb2_grpc.add_FraudServiceServicer_to_server, fraud, "usher.fraud.v1.FraudService"
        )
        settings = ServerSettings(address="127.0.0.1:0", drain_notice=0.0)
        async with start_server(
            settings, [service], healthy=healthy, telemetry=telemetry, callers={}
        ) as server:
            yield server.target
    telemetry.shutdown()


async def usher(*arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, list(arguments))


async def test_from_the_list_to_a_verdict(target: str, tmp_path: Path) -> None:
    at = ("--target", target)
    [line] = (await usher("fraud", "rings", *at, "--json")).stdout.splitlines()
    found = json.loads(line)
    assert (found["members"], found["member_count"], found["flagged"]) == (MEMBERS, 6, True)
    ring_id = found["ring_id"]
    assert (await usher("fraud", "rings", *at)).stdout.startswith(f"{ring_id}  ")

    svg, png = tmp_path / "ring.svg", tmp_path / "ring.png"
    shown = await usher("fraud", "show", ring_id, *at, "--svg", str(svg), "--png", str(png), "--json")
    assert shown.exit_code == 0, shown.stderr
    card = json.loads(shown.stdout)
    assert card["ring"]["ring_id"] == ring_id
    assert card["neighbourhood"]["accounts"] == MEMBERS
    assert ElementTree.parse(svg).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert png.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    text = (await usher("fraud", "show", ring_id, *at)).stdout
    assert "members   member0, member1" in text
    assert "shares    device" in text
    assert "shares    payment" in text
    assert "innocent?" in text
    assert "box" not in text, "a fingerprint stands for the device"

    dismissed = await usher("fraud", "dismiss", ring_id, *at, "--note", "a shared flat")
    assert dismissed.exit_code == 0
    assert f"{ring_id}: dismissed, 6 accounts" in dismissed.stderr
    assert "a shared flat" in (await usher("fraud", "show", ring_id, *at)).stdout
    assert ring_id in (await usher("fraud", "rings", *at, "--dismissed")).stdout
    assert "reopen" in (await usher("fraud", "--help")).stdout
    assert (await usher("fraud", "reopen", ring_id, *at)).exit_code == 0
    assert (await usher("fraud", "rings", *at, "--dismissed")).stdout == ""
    # Another tenant's rings are none of this one's.
    assert (await usher("fraud", "rings", *at, "--tenant", "other")).stdout == ""


async def test_an_address_with_reasons_and_their_age(target: str) -> None:
    told = json.loads((await usher("geo", ADDRESS, "--target", target, "--json")).stdout)
    assert told["learnt"]["accounts"] == 6
    assert told["learnt"]["churn"] == 1
    ages = {
        reason["code"]: (reason["count"], round(reason["age_hours"], 1))
        for reason in told["learnt"]["reputation"]
    }
    assert ages == {"failed_sign_ins": (6, 1.0), "accounts_failed": (6, 1.0)}
    lines = (await usher("geo", ADDRESS, "--target", target)).stdout
    assert "6 failed sign ins, last 1.0 hours ago" in lines
    nobody = json.loads((await usher("fraud", "address", "92.230.99.1", "--target", target)).stdout)
    assert "reasons" not in nobody


async def test_what_goes_wrong_says_what_to_do(target: str, tmp_path: Path) -> None:
    at = ("--target", target)
    for command in ("show", "dismiss", "confirm", "reopen"):
        unknown = await usher("fraud", command, "ring_0000000000000000", *at)
        assert (unknown.exit_code, unknown.stdout) == (2, "")
        assert "usher fraud rings" in unknown.stderr, unknown.stderr
    other = await usher("fraud", "show", "ring_0000000000000000", *at, "--png", str(tmp_path / "ring.gif"))
    assert (other.exit_code, "ends with .png" in other.stderr) == (2, True)
    wrong = await usher("fraud", "address", "nowhere", *at)
    assert (wrong.exit_code, "no IPv4 or IPv6 address" in wrong.stderr) == (2, True)
    long = await usher("fraud", "dismiss", "ring_0000000000000000", *at, "--note", "x" * 3_000)
    assert (long.exit_code, "2,000 characters" in long.stderr) == (2, True)
    [line] = (await usher("fraud", "rings", *at, "--json")).stdout.splitlines()
    nowhere = await usher(
        "fraud", "show", json.loads(line)["ring_id"], *at, "--svg", str(tmp_path / "no" / "a.svg")
    )
    assert (nowhere.exit_code, "cannot write" in nowhere.stderr) == (2, True)


@pytest.mark.parametrize(
    "command",
    [
        ("fraud", "rings"),
        ("fraud", "show", "ring_0000000000000000"),
        ("fraud", "dismiss", "ring_0000000000000000"),
    ],
)
async def test_where_no_mesh_runs_it_says_how_to_start_one(command: tuple[str, ...], tmp_path: Path) -> None:
    nobody = await usher(*command, "--home", str(tmp_path))
    assert nobody.exit_code == 2
    assert "usher up" in nobody.stderr
    away = await usher(*command, "--target", f"unix:{tmp_path}/nobody.sock")
    assert away.exit_code == 2
    assert "usher up" in away.stderr


async def test_a_sweep_without_a_snapshot_says_where_one_comes_from(tmp_path: Path) -> None:
    nothing = await usher("fraud", "sweep", "--home", str(tmp_path))
    assert nothing.exit_code == 2
    assert "usher up" in nothing.stderr
    both = await usher("fraud", "sweep", "--snapshot", "a", "--redis-url-file", "b")
    assert (both.exit_code, "name that" in both.stderr) == (2, True)


@pytest.mark.parametrize("command", ["rings", "sweep", "show", "confirm", "dismiss", "reopen", "address"])
async def test_help_has_an_example(command: str) -> None:
    helped = await usher("fraud", command, "--help")
    assert helped.exit_code == 0
    assert f"  usher fraud {command} " in helped.stdout


async def test_help_of_geo_has_examples() -> None:
    assert "  usher geo 92.230.10.20" in (await usher("geo", "--help")).stdout
