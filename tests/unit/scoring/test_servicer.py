"""What a request as a whole is refused for, and the registry page by page."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.common.errors import InvalidArgument
from services.common.policy import PolicySetCache
from services.scoring import features
from services.scoring.engine import Engines
from services.scoring.servicer import ScoringServicer, check
from usher.event.v1 import event_pb2
from usher.scoring.v1 import scoring_pb2


def request(**changes: object) -> scoring_pb2.DecideEventsRequest:
    fields: dict[str, object] = {"tenant": "t", "events": [b"", b""], "profiles": [b""], "profile_of": [0, 0]}
    return scoring_pb2.DecideEventsRequest(**(fields | changes))


def test_a_right_request_passes() -> None:
    check(request(item_flags=[0, 1], signals=[0.0] * 24, signal_width=12))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tenant": ""}, "TENANT_INVALID"),
        ({"tenant": "a b"}, "TENANT_INVALID"),
        ({"events": [], "profile_of": []}, "NO_EVENTS"),
        ({"events": [b""] * 2001, "profile_of": [0] * 2001}, "TOO_MANY_EVENTS"),
        ({"profile_of": [0]}, "COLUMN_LENGTH"),
        ({"profile_of": [0, 1]}, "PROFILE_OF_INVALID"),
        ({"profiles": []}, "PROFILE_OF_INVALID"),
        ({"item_flags": [0]}, "COLUMN_LENGTH"),
        ({"verdict_flags": [0, 0, 0]}, "COLUMN_LENGTH"),
        ({"compliance_risk": [0.0]}, "COLUMN_LENGTH"),
        ({"places": event_pb2.Places(flags=[1])}, "COLUMN_LENGTH"),
        ({"signals": [0.0] * 23, "signal_width": 12}, "COLUMN_LENGTH"),
        ({"signals": [0.0]}, "COLUMN_LENGTH"),
        ({"evidence": [scoring_pb2.EvidenceItem(index=2)]}, "EVIDENCE_INDEX_INVALID"),
    ],
)
def test_wrong_requests_are_refused_whole(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        check(request(**changes))
    assert refused.value.reason == reason


async def test_features_are_listed_in_the_order_of_the_model(policy_directory: Path, policy_set) -> None:
    servicer = ScoringServicer(Engines(PolicySetCache(policy_directory)))
    whole = await servicer.ListFeatures(scoring_pb2.ListFeaturesRequest(policy_set=policy_set.id), None)
    assert [feature.name for feature in whole.features] == list(features.NAMES)
    assert whole.next_page_token == ""
    names, token = [], ""
    while True:
        page = await servicer.ListFeatures(
            scoring_pb2.ListFeaturesRequest(policy_set=policy_set.id, page_size=10, page_token=token), None
        )
        names += [feature.name for feature in page.features]
        token = page.next_page_token
        if not token:
            break
    assert names == list(features.NAMES)
    for wrong in ({"page_size": 501}, {"page_size": -1}, {"page_token": "x"}):
        with pytest.raises(InvalidArgument):
            await servicer.ListFeatures(
                scoring_pb2.ListFeaturesRequest(policy_set=policy_set.id, **wrong), None
            )
