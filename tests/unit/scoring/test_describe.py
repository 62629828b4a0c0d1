"""A profile in words, by the shipped engine."""

from __future__ import annotations

import pytest

from services.common.errors import InvalidArgument
from services.scoring.describe import describe
from services.scoring.engine import Engine
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.scoring.v1 import scoring_pb2

NOW = 1_790_000_000


def asked(profile: bytes, **account: int) -> scoring_pb2.DescribeProfileRequest:
    request = scoring_pb2.DescribeProfileRequest(profile=profile)
    request.time.seconds = NOW
    request.account.created_time.seconds = NOW - 400 * 86_400
    request.account.MergeFrom(event_pb2.AccountFacts(**account))
    return request


def folded(engine: Engine, count: int) -> bytes:
    request = scoring_pb2.DecideEventsRequest(
        tenant="t", policy_set=engine.id, profiles=[b""], profile_of=[0] * count
    )
    for number in range(count):
        event = event_pb2.Event(event_id=f"e{number}", device_id="d", event_type="play")
        event.event_time.seconds = NOW - 600 + number
        request.events.append(event.SerializeToString())
    return engine.decide(request).profiles[0]


def test_it_counts_what_was_folded_and_leaves_the_profile_alone(engine: Engine) -> None:
    profile = folded(engine, 5)
    answer = describe(engine, asked(profile))
    value = {one.name: one.value for one in answer.features}
    assert (value["events_1h"], value["events_24h"], value["account_age_days"]) == (5, 5, 400)
    assert '"events":5' in answer.counters_json
    assert any("5 events so far" in line for line in answer.sentences)
    assert describe(engine, asked(profile)) == answer


def test_facts_move_the_segment(engine: Engine) -> None:
    usual, charged = describe(engine, asked(b"")), describe(engine, asked(b"", chargebacks=3))
    assert usual.segment != decision_pb2.SEGMENT_SUSPICIOUS
    assert charged.segment == decision_pb2.SEGMENT_SUSPICIOUS
    assert charged.threshold < usual.threshold
    assert "No event" in usual.sentences[1]


def test_what_is_no_profile_is_refused(engine: Engine) -> None:
    with pytest.raises(InvalidArgument):
        describe(engine, asked(b"nonsense"))
