"""A batch through the engine: order, flags, faults of single items, independence of batch size."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from itertools import islice
from pathlib import Path

import pytest

from services.common.errors import FailedPrecondition, PolicySetUnknown
from services.common.policy import PolicySetCache
from services.scoring import factors, features, profile
from services.scoring.engine import Engine, Engines
from simulator.traffic import generate
from tests.unit.scoring.builders import write_scoring_set
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.scoring.v1 import scoring_pb2

NOW = 1_790_000_000
E = event_pb2
ENFORCE = [decision_pb2.MODE_ENFORCE] * 8


def event(number: int = 0, **fields: object) -> E.Event:
    made = E.Event(
        event_id=f"e{number}", user_id="u", device_id="d", event_type="play", ip_address="192.0.2.1"
    )
    made.event_time.seconds = NOW + number
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def request(
    events: list[E.Event],
    *,
    profiles: list[bytes] | None = None,
    flags: list[int] | None = None,
    **fields: object,
) -> scoring_pb2.DecideEventsRequest:
    return scoring_pb2.DecideEventsRequest(
        tenant="t",
        policy_set="ps",
        events=[e.SerializeToString() for e in events],
        profiles=profiles or [b""],
        profile_of=[0] * len(events),
        item_flags=flags or [],
        modes=ENFORCE,
        **fields,
    )


def decision(content: bytes) -> decision_pb2.Decision:
    return decision_pb2.Decision.FromString(content)


def test_a_first_event_is_decided_and_folded(engine: Engine) -> None:
    answer = engine.decide(request([event()]))
    (decided,) = map(decision, answer.decisions)
    assert decided.outcome == answer.outcomes[0] == decision_pb2.OUTCOME_ALLOW
    assert decided.mode == decision_pb2.MODE_ENFORCE
    assert decided.numbers[decision_pb2.NUMBER_INDEX_PROFILE_EVENTS] == 0
    (kept,) = answer.profiles
    assert len(kept) == profile.SIZE
    again = decision(engine.decide(request([event(9)], profiles=[kept])).decisions[0])
    assert again.numbers[decision_pb2.NUMBER_INDEX_PROFILE_EVENTS] == 1


def test_a_class_without_mode_observes(engine: Engine) -> None:
    asked = request(
        [event(event_type="bulk_download")], verdict_flags=[1 << decision_pb2.VERDICT_FLAG_FORBIDS_ACT]
    )
    del asked.modes[4:]
    decided = decision(engine.decide(asked).decisions[0])
    assert decided.mode == decision_pb2.MODE_OBSERVE
    assert decided.outcome == decision_pb2.OUTCOME_ALLOW
    assert decided.would_be == decision_pb2.OUTCOME_BLOCK
    assert not decided.actions


def test_flags_say_what_is_remembered(engine: Engine) -> None:
    flags = [1 << E.ITEM_FLAG_FOLD_ONLY, 1 << E.ITEM_FLAG_OLD, 1 << E.ITEM_FLAG_SUPPRESSED, 0]
    answer = engine.decide(request([event(i) for i in range(4)], flags=flags))
    assert answer.decisions[0] == b""
    assert answer.outcomes[0] == 0
    seen = [decision(d).numbers[decision_pb2.NUMBER_INDEX_PROFILE_EVENTS] for d in answer.decisions[1:]]
    # The old and the suppressed one see no profile; the last sees the folded one alone.
    assert seen == [0, 0, 1]
    assert profile.load([answer.profiles[0]])[0, profile.TOTAL] == 2
    untouched = engine.decide(request([event()], flags=[1 << E.ITEM_FLAG_SUPPRESSED]))
    assert list(untouched.profiles) == [b""]


def test_what_did_not_answer_counts_as_unknown(engine: Engine) -> None:
    worst = {
        "signals": [5.0] + [1.0] * 11,
        "signal_width": 12,
        "verdict_flags": [1 << decision_pb2.VERDICT_FLAG_FORBIDS_ACT],
        "compliance_risk": [3.0],
        "evidence": [
            scoring_pb2.EvidenceItem(
                index=0, reasons=[decision_pb2.Reason(code=decision_pb2.REASON_CODE_VPN, points=5)]
            )
        ],
    }
    assert engine.decide(request([event()], **worst)).outcomes[0] == decision_pb2.OUTCOME_BLOCK
    flags = [1 << E.ITEM_FLAG_NO_FRAUD | 1 << E.ITEM_FLAG_NO_COMPLIANCE]
    (content,) = engine.decide(request([event()], flags=flags, **worst)).decisions
    decided = decision(content)
    assert decided.outcome == decision_pb2.OUTCOME_ALLOW
    assert decided.numbers[decision_pb2.NUMBER_INDEX_PLACE_UNSPECIFIED] == 0
    assert decided.numbers[decision_pb2.NUMBER_INDEX_COMPLIANCE] == 0
    assert not decided.reasons


def test_consent_moves_neither_outcome_nor_risk(engine: Engine) -> None:
    refused = event()
    refused.privacy.legal_basis_claimed = "consent"
    refused.privacy.consent.status = "withdrawn"
    granted = event()
    granted.privacy.legal_basis_claimed = "consent"
    granted.privacy.consent.status = "granted"
    one, other = (decision(engine.decide(request([e])).decisions[0]) for e in (refused, granted))
    for place in (
        *range(decision_pb2.NUMBER_INDEX_VIOLATION_LIKELIHOOD),
        decision_pb2.NUMBER_INDEX_PROFILE_EVENTS,
    ):
        assert one.numbers[place] == other.numbers[place]
    assert (one.outcome, one.risk_score, list(one.reasons)) == (
        other.outcome,
        other.risk_score,
        list(other.reasons),
    )


def test_suppressed_processing_is_an_action_without_raising_the_outcome(engine: Engine) -> None:
    answer = engine.decide(request([event()], verdict_flags=[1 << decision_pb2.VERDICT_FLAG_SUPPRESS]))
    decided = decision(answer.decisions[0])
    assert decided.outcome == decision_pb2.OUTCOME_ALLOW
    assert [a.kind for a in decided.actions] == [decision_pb2.ACTION_KIND_SUPPRESS_PROCESSING]


def test_broken_items_fail_alone(engine: Engine) -> None:
    asked = request([event(i) for i in range(5)], profiles=[b"", b"not a profile"])
    asked.events[1] = b"\xff\xff"
    asked.profile_of[2] = 1
    asked.events[3] = E.Event(event_id="no time").SerializeToString()
    answer = engine.decide(asked)
    assert [(e.index, e.reason) for e in answer.errors] == [
        (1, "MALFORMED_EVENT"),
        (2, "MALFORMED_PROFILE"),
        (3, "EVENT_TIME_INVALID"),
    ]
    assert [bool(d) for d in answer.decisions] == [True, False, False, False, True]
    assert list(answer.outcomes)[1:4] == [0, 0, 0]
    assert [len(p) for p in answer.profiles] == [profile.SIZE, 0]
    assert profile.load([answer.profiles[0]])[0, profile.TOTAL] == 2
    alone = engine.decide(scoring_pb2.DecideEventsRequest(events=[b"\xff"], profiles=[b""], profile_of=[0]))
    assert [(e.index, e.reason) for e in alone.errors] == [(0, "MALFORMED_EVENT")]
    assert list(alone.decisions) == [b""]


def test_signals_of_other_versions_are_cut_or_filled(engine: Engine) -> None:
    short = engine.decide(request([event()], signals=[4.0, 0.0], signal_width=2))
    long = engine.decide(request([event()], signals=[4.0] + [0.0] * 13, signal_width=14))
    assert decision(short.decisions[0]).numbers[0] == decision(long.decisions[0]).numbers[0] == 4.0


def run(engine: Engine, traffic: list[E.Event], size: int) -> tuple[dict[str, bytes], dict[str, bytes]]:
    profiles: dict[str, bytes] = {}
    decisions: dict[str, bytes] = {}
    for start in range(0, len(traffic), size):
        batch = traffic[start : start + size]
        users = list(dict.fromkeys(e.user_id for e in batch))
        place = {user: i for i, user in enumerate(users)}
        answer = engine.decide(
            scoring_pb2.DecideEventsRequest(
                events=[e.SerializeToString() for e in batch],
                profiles=[profiles.get(user, b"") for user in users],
                profile_of=[place[e.user_id] for e in batch],
                modes=ENFORCE,
            )
        )
        assert not answer.errors
        profiles.update(zip(users, answer.profiles, strict=True))
        decisions.update(zip([e.event_id for e in batch], answer.decisions, strict=True))
    return profiles, decisions


def test_decisions_depend_on_each_viewers_order_alone(engine: Engine) -> None:
    traffic = [e for e, _ in islice(generate(4, 120, 2, 1_788_220_800_000), 1_500)]
    by_user: dict[str, list[E.Event]] = defaultdict(list)
    for one in traffic:
        by_user[one.user_id].append(one)
    other_order = [one for user in sorted(by_user, reverse=True) for one in by_user[user]]
    expected = run(engine, traffic, 256)
    assert run(engine, traffic, 1) == expected
    assert run(engine, traffic, 17) == expected
    assert run(engine, other_order, 100) == expected


async def test_engines_compile_once_and_keep_the_last_used(policy_directory: Path, policy_set) -> None:
    engines = Engines(PolicySetCache(policy_directory))
    first, second = await asyncio.gather(engines.get(policy_set.id), engines.get(policy_set.id))
    assert first is second
    with pytest.raises(PolicySetUnknown):
        await engines.get("ps_" + "0" * 32)
    answer = await first.decide_async(request([event(i) for i in range(200)]))
    assert answer == first.decide(request([event(i) for i in range(200)]))


@pytest.mark.parametrize(
    ("part", "content", "says"),
    [
        ("ensemble_onnx", b"not a graph", "SHA-256"),
        ("ensemble_json", b'{"format": 1}', "format"),
        ("trees_json", b"{}", "trees"),
        ("norms_json", b"{}", "norms"),
        ("outcomes_yaml", b"version: 1", "version"),
    ],
)
async def test_a_set_that_must_not_decide_is_refused_and_the_one_before_goes_on(
    tmp_path: Path, part: str, content: bytes, says: str
) -> None:
    good, bad = write_scoring_set(tmp_path), write_scoring_set(tmp_path, **{part: content})
    engines = Engines(PolicySetCache(tmp_path))
    serving = await engines.get(good)
    for _ in range(2):  # it is not kept half made
        with pytest.raises(FailedPrecondition, match=says):
            await engines.get(bad)
    assert await engines.get(good) is serving
    assert not serving.decide(request([event()])).errors


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_an_event_with_a_figure_that_is_no_number_is_refused_alone(engine: Engine, value: float) -> None:
    whole = engine.decide(request([event(0), event(1), event(2)]))
    signals = [0.0] * (3 * 12)
    signals[12 + decision_pb2.SIGNAL_INDEX_TRAVEL_KMH] = value
    answer = engine.decide(
        request(
            [event(i) for i in range(4)],
            signals=[*signals, *[0.0] * 12],
            signal_width=12,
            compliance_risk=[0, 0, 0, value],
        )
    )
    assert [(e.index, e.reason, e.field) for e in answer.errors] == [
        (1, "NUMBER_INVALID", "signals.travel_kmh"),
        (3, "NUMBER_INVALID", "compliance_risk"),
    ]
    assert [bool(one) for one in answer.decisions] == [True, False, True, False]
    # It is not folded into the profile either: the third event is the second that the viewer has.
    position = decision_pb2.NUMBER_INDEX_PROFILE_EVENTS
    assert decision(answer.decisions[2]).numbers[position] == decision(whole.decisions[1]).numbers[position]


def test_a_profile_of_the_version_before_is_migrated(engine: Engine) -> None:
    old = (
        (0x55530001).to_bytes(4, "little")
        + (7).to_bytes(4, "little")
        + NOW.to_bytes(4, "little") * 2
        + bytes(1008)
    )
    answer = engine.decide(request([event(9)], profiles=[old]))
    assert not answer.errors
    assert decision(answer.decisions[0]).numbers[decision_pb2.NUMBER_INDEX_PROFILE_EVENTS] == 7
    assert len(answer.profiles[0]) == profile.SIZE
    newer = (0x55530009).to_bytes(4, "little") + bytes(1596)
    refused = engine.decide(request([event(9)], profiles=[newer]))
    assert [(e.reason, e.field) for e in refused.errors] == [("MALFORMED_PROFILE", "profiles")]
    assert "version 9" in refused.errors[0].message


TAKEOVER = ["play"] * 12 + ["login_failed"] * 3 + ["login", "export"]


def taken_over(engine: Engine) -> decision_pb2.Decision:
    events = [
        event(60 * i, event_type=kind, device_id="d" if i < 12 else "other")
        for i, kind in enumerate(TAKEOVER)
    ]
    return decision(engine.decide(request(events)).decisions[-1])


def test_a_decision_above_allow_tells_what_the_models_looked_at(engine: Engine) -> None:
    found = taken_over(engine)
    assert found.outcome >= decision_pb2.OUTCOME_REVIEW
    assert not found.explanation_failed
    by_model = {model: [f for f in found.factors if f.model == model] for model in (1, 2)}
    for listed in by_model.values():
        assert 1 <= len(listed) <= 5
        strengths = [abs(f.contribution) for f in listed]
        assert strengths == sorted(strengths, reverse=True)
    numbers = dict(zip(features.NAMES, found.numbers[decision_pb2.NUMBER_INDEX_FIRST_FEATURE :], strict=True))
    for factor in found.factors:
        assert factor.value == numbers[factor.feature]
        assert not set(factor.feature.split()) - set(features.NAMES)
    assert not any(f.feature in features.NAMES[features.ANOMALY_FEATURES :] for f in by_model[1])
    quiet = decision(engine.decide(request([event()])).decisions[0])
    assert not quiet.factors


def test_an_explanation_that_fails_never_fails_the_decision_and_is_visible(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = taken_over(engine)
    before = engine.unexplained

    def broken(*_: object) -> None:
        raise RuntimeError("the graph is gone")

    monkeypatch.setattr(factors, "factors", broken)
    found = taken_over(engine)
    assert found.explanation_failed
    assert not found.factors
    assert engine.unexplained > before
    assert (found.outcome, list(found.reasons), list(found.actions)) == (
        whole.outcome,
        list(whole.reasons),
        list(whole.actions),
    )
