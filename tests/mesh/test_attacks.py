"""Attacks and look-alikes through the whole mesh, from events to outcome, reasons and actions.

Each scenario has viewers, devices and a network of its own (92.230.0.0/16, consumers in Frankfurt). Days go by as event
times; a scenario ends now.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness import Front, Mesh
from tests.scenarios import DECIDED, batches, event, now_ms, takeover
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

D = decision_pb2
ALLOW, CAUTION = D.OUTCOME_ALLOW, D.OUTCOME_ALLOW_WITH_CAUTION
REVIEW, BLOCK = D.OUTCOME_REVIEW, D.OUTCOME_BLOCK
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with Mesh(tmp_path_factory.mktemp("attacks")) as mesh, mesh.ingest() as client:
        yield client


def seen(user: str, kind: str, ago_ms: int, **fields: Any) -> event_pb2.Event:
    """An event so long ago; `trial`, `stream_limit` and `days` (age of the account) go into its account facts."""
    account = {name: fields.pop(name) for name in ("trial", "stream_limit") if name in fields}
    days = fields.pop("days", 200)
    one = event(user, kind, at_ms=now_ms() - ago_ms, **fields)
    for name, value in account.items():
        setattr(one.account, name, value)
    one.account.created_time.FromMilliseconds(now_ms() - days * DAY)
    return one


def decide(front: Front, events: list[event_pb2.Event]) -> list[D.Decision]:
    """The decisions, in order."""
    results = [result for part in batches(events, 64) for result in front.decide(part)]
    assert {result.status for result in results} == {DECIDED}
    return [result.decision for result in results]


def codes(decision: D.Decision) -> set[str]:
    return {D.ReasonCode.Name(reason.code).removeprefix("REASON_CODE_") for reason in decision.reasons}


def actions(decision: D.Decision) -> set[str]:
    return {D.ActionKind.Name(action.kind).removeprefix("ACTION_KIND_") for action in decision.actions}


def test_distributed_stuffing_reviews_who_comes_in_with_its_program(front: Front) -> None:
    # Forty accounts, forty networks, two failures an address at most: no source is loud.
    wave = [
        seen(f"victim{i}", "login_failed", 50 * MINUTE - i * MINUTE, device_id=f"bot{i}", user_agent="grabber/1.0",
             ip_address=f"92.230.{i + 1}.7")
        for i in range(40)
    ]  # fmt: skip
    assert all(one.outcome <= CAUTION for one in decide(front, wave))
    [hit, neighbour] = decide(
        front,
        [
            seen(
                "unlucky",
                "login",
                MINUTE,
                device_id="bot99",
                user_agent="grabber/1.0",
                ip_address="92.230.60.7",
            ),
            seen("neighbour", "login", MINUTE, user_agent=BROWSER, ip_address="92.230.61.7"),
        ],
    )
    assert hit.outcome == REVIEW
    assert "DISTRIBUTED_STUFFING" in codes(hit)
    assert "SECOND_FACTOR" in actions(hit)
    assert neighbour.outcome == ALLOW


def test_spraying_over_a_day_reviews_who_comes_in_from_there(front: Front) -> None:
    slow = [
        seen(f"sprayed{i}", "login_failed", 20 * HOUR - i * 40 * MINUTE, device_id="sprayer",
             ip_address="92.230.70.9", user_agent=BROWSER)
        for i in range(28)
    ]  # fmt: skip
    decide(front, slow)
    [hit] = decide(
        front,
        [seen("weak", "login", MINUTE, device_id="sprayer2", ip_address="92.230.70.9", user_agent=BROWSER)],
    )
    assert hit.outcome == REVIEW
    assert "PASSWORD_SPRAYING" in codes(hit)
    assert {"SECOND_FACTOR", "LIST_ADDRESS"} <= actions(hit)


def test_a_carriers_gateway_with_a_failure_now_and_then_is_no_attack(front: Front) -> None:
    crowd = [
        seen(f"mobile{i}", "login_failed" if i % 4 == 0 else "login", 20 * HOUR - i * 10 * MINUTE,
             ip_address="92.230.71.9", user_agent=BROWSER)
        for i in range(112)
    ]  # fmt: skip
    decided = decide(front, crowd)
    assert {one.outcome for one in decided} == {ALLOW}


def test_brute_force_of_47_failures_in_3_minutes_is_caught_by_the_tenth(front: Front) -> None:
    attack = [
        seen("target", "login_failed", 3 * MINUTE - i * 3 * MINUTE // 47, device_id="cracker", ip_address="92.230.72.9")
        for i in range(47)
    ]  # fmt: skip
    decided = decide(front, attack)
    caught = [number for number, one in enumerate(decided, 1) if one.outcome >= REVIEW]
    assert caught[0] <= 10
    assert caught == list(range(caught[0], 48)), "and from there on every one"
    assert "BRUTE_FORCE" in codes(decided[9])
    assert {"LIMIT_RATE", "SECOND_FACTOR"} <= actions(decided[9])
    # Somebody who forgot a password is not.
    forgot = [seen("forgetful", "login_failed", (4 - i) * MINUTE, ip_address="92.230.73.9") for i in range(4)]
    assert all(one.outcome == ALLOW for one in decide(front, forgot))


def test_a_takeover_is_followed_to_its_end(front: Front) -> None:
    decided = decide(front, takeover("owner"))
    assert all(one.outcome == ALLOW for one in decided[:12])
    signed_in, exported = decided[-2:]
    assert signed_in.outcome == CAUTION
    assert "SECOND_FACTOR" in actions(signed_in)
    assert exported.outcome == REVIEW
    assert "TAKEOVER_SEQUENCE" in codes(exported)
    assert {"SECOND_FACTOR", "FLAG_ACCOUNT"} <= actions(exported)


def test_trials_on_one_card_are_reviewed_from_the_sixth(front: Front) -> None:
    signups = [
        seen(f"trial{i}", "signup", 2 * DAY - i * HOUR, trial=True, days=0, payment_fingerprint="trial-card",
             device_id=f"phone{i}", ip_address=f"92.230.{80 + i}.5")
        for i in range(7)
    ]  # fmt: skip
    decided = decide(front, signups)
    assert [one.outcome for one in decided[:3]] == [ALLOW] * 3
    assert all(one.outcome == REVIEW and "TRIAL_ABUSE" in codes(one) for one in decided[5:])
    # A couple that tries it twice on one card is not.
    couple = [
        seen(f"partner{i}", "signup", DAY, trial=True, days=0, payment_fingerprint="joint-card", ip_address="92.230.90.5")
        for i in range(2)
    ]  # fmt: skip
    assert all(one.outcome == ALLOW for one in decide(front, couple))


def test_a_card_that_was_charged_back_twice_is_reviewed(front: Front) -> None:
    stolen = {"payment_fingerprint": "stolen-card"}
    decide(
        front,
        [
            seen(
                f"payer{i}",
                "chargeback",
                3 * DAY,
                device_id=f"pc{i}",
                ip_address=f"92.230.{100 + i}.5",
                **stolen,
            )
            for i in range(2)
        ],
    )
    [bought] = decide(front, [seen("next", "purchase", MINUTE, ip_address="92.230.105.5", **stolen)])
    assert bought.outcome == REVIEW
    assert "CHARGEBACK_CLUSTER" in codes(bought)


def test_bulk_export_and_a_read_catalogue_are_slowed_down(front: Front) -> None:
    exports = [
        seen("exporter", "export", 2 * HOUR - i * MINUTE, ip_address="92.230.110.5") for i in range(70)
    ]
    last = decide(front, exports)[-1]
    assert last.outcome == REVIEW
    assert "BULK_EXPORT" in codes(last)
    assert "LIMIT_RATE" in actions(last)
    titles = [
        seen("scraper", "access", 40 * MINUTE - i * 12 * SECOND, content_id=f"title-{i}", ip_address="92.230.111.5")
        for i in range(170)
    ]  # fmt: skip
    last = decide(front, titles)[-1]
    assert last.outcome >= CAUTION
    assert "SCRAPING" in codes(last)
    assert "LIMIT_RATE" in actions(last)


def streams(user: str, places: int, ago_ms: int, third: int, limit: int = 2) -> list[event_pb2.Event]:
    """Heartbeats of streams at so many networks within one minute."""
    return [
        seen(user, "heartbeat", ago_ms - i * SECOND, stream_id=f"{user}-{i}", device_id=f"{user}-screen{i}",
             ip_address=f"92.230.{third + i}.40", stream_limit=limit)
        for i in range(places)
    ]  # fmt: skip


def at_home(user: str, address: str) -> list[event_pb2.Event]:
    """Five evenings of one stream at home."""
    return [
        seen(user, "heartbeat", day * DAY + 4 * HOUR + minute * MINUTE, stream_id=f"{user}-home{day}",
             device_id=f"{user}-screen0", ip_address=address, stream_limit=4)
        for day in range(5, 0, -1)
        for minute in range(3, 0, -1)
    ]  # fmt: skip


def test_casual_sharing_is_answered_with_an_offer(front: Front) -> None:
    decide(front, at_home("generous", "92.230.120.40"))
    rounds = [one for beat in range(4) for one in streams("generous", 3, (5 - beat) * MINUTE, 120)]
    decided = decide(front, rounds)
    assert {one.outcome for one in decided} <= {ALLOW, CAUTION}
    told = decided[-1]
    assert told.outcome == CAUTION
    assert {"ACCOUNT_SHARING", "STREAM_LIMIT"} <= codes(told)
    assert "OFFER_UPGRADE" in actions(told)


def test_a_family_at_home_and_one_of_them_away_hears_nothing(front: Front) -> None:
    decide(front, at_home("family", "92.230.140.40"))
    evening = [
        seen("family", "heartbeat", 5 * MINUTE - beat * MINUTE - i, stream_id=f"evening{i}", device_id=f"family-screen{i}",
             ip_address="92.230.140.40" if i < 2 else "92.230.141.40", stream_limit=4)
        for beat in range(3)
        for i in range(3)
    ]  # fmt: skip
    decided = decide(front, evening)
    assert not {"ACCOUNT_SHARING", "STREAM_LIMIT", "CREDENTIAL_RESALE"} & set().union(*map(codes, decided))
    assert {one.outcome for one in decided} == {ALLOW}


def test_an_account_that_was_sold_is_blocked(front: Front) -> None:
    decide(front, at_home("reseller", "92.230.160.40"))
    told = decide(front, streams("reseller", 12, 5 * MINUTE, 160))[-1]
    assert told.outcome == BLOCK
    assert "CREDENTIAL_RESALE" in codes(told)
    assert {"BLOCK", "OPEN_INCIDENT"} <= actions(told)
    assert "OFFER_UPGRADE" not in actions(told), "no larger plan for somebody who sells it"
