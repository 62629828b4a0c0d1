"""Tellings through every channel to real servers that fail, hang, redirect, are busy and break off; and through kill -9."""

from __future__ import annotations

import asyncio
import base64
import signal
import ssl
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import trustme
import yaml

from services.alerts.settings import DEFAULT_RULES
from services.common import webhooks
from tests.fakes import until
from tests.integration.alerts.process import Process, running
from tests.integration.alerts.servers import Hook, Mailbox, hooking, mailing
from tests.unit.alerts.messages import message
from usher.alerts.v1 import alerts_pb2

SECRET = webhooks.new_secret()
DELIVERY = {
    "USHER_ALERTS_DELIVERY_ALLOW_NETWORKS": "127.0.0.0/8",
    "USHER_ALERTS_DELIVERY_RETRY_FACTOR": "0.02",
    "USHER_ALERTS_DELIVERY_CLAIM_SECONDS": "2",
    "USHER_ALERTS_DELIVERY_TIMEOUT_SECONDS": "1",
}


def rules_file(folder: Path, channels: dict[str, dict[str, Any]], **parts: Any) -> dict[str, str]:
    """Writes rules that tell everything to all channels at once; returns the environment that names them."""
    content = yaml.safe_load(DEFAULT_RULES.read_text())
    content["channels"] = channels
    content["routes"] = []
    content["otherwise"] = {"channels": list(channels)}
    path = folder / "alerting.yaml"
    path.write_text(yaml.safe_dump({**content, **parts}))
    return {"USHER_ALERTS_RULES_FILE": str(path), **DELIVERY}


def secret_file(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text + "\n")
    return str(path)


def webhook(folder: Path, hook: Hook, scheme: str = "http", **more: Any) -> dict[str, Any]:
    secrets = [secret_file(folder, "webhook-secret", SECRET)]
    return {"type": "webhook", "url": f"{scheme}://127.0.0.1:{hook.port}/x", "secret_files": secrets, **more}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def ca_file(authority: trustme.CA, folder: Path) -> str:
    path = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


async def settled(alerts: Process, tellings: int) -> list[alerts_pb2.Delivery]:
    """All deliveries, once so many have been delivered."""
    async with asyncio.timeout(60):
        while True:
            request = alerts_pb2.ListDeliveriesRequest(tenant="acme", page_size=1_000)
            found = list((await alerts.stub.ListDeliveries(request, timeout=20)).deliveries)
            if sum(one.state == alerts_pb2.DELIVERY_STATE_DELIVERED for one in found) >= tellings:
                return found
            await asyncio.sleep(0.05)


async def refused(alerts: Process, channel: str) -> list[alerts_pb2.Delivery]:
    """Deliveries of a channel, once one of them has failed and says why."""
    request = alerts_pb2.ListDeliveriesRequest(tenant="acme", page_size=1_000, channel=channel)
    async with asyncio.timeout(30):
        while True:
            found = list((await alerts.stub.ListDeliveries(request, timeout=20)).deliveries)
            if any(one.response for one in found):
                return found
            await asyncio.sleep(0.05)


async def test_each_channel_says_it_in_its_own_way(short_tmp_path: Path, authority: trustme.CA) -> None:
    folder, slack, sms, hook, mailbox = short_tmp_path, Hook(), Hook(), Hook(), Mailbox(refusals=1)
    async with hooking(slack, sms), hooking(hook, tls=server_tls(authority)):
        with mailing(mailbox, server_tls(authority)) as smtp:
            trusted = ca_file(authority, folder)
            channels = {
                "chat": {
                    "type": "slack",
                    "url_file": secret_file(folder, "slack", f"http://127.0.0.1:{slack.port}/services/T0"),
                    "link": "https://usher.example.org",
                },
                "phone": {
                    "type": "sms",
                    "account": "AC123",
                    "token_file": secret_file(folder, "token", "t0ken"),
                    "from": "+15005550006",
                    "to": ["+4915550001", "+4915550002"],
                    "url": f"http://127.0.0.1:{sms.port}",
                },
                "soc": webhook(folder, hook, "https", ca_file=trusted, show_entities=True),
                "mail": {
                    "type": "email",
                    "host": "127.0.0.1",
                    "port": smtp,
                    "ca_file": trusted,
                    "username": "user@example.org",
                    "from": "usher@example.org",
                    "to": ["ops@example.org"],
                    "password_file": secret_file(folder, "password", "secret"),
                },
            }
            env = rules_file(folder, channels)
            async with running(folder, f"sqlite:///{folder}/a.db", **env) as alerts:
                nasty = message(summary='<script>alert(1)</script> & "co"', entity="jane.doe", severity=4)
                await alerts.raise_(nasty)
                log = {one.channel: one for one in await settled(alerts, 4)}
                assert await alerts.end() == 0
    telling = hook.ids()[0]

    (told,) = hook.taken
    assert webhooks.verify(webhooks.key_of(SECRET), told["_headers"], told["_raw"], told["_at"]) == telling
    assert told["_headers"]["idempotency-key"] == telling
    assert (told["type"], told["data"]["entity"], told["data"]["severity"]) == (
        "alert.told",
        "jane.doe",
        "critical",
    )
    (chat,) = slack.taken
    assert chat["blocks"][0]["type"] == "header"
    assert [one["text"]["text"] for one in chat["blocks"][-1]["elements"]] == [
        "Open",
        "Acknowledge",
        "Snooze",
    ]
    assert "&lt;script&gt;" in chat["text"]
    assert telling in str(chat)
    forms = [parse_qs(one["form"]) for one in sms.taken]
    assert [one["To"][0] for one in forms] == ["+4915550001", "+4915550002"]
    assert all(one["Body"][0].endswith(telling[-8:]) and len(one["Body"][0]) <= 320 for one in forms)
    assert sms.taken[0]["_path"].startswith("POST /2010-04-01/Accounts/AC123/Messages.json ")
    basic = sms.taken[0]["_headers"]["authorization"].removeprefix("Basic ")
    assert base64.b64decode(basic) == b"AC123:t0ken"
    (mail,) = mailbox.taken
    text, markup = mail.get_payload()
    assert mail["X-Usher-Id"] == telling
    assert "<script>" not in markup.get_payload(decode=True).decode()
    assert "&lt;script&gt;" in markup.get_payload(decode=True).decode()
    assert "usher alerts ack" in text.get_payload(decode=True).decode()
    # A chat and a mailbox are read by many: nobody is named there, nor in the log.
    others = [str(slack.taken), str(sms.taken), mail.as_string(), str(alerts.lines)]
    assert not any("jane.doe" in one for one in others)
    assert (log["soc"].status, log["soc"].attempts) == (200, 1)
    assert (log["mail"].status, log["mail"].attempts) == (250, 2)


@pytest.mark.parametrize(
    ("database", "people", "levels"), [("sqlite", 8, (1, 2, 3, 4)), ("postgresql", 4, (1, 3, 4))]
)
async def test_everything_arrives_once_and_in_order_at_servers_that_misbehave_and_through_kill_9(
    short_tmp_path: Path,
    authority: trustme.CA,
    request: pytest.FixtureRequest,
    database: str,
    people: int,
    levels: tuple[int, ...],
) -> None:
    folder = short_tmp_path
    url = f"sqlite:///{folder}/a.db"
    if database == "postgresql":
        url = request.getfixturevalue("postgres_url")
    hooks = {
        "fails": Hook("500", "500", "500"),
        "hangs": Hook("hang", "hang"),
        "redirects": Hook("redirect", "redirect"),
        "busy": Hook("busy", "busy"),
        "breaks": Hook("break", "200", "break"),
        "well": Hook(),
    }
    broken_tls = Hook()
    mailbox = Mailbox(refusals=2)
    entities, crashes = [f"u{n}" for n in range(people)], 0
    async with hooking(*hooks.values(), broken_tls):
        with mailing(mailbox, server_tls(authority)) as smtp:
            channels: dict[str, dict[str, Any]] = {
                name: webhook(folder, hook) for name, hook in hooks.items()
            }
            # TLS is spoken to a server that speaks none.
            channels["no-tls"] = webhook(folder, broken_tls, "https")
            channels["mail"] = {
                "type": "email",
                "host": "127.0.0.1",
                "port": smtp,
                "ca_file": ca_file(authority, folder),
                "username": "user@example.org",
                "from": "usher@example.org",
                "to": ["ops@example.org"],
                "password_file": secret_file(folder, "password", "secret"),
            }
            env = rules_file(folder, channels, storm={"tellings_per_minute": 10_000}, inhibition=[])
            for level in levels:
                async with running(folder, url, **env) as alerts:
                    await alerts.raise_(
                        *(message(f"{level}.{one}", entity=one, severity=level) for one in entities)
                    )
                    if level != levels[-1]:
                        # In the middle of delivering: some are out, some under way, some waiting.
                        before = len(hooks["well"].taken)
                        await until(partial(has_taken, hooks["well"], before + 2), 20.0)
                        assert await alerts.end(signal.SIGKILL) == -signal.SIGKILL
                        crashes += 1
                        continue
                    expected = len(entities) * len(levels)
                    await settled(alerts, expected * (len(channels) - 1))
                    refusing = await refused(alerts, "no-tls")
                    assert await alerts.end() == 0
    assert crashes == len(levels) - 1
    for name, hook in hooks.items():
        times = Counter(hook.ids())
        assert len(times) == expected, name
        assert max(times.values()) <= 1 + crashes, name
        in_order(name, [(one["data"]["entity"], one["data"]["severity"]) for one in hook.taken])
    mails = Counter(mail["X-Usher-Id"] for mail in mailbox.taken)
    assert len(mails) == expected
    assert max(mails.values()) <= 1 + crashes
    # Retry-After was respected: none of them came again within the second that was asked for.
    arrived = {one["_headers"]["webhook-id"]: one["_at"] for one in hooks["busy"].taken}
    assert len(hooks["busy"].busy_at) == 2
    assert all(arrived[name] >= at + 0.99 for name, at in hooks["busy"].busy_at)
    # What cannot be delivered holds up nobody, says why, and is kept.
    assert not broken_tls.taken
    assert all(one.state != alerts_pb2.DELIVERY_STATE_DELIVERED for one in refusing)
    assert any("Error" in one.response for one in refusing)


def has_taken(hook: Hook, count: int) -> bool:
    return len(hook.taken) >= count


def in_order(name: str, told: list[tuple[str, str]]) -> None:
    """Severities of each entity rise; a repeat after a crash may say one again."""
    ranks = {"low": 1, "medium": 2, "high": 3, "critical": 4}
    reached: dict[str, int] = {}
    for entity, severity in told:
        assert ranks[severity] >= reached.get(entity, 0), (name, entity)
        reached[entity] = ranks[severity]


async def test_a_webhook_into_our_own_network_is_refused_and_the_dead_letter_can_be_replayed(
    short_tmp_path: Path,
) -> None:
    hook = Hook()
    async with hooking(hook):
        env = rules_file(short_tmp_path, {"soc": webhook(short_tmp_path, hook, "https")})
        url = f"sqlite:///{short_tmp_path}/a.db"
        strict = {k: v for k, v in env.items() if "ALLOW" not in k}
        strict |= {"USHER_ALERTS_DELIVERY_ATTEMPTS": "2"}
        async with running(short_tmp_path, url, **strict) as alerts:
            await alerts.raise_(message())
            async with asyncio.timeout(20):
                while True:
                    request = alerts_pb2.ListDeliveriesRequest(
                        tenant="acme", state=alerts_pb2.DELIVERY_STATE_DEAD
                    )
                    found = (await alerts.stub.ListDeliveries(request, timeout=20)).deliveries
                    if found:
                        break
                    await asyncio.sleep(0.05)
            assert "not a public address" in found[0].response
            assert found[0].attempts == 2
        assert hook.refused == 0
        env = rules_file(short_tmp_path, {"soc": webhook(short_tmp_path, hook)})
        async with running(short_tmp_path, url, **env) as alerts:
            replay = alerts_pb2.ReplayDeliveriesRequest(tenant="acme", channel="soc", actor="ann")
            answer = await alerts.stub.ReplayDeliveries(replay, timeout=20, wait_for_ready=True)
            assert answer.replayed == 1
            await settled(alerts, 1)
    assert hook.ids() == [found[0].telling_id]


async def test_a_channel_that_does_not_get_through_raises_an_alert_of_its_own(short_tmp_path: Path) -> None:
    hook = Hook(*["500"] * 1_000)
    async with hooking(hook):
        channels = {"soc": webhook(short_tmp_path, hook), "log": {"type": "log"}}
        env = rules_file(short_tmp_path, channels)
        env |= {"USHER_ALERTS_DELIVERY_DEAD_AFTER_SECONDS": "0.05"}
        async with running(short_tmp_path, f"sqlite:///{short_tmp_path}/a.db", **env) as alerts:
            await alerts.raise_(message())
            async with asyncio.timeout(40):
                while True:
                    listed = (await alerts.list_(kind="channel.dead")).alerts
                    if listed:
                        break
                    await asyncio.sleep(0.1)
    assert (listed[0].entity, listed[0].severity) == ("soc", alerts_pb2.SEVERITY_HIGH)


async def test_a_secret_that_is_missing_refuses_the_start(short_tmp_path: Path) -> None:
    channels = {"soc": {"type": "webhook", "url": "https://example.org", "secret_files": ["/nowhere"]}}
    env = rules_file(short_tmp_path, channels)
    process = Process(short_tmp_path, f"sqlite:///{short_tmp_path}/a.db", **env)
    await process.start()
    assert await asyncio.wait_for(process.process.wait(), 20) == 2
    await process.end()
    assert "channels.soc" in " ".join(line["message"] for line in process.lines)
