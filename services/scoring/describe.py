"""A profile in words: what an ordinary event of its account would meet at a moment. Pure."""

from __future__ import annotations

from typing import cast

import numpy as np
import orjson

from services.common.errors import InvalidArgument
from services.scoring import decide, factors, features, profile
from services.scoring.engine import Engine
from services.scoring.extract import Extractor
from services.scoring.subject import describe as counters
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.scoring.v1 import scoring_pb2

ORDINARY = "heartbeat"
"""Type of the event that is thought to happen."""


def describe(
    engine: Engine, request: scoring_pb2.DescribeProfileRequest
) -> scoring_pb2.DescribeProfileResponse:
    """The profile's features, segment, threshold and what is usual, at the request's time.

    The event that is thought to happen is an ordinary one without device, address or title, so features of these say
    nothing of the account and are left out. Raises InvalidArgument (PROFILE_INVALID, EVENT_TIME_INVALID).
    """
    if request.profile and (fault := profile.check(request.profile)):
        raise InvalidArgument("PROFILE_INVALID", f"the profile cannot be read: {fault}")
    event = event_pb2.Event(event_type=ORDINARY, event_time=request.time)
    if request.account.ListFields():
        event.account.CopyFrom(request.account)
    places = event_pb2.Places(
        country=[0], latitude_e4=[0], longitude_e4=[0], accuracy_km=[0], asn=[0], flags=[0]
    )
    extractor = Extractor([0], [0], places)
    extractor.read([event.SerializeToString()], 0, 1)
    extracted = extractor.finish()
    if extracted.errors:
        raise InvalidArgument(extracted.errors[0].reason, extracted.errors[0].message)
    observed = profile.fold(profile.load([request.profile]), extracted.profile_of, extracted.columns)
    none, no_points = np.zeros(1, np.int64), np.zeros(1)
    signals = np.zeros((1, features.SIGNALS), np.float32)
    rows = features.compute(
        observed, extracted.columns, extracted.facts, signals, none, no_points, engine.norms
    )
    inputs = decide.Inputs(
        events=extracted.columns,
        facts=extracted.facts,
        observed=observed,
        features=rows,
        signals=signals,
        scores=engine.model.run(rows),
        place_flags=none,
        item_flags=none,
        verdict_flags=none,
        compliance_risk=no_points,
        modes=np.full(1, decide.ENFORCE, np.int64),
    )
    segment = int(decide.decide(engine.rules, inputs).segment[0])
    usual, own = factors.normals_of(engine.models, inputs, 0)
    threshold = engine.rules.segments[segment - 1].threshold + float(engine.rules.learnt[segment])
    answer = scoring_pb2.DescribeProfileResponse(
        segment=cast(decision_pb2.Segment, segment), threshold=threshold
    )
    for at, feature in enumerate(features.REGISTRY):
        if feature.source == "profile" or feature.name in ("account_age_days", "chargebacks"):
            answer.features.add(
                name=feature.name,
                meaning=feature.meaning,
                unit=feature.unit,
                value=float(rows[0, at]),
                normal=float(usual[at]),
                own_normal=bool(own[at]),
            )
    told = counters(request.profile) if request.profile else {}
    if told:
        answer.counters_json = orjson.dumps(told).decode()
    answer.sentences.extend(_sentences(answer, told))
    return answer


def _sentences(answer: scoring_pb2.DescribeProfileResponse, told: dict[str, object]) -> list[str]:
    value = {one.name: one.value for one in answer.features}
    name = decision_pb2.Segment.Name(answer.segment).removeprefix("SEGMENT_").lower()
    said = [
        f"The account is in the segment {name}: from {answer.threshold:g} points on its events are reviewed."
    ]
    if not told:
        return [*said, "No event of it is in the profile yet."]
    devices, countries = told["devices"], told["countries"]
    said.append(
        f"{told['events']} events so far, {value['events_24h']:g} of them in the last 24 hours, from "
        f"{len(cast(list[object], devices))} known devices in {len(cast(list[object], countries))} countries."
    )
    if told["hours_with_an_incident"]:
        said.append(f"{len(cast(list[object], told['hours_with_an_incident']))} hours with an incident.")
    if value["chargebacks"]:
        said.append(f"{value['chargebacks']:g} chargebacks, as the platform told.")
    return said
