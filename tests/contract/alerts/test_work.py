"""Keeping quiet, escalating, storms, incidents, acts and the work queue, on SQLite and on a real PostgreSQL, with a
clock that is an argument."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.alerts import tables
from services.alerts.rules import Rules, parse
from services.alerts.selection import Filter
from services.alerts.settings import DEFAULT_RULES
from services.alerts.store import AlertStore
from services.alerts.store_deliveries import DeliveryStore, Result
from services.alerts.store_incidents import IncidentStore
from services.alerts.tellings import Delivery
from services.common.db import Database, DatabaseSettings, open_database
from services.common.errors import FailedPrecondition, NotFound
from services.common.migrations import migrate
from tests.unit.alerts.messages import MINUTE_MS, NOON_MS, message
from usher.alerts.v1 import alerts_pb2
from usher.ingest.v1 import labels_pb2

P = alerts_pb2
LOW, MEDIUM, HIGH, CRITICAL = P.SEVERITY_LOW, P.SEVERITY_MEDIUM, P.SEVERITY_HIGH, P.SEVERITY_CRITICAL
HOUR_MS = 60 * MINUTE_MS


def rules(**parts: Any) -> Rules:
    content = yaml.safe_load(DEFAULT_RULES.read_text())
    content["channels"] = {name: {"type": "log"} for name in ("log", "phone")}
    content["routes"] = [
        {"channels": ["log"], "escalate": [{"after_minutes": 15, "channels": ["phone"]}]},
    ]
    return parse(yaml.safe_dump({**content, **parts}))


class Rig:
    """The stores over one database."""

    def __init__(self, database: Database, rules_: Rules) -> None:
        self.database = database
        self.alerts = AlertStore(database, rules_)
        self.deliveries = DeliveryStore(database)
        self.incidents = IncidentStore(database, rules_)

    async def raise_(self, *messages: alerts_pb2.AlertMessage, at: int = NOON_MS) -> list[str]:
        return [one.alert_id for one in await self.alerts.raise_messages(messages, at)]

    async def told(self, channel: str = "log", at: int = NOON_MS) -> list[Delivery]:
        """Delivers everything that is due."""
        found: list[Delivery] = []
        while some := (await self.deliveries.exchange(channel, [], 1_000, at, 1_000)).deliveries:
            found += some
            done = [Result(one.delivery_id, tables.DELIVERED, at, 0, "") for one in some]
            await self.deliveries.exchange(channel, done, 0, at, 1_000)
        return found

    async def alert(self, alert_id: str) -> alerts_pb2.Alert:
        return await self.alerts.get_alert("acme", alert_id)

    async def act(self, act: int, *ids: str, at: int = NOON_MS, **more: Any) -> Any:
        values: dict[str, Any] = {
            "which": None,
            "actor": "ann",
            "assignee": "",
            "note": "",
            "label": False,
            "preview": False,
            **more,
        }
        return await self.alerts.act("acme", act, alert_ids=ids, now_ms=at, **values)

    async def labels(self) -> list[labels_pb2.Label]:
        found = []
        while (row := await self.alerts.claim_labels(NOON_MS + 10**9, 1)) is not None:
            found += labels_pb2.RecordLabelsRequest.FromString(row[2]).labels
            await self.alerts.labels_done(row[0])
        return found


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite:///{tmp_path}/alerts.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    async with open_database(DatabaseSettings(url=url), schema="alerts") as opened:
        await asyncio.to_thread(migrate, opened, "alerts")
        yield opened


@pytest.fixture
def rig(database: Database) -> Rig:
    return Rig(database, rules())


# -- escalation --------------------------------------------------------------------------------------


async def test_what_nobody_acknowledges_is_told_to_the_next(rig: Rig) -> None:
    await rig.raise_(message())
    assert [one.change for one in await rig.told()] == ["opened"]
    assert await rig.told("phone", NOON_MS + 15 * MINUTE_MS - 1) == []
    (step,) = await rig.told("phone", NOON_MS + 15 * MINUTE_MS)
    assert (step.change, step.step) == ("unacknowledged", 1)
    assert step.telling_id.endswith(".1")


async def test_an_acknowledgement_calls_off_what_was_to_follow(rig: Rig) -> None:
    (alert_id,) = await rig.raise_(message())
    acted = await rig.act(P.ALERT_ACT_ACKNOWLEDGE, alert_id)
    assert len(acted.changed) == 1
    assert not (await rig.act(P.ALERT_ACT_ACKNOWLEDGE, alert_id)).changed, "twice is once"
    assert await rig.told("phone", NOON_MS + HOUR_MS) == []
    assert len(await rig.told()) == 1, "what was due at once goes out"
    states = {one.step: one.state for one in await rig.deliveries.of_alert("acme", alert_id)}
    assert states == {0: P.DELIVERY_STATE_DELIVERED, 1: P.DELIVERY_STATE_CANCELLED}


async def test_something_graver_opens_what_was_acknowledged(rig: Rig) -> None:
    (alert_id,) = await rig.raise_(message())
    await rig.told()
    await rig.act(P.ALERT_ACT_ACKNOWLEDGE, alert_id)
    await rig.raise_(message("e2", severity=HIGH))
    assert (await rig.alert(alert_id)).state == P.ALERT_STATE_OPEN
    assert [one.change for one in await rig.told()] == ["escalated"]
    assert len(await rig.told("phone", NOON_MS + 15 * MINUTE_MS)) == 1


async def test_what_was_dealt_with_takes_nothing_newer(rig: Rig) -> None:
    (first,) = await rig.raise_(message())
    await rig.act(P.ALERT_ACT_RESOLVE, first, at=NOON_MS + MINUTE_MS)
    (late,) = await rig.raise_(message("e2", minutes=0.5), at=NOON_MS + 2 * MINUTE_MS)
    (second,) = await rig.raise_(message("e3", minutes=3), at=NOON_MS + 3 * MINUTE_MS)
    assert late == first
    assert second != first


# -- snoozes -----------------------------------------------------------------------------------------


async def snooze(rig: Rig, until_ms: int, **fields: Any) -> str:
    asked = P.Snooze(**{"entity_kind": "user", "entity": "u1", "reason": "holiday", "actor": "ann", **fields})
    asked.until_time.FromMilliseconds(until_ms)
    return (await rig.alerts.snooze("acme", asked)).snooze_id


async def test_a_snoozed_entity_is_quiet_and_told_when_it_is_over(rig: Rig) -> None:
    await snooze(rig, NOON_MS + HOUR_MS)
    quiet, other = await rig.raise_(message(), message("e2", entity="u2"))
    assert [one.alert.entity for one in await rig.told()] == ["u2"]
    assert (await rig.alert(quiet)).silence == P.SILENCE_SNOOZED
    assert (await rig.alert(other)).silence == P.SILENCE_UNSPECIFIED
    assert await rig.alerts.sweep(NOON_MS + HOUR_MS - 1) == 0
    assert await rig.alerts.sweep(NOON_MS + HOUR_MS) == 1
    (told,) = await rig.told(at=NOON_MS + HOUR_MS)
    assert (told.change, told.alert.alert_id) == ("snooze_ended", quiet)
    assert await rig.alerts.sweep(NOON_MS + 2 * HOUR_MS) == 0, "it is told once"
    assert await rig.alerts.list_snoozes("acme", NOON_MS + HOUR_MS) == []


async def test_what_was_dealt_with_meanwhile_is_not_told(rig: Rig) -> None:
    await snooze(rig, NOON_MS + HOUR_MS)
    (alert_id,) = await rig.raise_(message())
    await rig.act(P.ALERT_ACT_FALSE_ALARM, alert_id)
    await rig.alerts.sweep(NOON_MS + HOUR_MS)
    assert await rig.told(at=NOON_MS + HOUR_MS) == []


async def test_a_snooze_may_be_of_one_kind_and_lifted_and_stops_escalation(rig: Rig) -> None:
    await rig.raise_(message("e0"))
    await rig.told()
    name = await snooze(rig, NOON_MS + HOUR_MS, kind="decision.block")
    assert await rig.told("phone", NOON_MS + 20 * MINUTE_MS) == []
    await rig.raise_(message("e1", kind="ring"), message("e2", severity=HIGH))
    assert [one.alert.kind for one in await rig.told()] == ["ring"]
    assert await rig.alerts.lift_snooze("acme", name, NOON_MS)
    assert not await rig.alerts.lift_snooze("other", name, NOON_MS)
    await rig.alerts.sweep(NOON_MS)
    assert [one.alert.kind for one in await rig.told()] == ["decision.block"]


# -- inhibition --------------------------------------------------------------------------------------


async def test_a_ring_mutes_its_members(rig: Rig) -> None:
    ring = message("r", kind="ring", entity_kind="ring", entity="ring_1", severity=HIGH)
    member = message("m", kind="device.shared", entity="u7", ring_id="ring_1")
    _, muted, other = await rig.raise_(ring, member, message("n", kind="device.shared", entity="u8"))
    assert {one.alert.entity for one in await rig.told()} == {"ring_1", "u8"}
    assert (await rig.alert(muted)).silence == P.SILENCE_INHIBITED
    # In a later call as well, from the rows; and not once the ring's alert is an hour old.
    later, after = NOON_MS + 40 * MINUTE_MS, NOON_MS + 61 * MINUTE_MS
    await rig.raise_(message("m2", kind="device.shared", entity="u9", ring_id="ring_1", minutes=40), at=later)
    assert await rig.told(at=later) == []
    await rig.raise_(message("m3", kind="device.shared", entity="u6", ring_id="ring_1", minutes=61), at=after)
    assert [one.alert.entity for one in await rig.told(at=after)] == ["u6"]
    assert other


async def test_a_block_mutes_the_reviews_of_the_same_account(rig: Rig) -> None:
    await rig.raise_(message("b"), message("r", kind="decision.review"))
    assert [one.alert.kind for one in await rig.told()] == ["decision.block"]


# -- storms ------------------------------------------------------------------------------------------


async def test_beyond_a_rate_one_digest_is_told_and_the_gravest_at_once(rig: Rig) -> None:
    sent = [message(f"e{n}", entity=f"u{n}", severity=LOW + n % 3) for n in range(200)]
    grave = [message(f"c{n}", entity=f"v{n}", kind="takeover", severity=CRITICAL) for n in range(5)]
    await rig.raise_(*sent[:100])
    await rig.raise_(*sent[100:], *grave)
    at_once = await rig.told()
    assert sum(one.severity == CRITICAL for one in at_once) == 5
    assert len(at_once) == 65
    over = NOON_MS + MINUTE_MS
    (digest,) = await rig.told(at=over)
    assert digest.change == "digest"
    assert digest.alert.count == 140
    assert sum(line.count for line in digest.alert.digest) == 140
    assert [line.severity for line in digest.alert.digest] == [HIGH, MEDIUM, LOW]
    # Nothing is lost: every alert is there, and says which digest tells it.
    listed = await rig.alerts.list_alerts("acme", Filter(), 1_000, None)
    assert len(listed) == 206
    assert sum(one.digest_id == digest.alert.alert_id for one in listed) == 140
    # The next minute tells as ever.
    await rig.raise_(message("later", entity="w", minutes=1), at=over)
    assert [one.alert.entity for one in await rig.told(at=over)] == ["w"]


async def test_a_tenants_storm_silences_no_other(rig: Rig) -> None:
    await rig.raise_(*(message(f"e{n}", entity=f"u{n}") for n in range(100)))
    await rig.raise_(message("x", tenant="other"))
    assert {one.alert.tenant for one in await rig.told()} == {"acme", "other"}


# -- incidents ---------------------------------------------------------------------------------------


async def only(rig: Rig) -> alerts_pb2.Incident:
    ((_, incident),) = await rig.incidents.page("acme", [], "", 10, 1 << 62)
    return incident


def change(number: str, **fields: Any) -> alerts_pb2.UpdateIncidentRequest:
    return P.UpdateIncidentRequest(tenant="acme", number=number, actor="ann", **fields)


async def test_the_rules_open_an_incident_that_later_alerts_join(rig: Rig) -> None:
    await rig.raise_(message(severity=CRITICAL))
    await rig.raise_(message("e2", kind="decision.review", severity=CRITICAL))
    incident = await only(rig)
    assert incident.number == "INC-2026-00001"
    assert (incident.state, incident.severity) == (P.INCIDENT_STATE_OPEN, CRITICAL)
    assert len(incident.alert_ids) == 2
    assert set(incident.event_ids) == {"e1", "e2"}
    assert incident.acknowledge_by_time.ToMilliseconds() == NOON_MS + 15 * MINUTE_MS
    assert incident.resolve_by_time.ToMilliseconds() == NOON_MS + 4 * HOUR_MS
    _, timeline = await rig.incidents.get("acme", incident.number)
    assert [line.what for line in timeline] == ["opened", "alert"]


async def test_an_incident_goes_its_way_and_its_resolution_writes_labels(rig: Rig) -> None:
    (alert_id,) = await rig.raise_(message(severity=CRITICAL))
    number = (await only(rig)).number
    await rig.incidents.update(change(number, assign=True, assignee="bob", note="looks bad"), NOON_MS)
    await rig.incidents.update(change(number, state=P.INCIDENT_STATE_ACKNOWLEDGED), NOON_MS + 1)
    assert (await rig.alert(alert_id)).state == P.ALERT_STATE_ACKNOWLEDGED
    assert await rig.told("phone", NOON_MS + HOUR_MS) == []
    await rig.incidents.update(change(number, link="https://example.org/7"), NOON_MS + 2)
    done = await rig.incidents.update(change(number, state=P.INCIDENT_STATE_RESOLVED), NOON_MS + 3)
    assert done.resolved_time.ToMilliseconds() == NOON_MS + 3
    assert (await rig.alert(alert_id)).state == P.ALERT_STATE_RESOLVED
    (label,) = await rig.labels()
    assert (label.subject, label.kind) == ("e1", labels_pb2.LABEL_KIND_FRAUD_CONFIRMED)
    assert (label.source, label.reference, label.actor) == ("incident", number, "ann")
    _, timeline = await rig.incidents.get("acme", number)
    whats = [line.what for line in timeline]
    assert whats == ["opened", "assigned", "note", "state", "link", "state", "labels"]
    with pytest.raises(FailedPrecondition) as refused:
        await rig.incidents.update(change(number, state=P.INCIDENT_STATE_ACKNOWLEDGED), NOON_MS)
    assert "open" in refused.value.message


async def test_a_false_alarm_is_opened_again_only_by_something_graver(rig: Rig) -> None:
    await rig.raise_(message(kind="duty.accounting", severity=HIGH))
    number = (await only(rig)).number
    await rig.incidents.update(change(number, state=P.INCIDENT_STATE_FALSE_ALARM), NOON_MS + 1)
    assert await rig.labels() == [], "there is no decision to label"
    later = NOON_MS + 10 * MINUTE_MS
    await rig.raise_(message("e2", kind="duty.drift", severity=HIGH, minutes=10), at=later)
    incidents = [one for _, one in await rig.incidents.page("acme", [], "", 10, 1 << 62)]
    assert [one.number for one in incidents] == ["INC-2026-00002", "INC-2026-00001"]
    await rig.incidents.update(change("INC-2026-00002", state=P.INCIDENT_STATE_RESOLVED), later)
    await rig.raise_(message("e3", kind="duty.other", severity=HIGH, minutes=20), at=NOON_MS + 20 * MINUTE_MS)
    again, _ = await rig.incidents.get("acme", "INC-2026-00002")
    assert (again.state, again.reopened) == (P.INCIDENT_STATE_OPEN, 1)


async def test_a_late_incident_is_told_once_a_deadline(rig: Rig) -> None:
    await rig.raise_(message(severity=CRITICAL))
    await rig.told()
    late = NOON_MS + 15 * MINUTE_MS
    assert await rig.alerts.sweep(late - 1) == 0
    await rig.alerts.sweep(late)
    assert await rig.alerts.sweep(late + 1) == 0
    (told,) = [one for one in await rig.told(at=late) if one.alert.kind == "incident.overdue"]
    assert told.alert.entity == "INC-2026-00001"
    assert (await only(rig)).overdue == "acknowledge", "and a late incident opens no other"
    await rig.alerts.sweep(NOON_MS + 4 * HOUR_MS)
    assert (await only(rig)).overdue == "resolve"


async def test_an_incident_by_hand_is_idempotent_by_request(rig: Rig) -> None:
    ids = await rig.raise_(message(), message("e2", entity="u2", severity=HIGH))
    asked = P.CreateIncidentRequest(tenant="acme", title="odd", alert_ids=ids, actor="ann", request_id="r1")
    first = await rig.incidents.create(asked, NOON_MS)
    assert await rig.incidents.create(asked, NOON_MS + 5) == first
    assert (first.severity, set(first.alert_ids)) == (HIGH, set(ids))
    asked.request_id, asked.alert_ids[:] = "r2", ["alert_x"]
    with pytest.raises(NotFound) as unknown:
        await rig.incidents.create(asked, NOON_MS)
    assert unknown.value.reason == "ALERT_UNKNOWN"


async def test_incidents_are_found_and_numbered_by_tenant_and_year(rig: Rig) -> None:
    next_year = NOON_MS + 60 * 24 * HOUR_MS
    await rig.raise_(message(severity=CRITICAL), message("e2", tenant="other", severity=CRITICAL))
    await rig.raise_(message("e3", entity="u2", severity=CRITICAL, minutes=60 * 24 * 60), at=next_year)
    numbers = {one.number for _, one in await rig.incidents.page("acme", [], "", 10, 1 << 62)}
    assert numbers == {"INC-2026-00001", "INC-2027-00001"}
    with pytest.raises(NotFound):
        await rig.incidents.get("nobody", "INC-2026-00001")


# -- acts and the queue --------------------------------------------------------------------------------


async def test_many_are_acted_on_after_a_look(rig: Rig) -> None:
    shared = [P.Subject(kind="device", value="d7")]
    await rig.raise_(*(message(f"e{n}", entity=f"u{n}", subjects=shared) for n in range(3)))
    await rig.raise_(message("e9", entity="u9"))
    which = Filter(subject_kind="device", subject="d7")
    look = await rig.act(P.ALERT_ACT_FALSE_ALARM, which=which, preview=True)
    assert (look.selected, len(look.changed)) == (3, 3)
    assert len(await rig.alerts.list_alerts("acme", Filter(states=(P.ALERT_STATE_OPEN,)), 10, None)) == 4
    await rig.act(P.ALERT_ACT_FALSE_ALARM, which=which, label=True)
    left = await rig.alerts.list_alerts("acme", Filter(states=(P.ALERT_STATE_OPEN,)), 10, None)
    assert [one.entity for one in left] == ["u9"]
    assert {(one.subject, one.kind) for one in await rig.labels()} == {
        (f"e{n}", labels_pb2.LABEL_KIND_FALSE_ALARM) for n in range(3)
    }
    unknown = await rig.act(P.ALERT_ACT_ACKNOWLEDGE, "alert_none")
    assert unknown.unknown == ["alert_none"]


@pytest.mark.parametrize(
    "subject", [("user", "u1"), ("device", "d1"), ("address", "192.0.2.7"), ("payment", "p1")]
)
async def test_alerts_are_found_by_what_they_concern(rig: Rig, subject: tuple[str, str]) -> None:
    kind, value = subject
    subjects = [
        P.Subject(kind=k, value=v) for k, v in (("device", "d1"), ("address", "192.0.2.7"), ("payment", "p1"))
    ]
    (wanted, _) = await rig.raise_(message(subjects=subjects), message("e2", entity="u2"))
    found = await rig.alerts.list_alerts("acme", Filter(subject_kind=kind, subject=value), 10, None)
    assert [one.alert_id for one in found] == [wanted]


async def test_the_queue_begins_with_the_greatest_expected_loss(rig: Rig) -> None:
    await rig.raise_(
        message("a", entity="a", likelihood=0.2),
        message("b", entity="b", likelihood=0.9),
        message("c", entity="c", kind="ring", entity_kind="ring", likelihood=0.5),
        message("d", entity="d", kind="decision.review", likelihood=0.9),
    )
    queue = await rig.alerts.work_queue("acme", "", NOON_MS)
    # 0.5 x 900, 0.9 x 120, 0.9 x 60, 0.2 x 120: as the shipped rules price them.
    assert [(one.entity, round(one.expected_loss)) for one in queue.alerts] == [
        ("c", 450),
        ("b", 108),
        ("d", 54),
        ("a", 24),
    ]
    await rig.act(P.ALERT_ACT_RESOLVE, queue.alerts[0].alert_id)
    await rig.act(P.ALERT_ACT_ASSIGN, queue.alerts[1].alert_id, assignee="bob")
    after = await rig.alerts.work_queue("acme", "cat", NOON_MS)
    assert [one.entity for one in after.alerts] == ["d", "a"]
    assert (after.done_today, after.waiting) == (1, 2)


async def test_changes_are_read_in_order_each_alert_as_it_stands(rig: Rig) -> None:
    await rig.raise_(message(), message("e2", entity="u2"))
    place = await rig.alerts.last_changed()
    await rig.raise_(message("e3", entity="u2"))
    (changed,) = await rig.alerts.changed_after("acme", place, 0, 10)
    assert (changed.entity, changed.count) == ("u2", 2)
    assert changed.changed > place
    everything = await rig.alerts.changed_after("acme", 0, 0, 10)
    assert [one.entity for one in everything] == ["u1", "u2"]
