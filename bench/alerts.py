"""Alerts under load: `python -m bench.alerts storm` and `python -m bench.alerts latency`.

storm: 100,000 messages in 60 s over 500 entities to the alerts service as a process of its own. Memory, alerts opened,
tellings, digests, and how late the gravest were told, on an own HTTP server.

latency: a real ingest (its neighbours are programmable servers that block every event) and a real alerts service; from
the answer of DecideEvents to the arrival of the signed webhook, at a fixed rate by timetable.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import yaml

from services.alerts.settings import DEFAULT_RULES
from services.common.webhooks import new_secret
from tests.fakes import TENANT, FakeMesh, Front, event, running_ingest, until
from tests.integration.alerts.process import Process, running
from tests.integration.alerts.servers import Hook, hooking
from usher.alerts.v1 import alerts_pb2
from usher.decision.v1 import decision_pb2

LATE_S = 2.0
"""The gravest are told within this, whatever the storm."""
BUDGET_P99_S = 1.0


def rules(folder: Path, hook: Hook, **parts: Any) -> dict[str, str]:
    """Rules whose only channel is the hook; the environment that names them."""
    content = yaml.safe_load(DEFAULT_RULES.read_text())
    (folder / "secret").write_text(new_secret())
    url = f"http://127.0.0.1:{hook.port}/hook"
    content["channels"] = {"soc": {"type": "webhook", "url": url, "secret_files": [str(folder / "secret")]}}
    content["otherwise"] = {"channels": ["soc"]}
    (folder / "rules.yaml").write_text(yaml.safe_dump({**content, **parts}))
    return {
        "USHER_ALERTS_RULES_FILE": str(folder / "rules.yaml"),
        "USHER_ALERTS_DELIVERY_ALLOW_NETWORKS": "127.0.0.0/8",
        "USHER_ALERTS_DELIVERY_POLL_SECONDS": "1",
        "USHER_ALERTS_DELIVERY_CLAIM_SECONDS": "20",
        "USHER_ALERTS_DELIVERY_TIMEOUT_SECONDS": "10",
        "USHER_ALERTS_DATABASE_UNSAFE_FSYNC": "false",
    }


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Resident memory of a process, MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


async def storm(folder: Path, messages: int, seconds: float, entities: int) -> dict[str, Any]:
    """One storm; returns its figures."""
    hook = Hook()
    async with hooking(hook):
        env = rules(folder, hook)
        async with running(folder, f"sqlite:///{folder}/alerts.db", **env) as alerts:
            await alerts.raise_(message(-1, 0, time.time()))
            before = peak = resident_mb(alerts.process.pid)
            batch, sent, raised = 100, 0, dict[str, float]()
            began = time.monotonic()
            calls: set[asyncio.Task[Any]] = set()
            lag = 0.0
            while sent < messages:
                due = began + sent / messages * seconds
                pause = due - time.monotonic()
                if pause > 0:
                    await asyncio.sleep(pause)
                lag = max(lag, time.monotonic() - due)
                now = time.time()
                some = [message(n, n % entities, now) for n in range(sent, sent + batch)]
                for one in some:
                    if one.severity == alerts_pb2.SEVERITY_CRITICAL:
                        raised.setdefault(one.entity, now)
                calls.add(asyncio.create_task(alerts.raise_(*some)))
                sent += batch
                if len(calls) >= 8:
                    _, calls = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
                peak = max(peak, resident_mb(alerts.process.pid))
            await asyncio.gather(*calls)
            took = time.monotonic() - began
            await settle(alerts)
            listed = await every_alert(alerts)
            peak = max(peak, resident_mb(alerts.process.pid))
            await alerts.end()
    told = {
        one["data"]["entity"]: one["_at"]
        for one in reversed(hook.taken)
        if one["data"]["severity"] == "critical" and one["data"]["kind"] != "storm"
    }
    waits = sorted(told[name] - at for name, at in raised.items() if name in told)
    digests = [one for one in hook.taken if one["data"]["kind"] == "storm"]
    storms = [alert for alert in listed if alert.kind == "storm"]
    others = [alert for alert in listed if alert.kind not in ("storm",) and alert.entity != "warm"]
    return {
        "messages": messages,
        "seconds": round(took, 1),
        "latest_call_s": round(lag, 2),
        "groups": len(others),
        "counted": sum(alert.count for alert in others),
        "tellings": len(hook.taken),
        "digests_told": len(digests),
        "alerts_in_digests": sum(alert.count for alert in storms),
        "gravest": len(raised),
        "gravest_told": len(waits),
        "gravest_p50_s": round(statistics.median(waits), 3) if waits else None,
        "gravest_latest_s": round(waits[-1], 3) if waits else None,
        "memory_before_mb": round(before, 1),
        "memory_peak_mb": round(peak, 1),
    }


def message(number: int, entity: int, now: float) -> alerts_pb2.AlertMessage:
    """One message of the storm: one entity in twenty turns critical, in the second half of its messages."""
    critical = number >= 0 and entity % 20 == 0 and number // 500 % 2 == 1
    built = alerts_pb2.AlertMessage(
        tenant="acme",
        event_id=f"s{number}",
        kind="decision.block",
        entity_kind="ring",
        entity=f"r{entity}" if number >= 0 else "warm",
        severity=alerts_pb2.SEVERITY_CRITICAL if critical else 1 + entity % 3,  # type: ignore[arg-type]
        summary="a storm",
    )
    built.event_time.FromMilliseconds(round(now * 1000))
    return built


async def settle(alerts: Process) -> None:
    """Waits until nothing is due any more, at most a minute and a half: a digest goes out when its minute ends."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        request = alerts_pb2.ListDeliveriesRequest(
            tenant="acme", page_size=1, state=alerts_pb2.DELIVERY_STATE_PENDING
        )
        if not (await alerts.stub.ListDeliveries(request, timeout=20)).deliveries:
            return
        await asyncio.sleep(0.5)


async def every_alert(alerts: Process) -> list[alerts_pb2.Alert]:
    """All alerts of the tenant."""
    found: list[alerts_pb2.Alert] = []
    token = ""
    while True:
        page = await alerts.list_(page_size=1_000, page_token=token)
        found += page.alerts
        token = page.next_page_token
        if not token:
            return found


async def latency(folder: Path, rate: float, seconds: float) -> dict[str, Any]:
    """One run by timetable; returns its figures."""
    hook = Hook()
    socket_folder = folder / "m"
    socket_folder.mkdir()
    mesh = FakeMesh(socket_folder)
    async with hooking(hook), contextlib.AsyncExitStack() as stack:
        env = rules(folder, hook, storm={"tellings_per_minute": 100_000, "always": "critical"}, inhibition=[])
        env["USHER_ALERTS_SERVER_ADDRESS"] = mesh.target("alerts")
        alerts = Process(folder, f"sqlite:///{folder}/alerts.db", **env)
        await alerts.start()
        stack.push_async_callback(alerts.end)
        warm = message(-1, 0, time.time())
        await alerts.raise_(warm)
        for name in ("compliance", "scoring", "fraud"):
            await mesh.start(name)
            stack.push_async_callback(mesh.stop, name)
        front = await stack.enter_async_context(running_ingest(f"sqlite:///{folder}/ingest.db", mesh))
        number = round(rate * seconds)
        mesh.scoring.outcomes = {f"e{n}": decision_pb2.OUTCOME_BLOCK for n in range(-20, number)}
        for n in range(-20, 0):
            await decide(front, n, {})
        await until(lambda: len(hook.taken) >= 21, 30.0)
        before = cpu_seconds(alerts.process.pid)
        answered: dict[str, float] = {}
        began, lag = time.monotonic(), 0.0
        calls = []
        for n in range(number):
            due = began + n / rate
            pause = due - time.monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
            lag = max(lag, time.monotonic() - due)
            calls.append(asyncio.create_task(decide(front, n, answered)))
        await asyncio.gather(*calls)
        with contextlib.suppress(TimeoutError):
            await until(lambda: len(hook.taken) >= number + 21, 30.0)
        used = cpu_seconds(alerts.process.pid) - before
    arrived: dict[str, float] = {}
    for one in hook.taken:
        arrived.setdefault(one["data"]["first_event_id"], one["_at"])
    waits = sorted(at - answered[name] for name, at in arrived.items() if name in answered)
    return {
        "rate": rate,
        "sent": number,
        "arrived": len(waits),
        "latest_call_s": round(lag, 3),
        "p50_ms": round(statistics.median(waits) * 1000, 1),
        "p99_ms": round(waits[min(len(waits) - 1, round(len(waits) * 0.99))] * 1000, 1),
        "largest_ms": round(waits[-1] * 1000, 1),
        "alerts_cpu_us_each": round(used / number * 1e6),
        "load": round(os.getloadavg()[0], 1),
    }


async def decide(front: Front, n: int, answered: dict[str, float]) -> None:
    """Decides one event; notes when the answer came."""
    await front.decide([event(f"e{n}", f"u{n}")], TENANT)
    answered[f"e{n}"] = time.time()


@contextlib.asynccontextmanager
async def folder_of_its_own() -> AsyncIterator[Path]:
    """A short folder: a socket's path holds about a hundred bytes."""
    folder = Path(tempfile.mkdtemp(prefix="ub"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def main() -> int:
    """Runs what was asked for; 1 where a figure is not what it must be."""
    parser = argparse.ArgumentParser(prog="python -m bench.alerts", description=__doc__)
    parser.add_argument("what", choices=["storm", "latency"])
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=None, help="default 60 for storm, 30 for latency")
    parser.add_argument("--entities", type=int, default=500)
    parser.add_argument("--rate", type=float, default=200.0)
    asked = parser.parse_args()
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    async with folder_of_its_own() as folder:
        if asked.what == "storm":
            found = await storm(folder, asked.messages, asked.seconds or 60.0, asked.entities)
            well = (
                found["groups"] <= asked.entities
                and found["counted"] == asked.messages
                and found["digests_told"] >= 1
                and found["gravest_told"] == found["gravest"]
                and found["gravest_latest_s"] <= LATE_S
            )
        else:
            found = await latency(folder, asked.rate, asked.seconds or 30.0)
            well = found["arrived"] == found["sent"] and found["p99_ms"] <= BUDGET_P99_S * 1000
    print(json.dumps({**found, "well": well}, indent=2))
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
