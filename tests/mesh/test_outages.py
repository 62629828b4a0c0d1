"""A service is killed under load: decisions go on as they must, and nothing is missing after its return.

Each test has tenants of its own in one mesh; an undisturbed tenant is sent the same event bytes in the same order.
"""

from __future__ import annotations

import shutil
import signal as signals
import threading
from collections.abc import Iterator, Sequence

import pytest

from tests.harness import Front, Mesh
from tests.scenarios import (
    DECIDED,
    Load,
    alerts,
    answers,
    batches,
    count_rows,
    event,
    new_id,
    now_ms,
    profiles,
    rings,
    signal,
    takeover,
    traffic,
    until,
    words,
)
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2

pytestmark = [pytest.mark.timeout(180), pytest.mark.xdist_group("mesh-outages")]

TENANTS = [f"{kind}-{number}" for kind in ("calm", "away") for number in range(8)]
ALLOW, CAUTION, REVIEW = (
    decision_pb2.OUTCOME_ALLOW,
    decision_pb2.OUTCOME_ALLOW_WITH_CAUTION,
    decision_pb2.OUTCOME_REVIEW,
)
SCORING, COMPLIANCE, FRAUD = (
    decision_pb2.SERVICE_SCORING,
    decision_pb2.SERVICE_COMPLIANCE,
    decision_pb2.SERVICE_FRAUD,
)
DEGRADED = decision_pb2.REASON_CODE_DEGRADED
DEVICE_ACCOUNTS = decision_pb2.SIGNAL_INDEX_DEVICE_ACCOUNTS
ACCOUNT_FAILURES = decision_pb2.SIGNAL_INDEX_ACCOUNT_FAILURES
USERS = [f"viewer{i:02d}" for i in range(20)]
# The outcome that an event class gets while a service is away and the device is known (design of the degraded answer).
CLOSED = {event_pb2.EVENT_CLASS_EXPORT, event_pb2.EVENT_CLASS_PAYMENT, event_pb2.EVENT_CLASS_CREDENTIAL}


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with Mesh(tmp_path_factory.mktemp("outages"), enforcing=TENANTS) as running:
        yield running


class Outage:
    """A stream in three parts: before, while a service is away, and after its return."""

    def __init__(self, mesh: Mesh, service: str, number: int) -> None:
        self.mesh, self.service = mesh, service
        self.calm, self.tenant = f"calm-{number}", f"away-{number}"
        stream = traffic(USERS, 900, prefix=service, at_ms=now_ms() - 120_000)
        self.parts = stream[:300], stream[300:600], stream[600:]
        self._returned = threading.Event()
        with mesh.ingest(tenant=self.calm) as front:
            for batch in batches(stream, 60):
                assert {result.status for result in front.decide(batch)} == {DECIDED}
        self.load = Load(mesh, self._stream(), self.tenant)

    def _stream(self) -> Iterator[Sequence[event_pb2.Event]]:
        yield from batches(self.parts[0], 12)
        yield from batches(self.parts[1], 12)
        assert self._returned.wait(60)
        yield from batches(self.parts[2], 12)

    def kill_under_load(self) -> None:
        """Kills the service while the first part flows; returns when the second part is answered too."""
        self.load.past(60)
        self.mesh.kill(self.service)
        until(lambda: len(self.load.results) >= 600 or self.load.failure)

    def bring_back(self) -> None:
        """Starts the service again, waits until ingest has found it (it looks every second), sends the third part."""
        self.mesh.start(self.service)
        with self.mesh.ingest(tenant=self.tenant) as front:
            until(lambda: not answers(front, event("waiter")).degraded)
        self._returned.set()
        self.load.finish()

    def decisions(self) -> list[decision_pb2.Decision]:
        """One for each event of the stream, in order."""
        assert [result.event_id for result in self.load.results] == [
            e.event_id for part in self.parts for e in part
        ]
        assert {result.status for result in self.load.results} == {DECIDED}
        return [result.decision for result in self.load.results]

    def profiles_are_whole(self) -> None:
        """Each event is folded exactly once, in order: the profiles equal those of the undisturbed stream."""
        want, have = profiles(self.mesh, self.calm, USERS), profiles(self.mesh, self.tenant, USERS)
        assert all(body for body, _, _ in want.values())
        assert have == want

    def books_close(self) -> None:
        with self.mesh.ingest(tenant=self.tenant) as front:
            books = front.accounting()
        assert books.balanced
        assert books.pending == 0
        assert books.accepted == books.decided


def messages_about(mesh: Mesh, service: str) -> int:
    """Messages in alerts about an outage of the service, of all tenants: an outage is told once, not by tenant."""
    kind = f"degraded.{service}"
    return sum(one.count for tenant in TENANTS for one in alerts(mesh, tenant) if one.kind == kind)


def test_without_scoring_decisions_go_on_and_profiles_become_whole(mesh: Mesh) -> None:
    outage = Outage(mesh, "scoring", 0)
    with mesh.ingest(tenant=outage.tenant) as front, outage.load:
        answers(front, event("probe", "play"))
        outage.kill_under_load()
        expected = {
            "play": CAUTION,
            "logout": CAUTION,
            "login": CAUTION,
            "opt_out": CAUTION,
            "export": REVIEW,
            "payment_method_change": REVIEW,
            "password_change": REVIEW,
            "never_heard_of": REVIEW,
        }
        for kind, outcome in expected.items():
            decision = answers(front, event("probe", kind))
            assert (kind, decision.outcome) == (kind, outcome)
            assert list(decision.degraded) == [SCORING]
            assert words(decision, DEGRADED) == ["scoring"]
            assert not decision.folded
            assert decision.sighted
        new_device = answers(front, event("probe", "login", device_id="never-seen"))
        assert new_device.outcome == REVIEW
        stranger = answers(front, event("stranger", "login"))
        assert stranger.outcome == REVIEW
        until(lambda: messages_about(mesh, "scoring"))
        outage.bring_back()
    decisions = outage.decisions()
    away = [d for d in decisions if d.degraded]
    assert len(away) >= 300, "the second part was decided without scoring"
    for decision in away:
        assert list(decision.degraded) == [SCORING]
        assert not decision.folded
        closed = decision.event_class in CLOSED
        assert decision.outcome == (REVIEW if closed else CAUTION), decision
    assert {d.event_class for d in away} >= {event_pb2.EVENT_CLASS_PLAYBACK, event_pb2.EVENT_CLASS_EXPORT}
    assert all(d.folded for d in decisions if not d.degraded)
    assert not any(d.degraded for d in decisions[600:]), "it is back"
    outage.profiles_are_whole()
    outage.books_close()
    assert messages_about(mesh, "scoring") == 1, "one incident, not a case an event"
    kinds = {alert.kind for alert in alerts(mesh, outage.tenant)}
    assert "decision.review" not in kinds


def test_without_compliance_processing_fails_closed(mesh: Mesh) -> None:
    outage = Outage(mesh, "compliance", 1)
    with mesh.ingest(tenant=outage.tenant) as front, outage.load:
        answers(front, event("probe", "play"))
        outage.kill_under_load()
        for kind, outcome in {"play": CAUTION, "login": CAUTION, "export": REVIEW}.items():
            decision = answers(front, event("probe", kind))
            assert (kind, decision.outcome) == (kind, outcome)
            assert list(decision.degraded) == [COMPLIANCE]
            assert words(decision, DEGRADED) == ["compliance"]
            assert [(p.purpose, p.state) for p in decision.verdict.processing] == [
                ("*", decision_pb2.PROCESSING_STATE_SUPPRESS)
            ]
            assert decision.verdict.status == decision_pb2.COMPLIANCE_STATUS_UNSPECIFIED
            assert decision.verdict.flags >> decision_pb2.VERDICT_FLAG_MINOR & 1
            assert decision.verdict.flags >> decision_pb2.VERDICT_FLAG_SUPPRESS & 1
            assert decision.folded
            assert decision.sighted
        until(lambda: messages_about(mesh, "compliance"))
        outage.bring_back()
        back = answers(front, event("probe", "play"))
        assert not back.degraded
        assert back.verdict.status != decision_pb2.COMPLIANCE_STATUS_UNSPECIFIED
        assert not back.verdict.flags >> decision_pb2.VERDICT_FLAG_MINOR & 1
    decisions = outage.decisions()
    assert sum(bool(d.degraded) for d in decisions) >= 300
    assert all(d.folded for d in decisions)
    outage.profiles_are_whole()
    outage.books_close()
    assert messages_about(mesh, "compliance") == 1


def test_without_fraud_events_are_carried_to_it_afterwards(mesh: Mesh) -> None:
    outage = Outage(mesh, "fraud", 2)
    crowd = [f"crowd{i}" for i in range(6)]

    def on_one_device(front: Front, accounts: Sequence[str]) -> list[decision_pb2.Decision]:
        return [answers(front, member(account)) for account in accounts]

    with mesh.ingest(tenant=outage.tenant) as front, outage.load:
        on_one_device(front, crowd[:2])
        outage.kill_under_load()
        for decision in on_one_device(front, crowd[2:4]):
            assert decision.outcome == CAUTION
            assert list(decision.degraded) == [FRAUD]
            assert words(decision, DEGRADED) == ["fraud"]
            assert not decision.sighted
            assert decision.folded
            assert not decision.HasField("assessment")
        assert answers(front, event(crowd[0], "export", device_id="shared")).outcome == REVIEW
        until(lambda: messages_about(mesh, "fraud"))
        outage.bring_back()
        seen = [signal(decision, DEVICE_ACCOUNTS) for decision in on_one_device(front, crowd[4:])]
        assert seen == [4, 5], "accounts on the device before each: two before the outage, two during it"
        seventh = answers(front, member("seventh"))
        assert signal(seventh, DEVICE_ACCOUNTS) == 6
        on_one_device(front, crowd[:1])
    decisions = outage.decisions()
    assert sum(not d.sighted for d in decisions) >= 300
    assert all(d.sighted for d in decisions[600:])
    assert all(d.sighted != bool(d.degraded) for d in decisions)
    [ring] = rings(mesh, outage.tenant)
    assert sorted(ring.members) == [*crowd, "seventh"]
    assert ring.flagged
    assert count_rows(mesh, "unsighted") == 0
    outage.profiles_are_whole()
    outage.books_close()
    assert messages_about(mesh, "fraud") == 1


def member(account: str) -> event_pb2.Event:
    """An event of an account that shares a device, a card and a sign-up address with others."""
    return event(
        account,
        device_id="shared",
        payment_fingerprint="shared-card",
        account=event_pb2.AccountFacts(signup_ip_address="203.0.113.77"),
    )


@pytest.mark.parametrize(("loss", "number"), [("everything", 3), ("since-the-snapshot", 4)])
def test_fraud_gets_back_what_it_lost(mesh: Mesh, loss: str, number: int) -> None:
    tenant = f"away-{number}"
    crowd = [f"crowd{i}" for i in range(6)]
    with mesh.ingest(tenant=tenant) as front:
        for account in crowd[:2]:
            answers(front, member(account))
        if loss == "since-the-snapshot":
            # A drain writes a snapshot; what comes after it is lost by the kill.
            assert mesh.process("fraud").stop(signals.SIGTERM) == 0
            mesh.start("fraud")
        answers(front, member(crowd[2]))
        for _ in range(4):
            answers(front, event("forgetful", "login_failed"))
        mesh.kill("fraud")
        if loss == "everything":
            shutil.rmtree(mesh.folder / "fraud0")
        mesh.start("fraud")
        until(lambda: not answers(front, event("waiter")).degraded)
        # Nothing of the crowd or the forgetful viewer has been sent since.
        assert signal(answers(front, event("forgetful", "play")), ACCOUNT_FAILURES) == 4
        after = [signal(answers(front, member(a)), DEVICE_ACCOUNTS) for a in crowd[3:]]
        assert after == [3, 4, 5]
        answers(front, member("seventh"))
        answers(front, member(crowd[0]))
    [ring] = rings(mesh, tenant)
    assert sorted(ring.members) == [*crowd, "seventh"]
    assert ring.flagged
    assert count_rows(mesh, "unsighted") == 0


def test_alerts_away_holds_nothing_up_and_loses_nothing(mesh: Mesh) -> None:
    tenant = "away-5"
    with mesh.ingest(tenant=tenant) as front:
        stream = takeover("mallory")
        mesh.kill("alerts")
        for one in stream:
            decision = answers(front, one)
            assert not decision.degraded
        assert decision.outcome == REVIEW
        assert count_rows(mesh, "outbox") == 1
        mesh.start("alerts")
        [alert] = until(lambda: alerts(mesh, tenant))
        assert (alert.kind, alert.entity, alert.count) == ("decision.review", "mallory", 1)
        assert alert.first_event_id == stream[-1].event_id
        until(lambda: count_rows(mesh, "outbox") == 0)
        assert alerts(mesh, tenant)[0].count == 1


def test_all_leaves_away_at_once(mesh: Mesh) -> None:
    """Everything that ingest asks is gone: the two answers still come, both closed, and everything is told."""
    tenant = "away-6"
    names = ("compliance", "scoring", "fraud")
    with mesh.ingest(tenant=tenant) as front:
        answers(front, event("probe", event_id=new_id("whole")))
        for name in names:
            mesh.kill(name)
        watching, export = answers(front, event("probe")), answers(front, event("probe", "export"))
        for name in names:
            mesh.start(name)
        until(lambda: not answers(front, event("waiter")).degraded)
        answers(front, event("probe"))
        assert count_rows(mesh, "unsighted") == 0
        [(body, _, backlog)] = profiles(mesh, tenant, ["probe"]).values()
    assert (watching.outcome, export.outcome) == (CAUTION, REVIEW)
    for decision in (watching, export):
        assert sorted(decision.degraded) == sorted([COMPLIANCE, SCORING, FRAUD])
        assert words(decision, DEGRADED) == ["compliance", "scoring", "fraud"]
        assert decision.verdict.processing[0].state == decision_pb2.PROCESSING_STATE_SUPPRESS
        assert not decision.folded
        assert not decision.sighted
    # Word 1 of a profile counts the events folded into it.
    assert int.from_bytes(body[4:8], "little") == 4
    assert backlog == b""


def test_submitted_events_are_decided_without_scoring_too(mesh: Mesh) -> None:
    tenant = "away-7"
    mesh.kill("scoring")
    with mesh.ingest(tenant=tenant) as front:
        sent = [event("reader", kind) for kind in ("play", "export")]
        assert {r.status for r in front.submit(sent)} == {ingest_pb2.EVENT_STATUS_ACCEPTED}
        until(lambda: front.accounting().decided == 2)
        assert [front.decision(e.event_id).outcome for e in sent] == [CAUTION, REVIEW]
        mesh.start("scoring")
        until(lambda: not answers(front, event("waiter")).degraded)
        answers(front, event("reader"))
        [(body, _, backlog)] = profiles(mesh, tenant, ["reader"]).values()
        assert front.accounting().balanced
    assert int.from_bytes(body[4:8], "little") == 3
    assert backlog == b""
