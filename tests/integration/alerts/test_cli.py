"""`usher alerts` against the service as a process of its own."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import yaml
from typer.testing import CliRunner, Result

from cli.main import app
from services.alerts.settings import DEFAULT_RULES
from tests.integration.alerts.process import running
from tests.unit.alerts.messages import message
from usher.alerts.v1 import alerts_pb2


async def test_the_commands_work_on_alerts_and_incidents(short_tmp_path: Path) -> None:
    folder = short_tmp_path
    content = yaml.safe_load(DEFAULT_RULES.read_text())
    content["channels"] = {"log": {"type": "log"}, "night": {"type": "log"}}
    hours = {"zone": "Europe/Berlin", "from": "08:00", "to": "18:00", "outside": ["night"]}
    content["routes"] = [{"name": "office", "severity": "high", "channels": ["log"], "hours": hours}]
    (folder / "r.yaml").write_text(yaml.safe_dump(content))
    env = {"USHER_ALERTS_RULES_FILE": str(folder / "r.yaml")}
    async with running(folder, f"sqlite:///{folder}/a.db", **env) as alerts:
        target = ["--target", f"unix:{folder}/a.sock", "--tenant", "acme"]

        async def usher(*words: str, status: int = 0) -> Result:
            result = await asyncio.to_thread(CliRunner().invoke, app, ["alerts", *words, *target])
            assert result.exit_code == status, result.output
            return result

        device = [alerts_pb2.Subject(kind="device", value="d7")]
        results = await alerts.raise_(
            message("e1", severity=4, subjects=device), message("e2", entity="u2", subjects=device)
        )
        first = results[0].alert_id

        listed = [json.loads(line) for line in (await usher("list", "--json")).stdout.splitlines()]
        assert {one["entity"] for one in listed} == {"u1", "u2"}
        assert "critical" in (await usher("list", "--minimum-severity", "critical")).stdout
        assert "fit into what is left" in (await usher("queue", "--capacity", "1")).stderr
        look = await usher("ack", "--search", "device=d7", "--preview")
        assert "2 selected, 2 would change, 2 entities" in look.stderr
        assert "1 changed" in (await usher("ack", first, "--actor", "ann")).stderr
        await usher("assign", "bob", first)
        shown = await usher("show", first)
        assert "assignee      bob" in shown.stdout
        assert "acknowledged" in shown.stdout
        assert "delivered" in shown.stdout
        await usher("resolve", "--search", "device=d7", "--false-alarm", "--note", "family")
        states = [json.loads(line)["state"] for line in (await usher("list", "--json")).stdout.splitlines()]
        assert states == ["ALERT_STATE_FALSE_ALARM"] * 2
        assert "there is no such alert" in (await usher("ack", "alert_x", status=1)).stderr

        quiet = await usher("snooze", "user=u3", "--reason", "travels", "--json")
        name = json.loads(quiet.stdout)["snooze_id"]
        assert "u3" in (await usher("snooze")).stdout
        await usher("snooze", "--lift", name)
        assert "say with --reason why" in (await usher("snooze", "user=u3", status=2)).stderr

        route = ["route", "--test", "--severity", "critical", "--json"]
        day = json.loads((await usher(*route, "--at", "2026-11-25T10:00:00Z")).stdout)
        night = json.loads((await usher(*route, "--at", "2026-11-25T03:00:00Z")).stdout)
        assert [one["channel"] for one in day["tellings"]] == ["log"]
        assert [one["channel"] for one in night["tellings"]] == ["night"]
        assert day["opens_incident"]
        await usher("route", status=2)

        words = (await usher("incidents")).stdout.split()
        number = next(word for word in words if word.startswith("INC-"))
        told = await usher("incidents", number, "--state", "resolved", "--note", "done", "--actor", "ann")
        assert "labels" in told.stdout
        wrong = await usher("incidents", number, "--state", "acknowledged", status=2)
        assert "what may follow is open" in wrong.stderr
        assert "delivered" in (await usher("deliveries")).stdout
        assert "0 dead letters" in (await usher("replay")).stderr
        assert "is no severity" in (await usher("list", "--minimum-severity", "grave", status=2)).stderr
