"""Lists and labels through a running ingest: consulted before deciding, audited, the same on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from services.common.errors import Conflict, InvalidArgument, NotFound, Unavailable
from services.common.subject_data import Subject
from services.ingest import store_subject_lists
from tests.fakes import TENANT, FakeMesh, Front, event, now_ms, running_ingest, until
from usher.decision.v1 import decision_pb2
from usher.fraud.v1 import fraud_pb2
from usher.ingest.v1 import labels_pb2, lists_pb2

D = decision_pb2
ALLOW, REVIEW, BLOCK = D.OUTCOME_ALLOW, D.OUTCOME_REVIEW, D.OUTCOME_BLOCK
L = lists_pb2


def user_entry(user: str, kind: L.ListKind = L.LIST_KIND_BLOCK) -> L.ListEntry:
    return L.ListEntry(kind=kind, entity_kind=L.LISTED_ENTITY_USER, entity=user, reason="case 7", actor="ann")


async def put(front: Front, entry: L.ListEntry, tenant: str = TENANT) -> L.ListEntry:
    return (await front.lists.SetListEntry(L.SetListEntryRequest(tenant=tenant, entry=entry))).entry


async def entries(front: Front, **filters: object) -> list[L.ListEntry]:
    request = L.ListEntriesRequest(tenant=TENANT, **filters)  # type: ignore[arg-type]
    return list((await front.lists.ListEntries(request)).entries)


async def test_a_blocked_account_is_blocked_at_once_until_it_is_lifted(mesh: FakeMesh, url: str) -> None:
    async with running_ingest(url, mesh) as front:
        set_ = await put(front, user_entry("u1"))
        assert set_.entry_id.startswith("list_")
        blocked, other = await front.decide([event("e1", "u1"), event("e2", "u2")])
        assert (blocked.decision.outcome, other.decision.outcome) == (BLOCK, ALLOW)
        assert blocked.decision.reasons[0].code == D.REASON_CODE_LISTED_BLOCK
        assert set_.entry_id in blocked.decision.reasons[0].words
        [elsewhere] = await front.decide([event("e3", "u1")], "newcomer")
        assert elsewhere.decision.would_be == ALLOW, "another tenant's list"
        lifted = await front.lists.LiftListEntry(
            L.LiftListEntryRequest(tenant=TENANT, entry_id=set_.entry_id, actor="bob", reason="mistake")
        )
        assert (lifted.entry.lifted_by, lifted.entry.lift_reason) == ("bob", "mistake")
        [after] = await front.decide([event("e4", "u1")])
        assert after.decision.outcome == ALLOW
        # Deciding by a list is nothing that people have to look at: they did.
        await front.app._outbox.settle()
        assert not mesh.alerts.messages
        assert await entries(front) == []
        assert [one.entry_id for one in await entries(front, include_ended=True)] == [set_.entry_id]


async def test_lists_outlive_a_restart_and_reach_other_processes(mesh: FakeMesh, postgres_url: str) -> None:
    async with (
        running_ingest(postgres_url, mesh) as one,
        running_ingest(postgres_url, mesh, socket="second") as two,
    ):
        await put(one, user_entry("u1"))

        async def blocked_there() -> bool:
            [result] = await two.decide([event(f"e{now_ms()}", "u1")])
            return result.decision.outcome == BLOCK

        await until(blocked_there)
    async with running_ingest(postgres_url, mesh) as front:
        [result] = await front.decide([event("after", "u1")])
        assert result.decision.outcome == BLOCK


async def test_allow_lifts_what_was_scored_and_a_new_entry_replaces_the_old(mesh: FakeMesh, url: str) -> None:
    mesh.scoring.outcomes = {"e1": BLOCK}
    async with running_ingest(url, mesh) as front:
        first = await put(front, user_entry("u1", L.LIST_KIND_ALLOW))
        second = await put(front, user_entry("u1", L.LIST_KIND_ALLOW))
        [result] = await front.decide([event("e1", "u1")])
        assert result.decision.outcome == ALLOW
        assert second.entry_id in result.decision.reasons[0].words
        ended = {one.entry_id: one for one in await entries(front, include_ended=True)}
        assert ended[first.entry_id].lift_reason == f"replaced by {second.entry_id}"
        assert [one.entry_id for one in await entries(front)] == [second.entry_id]


async def test_lists_hold_while_scoring_is_away(mesh: FakeMesh, sqlite_url: str) -> None:
    mesh.scoring.away()
    async with running_ingest(sqlite_url, mesh) as front:
        await put(front, user_entry("u1"))
        blocked, open_ = await front.decide([event("e1", "u1"), event("e2", "u2")])
        assert blocked.decision.outcome == BLOCK
        assert open_.decision.outcome == D.OUTCOME_ALLOW_WITH_CAUTION
        assert D.SERVICE_SCORING in blocked.decision.degraded


async def test_an_entry_is_idempotent_by_its_id_and_bad_ones_are_named(mesh: FakeMesh, url: str) -> None:
    async with running_ingest(url, mesh) as front:
        mine = user_entry("u1")
        mine.entry_id = "list_" + "a" * 32
        first = await put(front, mine)
        assert await put(front, mine) == first
        mine.reason = "another"
        with pytest.raises(Conflict) as reused:
            await put(front, mine)
        assert reused.value.reason == "LIST_ENTRY_ID_REUSED"
        with pytest.raises(InvalidArgument) as wrong:
            await put(front, L.ListEntry(entity="x"))
        assert {one.field for one in wrong.value.violations} >= {"entry.kind", "entry.reason", "entry.actor"}
        with pytest.raises(NotFound):
            await front.lists.LiftListEntry(
                L.LiftListEntryRequest(tenant=TENANT, entry_id="list_" + "b" * 32, actor="a", reason="r")
            )


async def test_an_expired_entry_leaves_the_list_and_stays_in_the_audit(mesh: FakeMesh, url: str) -> None:
    async with running_ingest(url, mesh) as front:
        one = user_entry("u1")
        one.expires_time.FromMilliseconds(now_ms() + 1_100)
        await put(front, one)

        async def gone() -> bool:
            return not await entries(front)

        await until(gone)
        [result] = await front.decide([event("e1", "u1")])
        assert result.decision.outcome == ALLOW
        assert len(await entries(front, include_ended=True)) == 1


async def test_a_limited_account_waits_beyond_its_limit_and_repeats_do_not_count(
    mesh: FakeMesh, sqlite_url: str
) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        limit = L.ListEntry(
            kind=L.LIST_KIND_LIMIT,
            entity_kind=L.LISTED_ENTITY_ADDRESS,
            entity="192.0.2.0/24",
            limit_per_hour=2,
            reason="shared",
            actor="ann",
        )
        await put(front, limit)
        same = event("e1", "u1", event_type="login")
        outcomes = [(await front.decide([same]))[0].decision.outcome for _ in range(4)]
        assert set(outcomes) == {ALLOW}, "a repeat of one event is one act"
        for number, expected in ((2, ALLOW), (3, REVIEW)):
            [result] = await front.decide([event(f"e{number}", "u1", event_type="login")])
            assert result.decision.outcome == expected
        [other] = await front.decide([event("e9", "u9", event_type="login")])
        assert other.decision.outcome == ALLOW
        [play] = await front.decide([event("e10", "u1")])
        assert play.decision.outcome == ALLOW, "watching is not limited"


async def test_a_decision_lists_a_hiding_address_for_a_day_and_tells_it_once(
    mesh: FakeMesh, url: str
) -> None:
    mesh.scoring.list_addresses = {"e1", "e2", "e3"}
    mesh.scoring.outcomes = dict.fromkeys(mesh.scoring.list_addresses, D.OUTCOME_ALLOW_WITH_CAUTION)
    async with running_ingest(url, mesh) as front:
        tor = {"ip_address": "9.9.9.9", "event_type": "login"}
        await front.decide([event("e1", "u1", **tor), event("e2", "u2", **tor)])
        await front.decide([event("e3", "u3", event_type="login")])

        async def in_force() -> bool:
            return [one.proposed for one in await entries(front)] == [False, False]

        await until(in_force)
        by_entity = {one.entity: one for one in await entries(front)}
        assert {one: by_entity[one].kind for one in by_entity} == {
            "9.9.9.9/32": L.LIST_KIND_BLOCK,
            "192.0.2.1/32": L.LIST_KIND_LIMIT,
        }
        block = by_entity["9.9.9.9/32"]
        assert block.automatic
        # Whom it concerns was looked for before it was put into force, and stays with it.
        assert {one.user_id for one in block.affected.accounts} == {"u1", "u2"}
        assert (block.affected.account_count, block.affected.watching) == (2, 0)
        assert block.affected.complete
        assert block.expires_time.seconds - block.created_time.seconds == 86_400
        signs_in, plays = await front.decide(
            [event("e4", "u4", **tor), event("e5", "u4", ip_address="9.9.9.9")]
        )
        assert (signs_in.decision.outcome, plays.decision.outcome) == (BLOCK, ALLOW)
        await until(lambda: len(mesh.alerts.messages) == 2)
        assert {kind for _, _, kind in mesh.alerts.messages} == {"address.blocked", "address.limited"}


async def test_an_address_through_which_accounts_watch_is_limited_instead(mesh: FakeMesh, url: str) -> None:
    mesh.scoring.list_addresses = {"e1"}
    mesh.scoring.outcomes = {"e1": D.OUTCOME_ALLOW_WITH_CAUTION}
    async with running_ingest(url, mesh) as front:
        # Four accounts watch there: more than a block that nobody looked at may concern.
        await front.decide([event(f"p{n}", f"v{n}", ip_address="9.9.9.9") for n in range(4)])
        await front.decide([event("e1", "u1", ip_address="9.9.9.9", event_type="login")])

        async def in_force() -> bool:
            return [one.proposed for one in await entries(front)] == [False]

        await until(in_force)
        [entry] = await entries(front)
        assert (entry.kind, entry.limit_per_hour) == (L.LIST_KIND_LIMIT, 10)
        assert (entry.affected.account_count, entry.affected.watching) == (5, 4)
        assert "4 accounts watch from it" in entry.reason
        [result] = await front.decide([event("e2", "v1", ip_address="9.9.9.9", event_type="login")])
        assert result.decision.outcome == ALLOW, "the limit leaves a viewer room"
        await until(lambda: bool(mesh.alerts.messages))
        [(_, told, kind)] = mesh.alerts.messages
        assert (told, kind) == ("e1", "address.limited")


async def test_a_proposal_outlives_the_process_that_made_it(mesh: FakeMesh, sqlite_url: str) -> None:
    mesh.scoring.list_addresses = {"e1"}
    mesh.scoring.outcomes = {"e1": D.OUTCOME_ALLOW_WITH_CAUTION}
    async with running_ingest(sqlite_url, mesh) as front:
        front.app._lists.proposed = lambda entries: None  # type: ignore[method-assign]
        await front.decide([event("e1", "u1", ip_address="9.9.9.9", event_type="login")])
        [entry] = await entries(front)
        assert entry.proposed
    async with running_ingest(sqlite_url, mesh) as front:

        async def in_force() -> bool:
            return [one.proposed for one in await entries(front)] == [False]

        await until(in_force)
        await until(lambda: len(mesh.alerts.messages) == 1)


async def test_an_erased_viewer_is_no_longer_named_by_an_entry(mesh: FakeMesh, url: str) -> None:
    mesh.scoring.list_addresses = {"e1"}
    mesh.scoring.outcomes = {"e1": D.OUTCOME_ALLOW_WITH_CAUTION}
    async with running_ingest(url, mesh) as front:
        await front.decide([event("e0", "u2", ip_address="9.9.9.9")])
        await front.decide([event("e1", "u1", ip_address="9.9.9.9", event_type="login")])

        async def in_force() -> bool:
            return [one.proposed for one in await entries(front)] == [False]

        await until(in_force)
        subject, ids = Subject(TENANT, "u1"), frozenset({"e1"})
        store = front.app._store
        assert store_subject_lists.count(store, subject, ids)["list_entries"] == 1
        assert store_subject_lists.erase(store, subject, ids, now_ms())["list_entries"] == 1
        assert store_subject_lists.count(store, subject, ids)["list_entries"] == 0
        [entry] = await entries(front)
        assert [one.user_id for one in entry.affected.accounts] == ["u2"]
        assert (entry.reference, entry.entity, entry.affected.account_count) == ("", "9.9.9.9/32", 2)


async def test_where_a_tenant_observes_nothing_is_listed(mesh: FakeMesh, sqlite_url: str) -> None:
    mesh.scoring.list_addresses = {"e1"}
    mesh.scoring.outcomes = {"e1": BLOCK}
    async with running_ingest(sqlite_url, mesh) as front:
        await front.decide([event("e1", ip_address="9.9.9.9", event_type="login")], "newcomer")
        answer = await front.lists.ListEntries(L.ListEntriesRequest(tenant="newcomer"))
        assert not answer.entries


async def test_who_would_be_concerned_is_shown_first(mesh: FakeMesh, url: str) -> None:
    async with running_ingest(url, mesh) as front:
        await front.decide([event(f"a{n}", "u1") for n in range(3)] + [event("b", "u2")])
        await front.decide([event("c", "u3", ip_address="192.0.2.77", device_id="d7")])

        async def preview(kind: L.ListedEntity, entity: str) -> list[tuple[str, int]]:
            answer = await front.lists.PreviewListEntry(
                L.PreviewListEntryRequest(tenant=TENANT, entity_kind=kind, entity=entity)
            )
            assert answer.complete
            assert (answer.events_read, answer.account_count) == (5, len(answer.accounts))
            return [(one.user_id, one.events) for one in answer.accounts]

        assert await preview(L.LISTED_ENTITY_ADDRESS, "192.0.2.1") == [("u1", 3), ("u2", 1)]
        assert await preview(L.LISTED_ENTITY_ADDRESS, "192.0.2.0/24") == [("u1", 3), ("u2", 1), ("u3", 1)]
        assert await preview(L.LISTED_ENTITY_DEVICE, "d7") == [("u3", 1)]
        assert await preview(L.LISTED_ENTITY_PAYMENT, "p") == []


# -- labels ------------------------------------------------------------------------------------------


def label(
    name: str, kind: labels_pb2.LabelKind = labels_pb2.LABEL_KIND_FRAUD_CONFIRMED, **fields: object
) -> labels_pb2.Label:
    values: dict[str, Any] = {
        "subject_kind": labels_pb2.LABEL_SUBJECT_EVENT,
        "subject": f"event-{name}",
        "source": "analyst",
        **fields,
    }
    built = labels_pb2.Label(label_id=name, kind=kind, **values)
    built.label_time.FromMilliseconds(1_795_000_000_000)
    return built


async def record(front: Front, *new: labels_pb2.Label) -> list[labels_pb2.LabelResult]:
    request = labels_pb2.RecordLabelsRequest(tenant=TENANT, labels=new)
    return list((await front.labels.RecordLabels(request)).results)


async def test_labels_are_recorded_once_and_read_in_order_page_by_page(mesh: FakeMesh, url: str) -> None:
    async with running_ingest(url, mesh) as front:
        results = await record(front, *(label(f"l{n}") for n in range(5)), label("l0"), labels_pb2.Label())
        statuses = [one.status for one in results]
        assert statuses == [*[labels_pb2.LABEL_STATUS_RECORDED] * 5, 2, 4]
        assert results[5].position == results[0].position
        assert "source: WORD_INVALID" in results[6].error
        [conflict] = await record(front, label("l0", labels_pb2.LABEL_KIND_FALSE_ALARM))
        assert conflict.status == labels_pb2.LABEL_STATUS_CONFLICT
        token, seen = "", []
        while True:
            page = await front.labels.ListLabels(
                labels_pb2.ListLabelsRequest(tenant=TENANT, page_size=2, page_token=token)
            )
            seen += [one.label_id for one in page.labels]
            token = page.next_page_token
            if not page.more:
                break
        assert seen == [f"l{n}" for n in range(5)]
        # The last token goes on where it ended: what is recorded later is found, nothing twice.
        await record(front, label("late"))
        page = await front.labels.ListLabels(labels_pb2.ListLabelsRequest(tenant=TENANT, page_token=token))
        assert [one.label_id for one in page.labels] == ["late"]
        assert page.labels[0].HasField("recorded_time")
        again = await front.labels.ListLabels(
            labels_pb2.ListLabelsRequest(tenant=TENANT, page_token=page.next_page_token)
        )
        assert not again.labels
        assert again.next_page_token == page.next_page_token


async def test_training_takes_what_is_mature_and_of_its_kinds(mesh: FakeMesh, sqlite_url: str) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        chargeback = label("c", labels_pb2.LABEL_KIND_CHARGEBACK)
        chargeback.mature_time.FromMilliseconds(1_800_000_000_000)
        upheld = label("f", labels_pb2.LABEL_KIND_FINDING_UPHELD, rule="EU_GDPR.consent_absent")
        await record(front, chargeback, label("x"), upheld)

        async def ids(**filters: object) -> list[str]:
            request = labels_pb2.ListLabelsRequest(tenant=TENANT, **filters)  # type: ignore[arg-type]
            return [one.label_id for one in (await front.labels.ListLabels(request)).labels]

        request = labels_pb2.ListLabelsRequest(tenant=TENANT)
        request.mature_by.FromMilliseconds(1_799_999_999_999)
        mature = (await front.labels.ListLabels(request)).labels
        assert [one.label_id for one in mature] == ["x", "f"]
        assert await ids(kinds=[labels_pb2.LABEL_KIND_CHARGEBACK]) == ["c"]
        assert await ids(subject_kind=labels_pb2.LABEL_SUBJECT_EVENT, subject="event-x") == ["x"]
        assert await ids(subject_kind=labels_pb2.LABEL_SUBJECT_USER) == []


async def test_a_finding_names_its_rule(mesh: FakeMesh, sqlite_url: str) -> None:
    async with running_ingest(sqlite_url, mesh) as front:
        [result] = await record(front, label("f", labels_pb2.LABEL_KIND_FINDING_DISMISSED))
        assert result.error.startswith("rule: MISSING")
        with pytest.raises(InvalidArgument) as empty:
            await front.labels.RecordLabels(labels_pb2.RecordLabelsRequest(tenant=TENANT))
        assert empty.value.reason == "LABELS_MISSING"


async def test_what_labels_tell_of_accounts_and_rings_reaches_fraud_once_and_in_order(
    mesh: FakeMesh, url: str
) -> None:
    async with running_ingest(url, mesh) as front:
        await front.decide([event("e1", "mallory")])
        mesh.fraud.error = Unavailable("AWAY", "fraud is away")
        await record(
            front,
            label("l1", subject="e1"),
            label("l2", subject="never-decided"),
            label("l3", labels_pb2.LABEL_KIND_TAKEOVER_CONFIRMED, subject="e1"),
            label("l4", subject_kind=labels_pb2.LABEL_SUBJECT_USER, subject="eve"),
            label("l5", subject_kind=labels_pb2.LABEL_SUBJECT_RING, subject="ring_0123456789abcdef"),
        )
        await record(front, label("l6", labels_pb2.LABEL_KIND_FALSE_ALARM, subject="e1"))
        assert mesh.fraud.outcomes == []
        mesh.fraud.error = None
        await until(lambda: len(mesh.fraud.outcomes) >= 4, 60)
    # After a restart nothing is told again.
    async with running_ingest(url, mesh) as front:
        await record(front, label("l7", labels_pb2.LABEL_KIND_LEGITIMATE, subject="e1"))
        await until(lambda: len(mesh.fraud.outcomes) >= 5, 60)
    told = [(one.user_id, one.ring_id, one.event_id, one.verdict) for one in mesh.fraud.outcomes]
    fraud, innocent = fraud_pb2.OUTCOME_VERDICT_FRAUD, fraud_pb2.OUTCOME_VERDICT_INNOCENT
    assert told == [
        ("mallory", "", "e1", fraud),
        ("eve", "", "", fraud),
        ("", "ring_0123456789abcdef", "", fraud),
        ("mallory", "", "e1", innocent),
        ("mallory", "", "e1", innocent),
    ]
