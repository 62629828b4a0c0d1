"""usher.scoring.v1.ScoringService: checks requests, calls the engine, answers."""

from __future__ import annotations

import re
from typing import Any, cast

from services.common.errors import FailedPrecondition, FieldViolation, InvalidArgument
from services.common.telemetry import keep_current_trace
from services.scoring import features
from services.scoring.describe import describe
from services.scoring.engine import Engines
from usher.decision.v1 import decision_pb2
from usher.scoring.v1 import scoring_pb2, scoring_pb2_grpc

MAX_EVENTS = 2_000
MAX_FEATURES = 500
_TENANT = re.compile(r"[A-Za-z0-9._:@+/=~-]{1,255}")


class ScoringServicer(scoring_pb2_grpc.ScoringServiceServicer):
    """Serves the engines of the policy sets that requests pin."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    async def DecideEvents(
        self, request: scoring_pb2.DecideEventsRequest, context: Any
    ) -> scoring_pb2.DecideEventsResponse:
        check(request)
        engine = await self._engines.get(request.policy_set)
        response = await engine.decide_async(request)
        if max(response.outcomes, default=0) >= decision_pb2.OUTCOME_REVIEW:
            keep_current_trace()
        return response

    async def ListFeatures(
        self, request: scoring_pb2.ListFeaturesRequest, context: Any
    ) -> scoring_pb2.ListFeaturesResponse:
        if not 0 <= request.page_size <= MAX_FEATURES:
            raise InvalidArgument("PAGE_SIZE_INVALID", f"page_size is 0 to {MAX_FEATURES}")
        if request.page_token and not (request.page_token.isdecimal() and len(request.page_token) <= 4):
            raise InvalidArgument("PAGE_TOKEN_INVALID", "page_token is one that ListFeatures answered")
        await self._engines.get(request.policy_set)
        start = int(request.page_token or 0)
        stop = start + (request.page_size or features.WIDTH)
        return scoring_pb2.ListFeaturesResponse(
            features=[
                scoring_pb2.Feature(
                    name=feature.name,
                    meaning=feature.meaning,
                    unit=feature.unit,
                    minimum=feature.minimum,
                    maximum=feature.maximum,
                    default_when_unknown=feature.default,
                    source=feature.source,
                )
                for feature in features.REGISTRY[start:stop]
            ],
            next_page_token=str(stop) if stop < features.WIDTH else "",
        )

    async def ListSegments(
        self, request: scoring_pb2.ListSegmentsRequest, context: Any
    ) -> scoring_pb2.ListSegmentsResponse:
        rules = (await self._engines.get(request.policy_set)).rules
        return scoring_pb2.ListSegmentsResponse(
            segments=[
                scoring_pb2.SegmentParameters(
                    segment=cast(decision_pb2.Segment, number),
                    threshold=one.threshold,
                    points=one.points,
                    sensitivity=one.sensitivity,
                    channels=one.channels,
                    support_priority=one.support_priority,
                    new_devices_allowed=one.new_devices_allowed,
                    second_factor=one.second_factor,
                    session_limit=one.session_limit,
                    learnt=float(rules.learnt[number]),
                )
                for number, one in enumerate(rules.segments, 1)
            ]
        )

    async def GetDrift(
        self, request: scoring_pb2.GetDriftRequest, context: Any
    ) -> scoring_pb2.GetDriftResponse:
        engine = self._engines.newest()
        if engine is None:
            raise FailedPrecondition("NO_ENGINE", "nothing was decided by this process yet")
        watch = engine.drift
        found = {} if watch is None else watch.indices()
        return scoring_pb2.GetDriftResponse(
            policy_set=engine.id,
            rows=0 if watch is None else watch.rows,
            has_snapshot=watch is not None,
            columns=[
                scoring_pb2.Drift(name=name, psi=value)
                for name, value in sorted(found.items(), key=lambda one: -one[1])
            ],
        )

    async def DescribeProfile(
        self, request: scoring_pb2.DescribeProfileRequest, context: Any
    ) -> scoring_pb2.DescribeProfileResponse:
        return describe(await self._engines.get(request.policy_set), request)


def check(request: scoring_pb2.DecideEventsRequest) -> None:
    """Refuses what is wrong with a request as a whole.

    Raises InvalidArgument: TENANT_INVALID, NO_EVENTS, TOO_MANY_EVENTS, COLUMN_LENGTH, PROFILE_OF_INVALID,
    EVIDENCE_INDEX_INVALID.
    """
    if not _TENANT.fullmatch(request.tenant):
        raise InvalidArgument("TENANT_INVALID", "tenant is 1 to 255 letters, digits or ._:@+/=~-")
    count = len(request.events)
    if not count:
        raise InvalidArgument("NO_EVENTS", f"events holds 1 to {MAX_EVENTS} events")
    if count > MAX_EVENTS:
        raise InvalidArgument(
            "TOO_MANY_EVENTS",
            f"events holds 1 to {MAX_EVENTS} events, not {count}",
            metadata={"limit": str(MAX_EVENTS), "count": str(count)},
        )
    if len(request.profile_of) != count:
        raise _column_length("profile_of", count, len(request.profile_of))
    if max(request.profile_of) >= len(request.profiles):
        raise InvalidArgument("PROFILE_OF_INVALID", "profile_of holds positions in profiles")
    places = request.places
    columns = (
        ("item_flags", request.item_flags),
        ("compliance_risk", request.compliance_risk),
        ("verdict_flags", request.verdict_flags),
        ("places.country", places.country),
        ("places.longitude_e4", places.longitude_e4),
        ("places.accuracy_km", places.accuracy_km),
        ("places.flags", places.flags),
    )
    for name, column in columns:
        if len(column) not in (0, count):
            raise _column_length(name, count, len(column))
    if len(request.signals) != count * request.signal_width:
        raise _column_length("signals", count * request.signal_width, len(request.signals))
    if any(item.index >= count for item in request.evidence):
        raise InvalidArgument("EVIDENCE_INDEX_INVALID", "evidence holds positions of events of the batch")


def _column_length(name: str, wanted: int, found: int) -> InvalidArgument:
    message = f"{name} has {wanted} entries, not {found}"
    return InvalidArgument(
        "COLUMN_LENGTH", message, violations=[FieldViolation(name, "COLUMN_LENGTH", message)]
    )
