"""Who is drawn for the control group and for the sample of what was allowed."""

from __future__ import annotations

import pytest
import yaml

from services.common import feedback_policy
from services.common.errors import FailedPrecondition
from services.common.policy import SERVICES_DIRECTORY

SHIPPED = (SERVICES_DIRECTORY / "scoring" / "defaults" / "feedback.yaml").read_bytes()


def test_what_ships_draws_nobody() -> None:
    policy = feedback_policy.read(SHIPPED)
    assert (policy.control_share, policy.sample_share) == (0.0, 0.0)
    assert not any(
        policy.in_control_group("t", f"e{i}") or policy.in_sample("t", f"e{i}") for i in range(999)
    )


def test_the_share_is_drawn_by_event_and_always_the_same() -> None:
    policy = feedback_policy.FeedbackPolicy(control_share=0.05, sample_share=0.05)
    drawn = [policy.in_control_group("t", f"e{i}") for i in range(20_000)]
    # Binomial: 1,000 expected, standard deviation 31; within six of them.
    assert abs(sum(drawn) - 1_000) < 185
    assert drawn == [policy.in_control_group("t", f"e{i}") for i in range(20_000)]
    both = sum(d and policy.in_sample("t", f"e{i}") for i, d in enumerate(drawn))
    assert both < 100, "the two draws have nothing to do with each other"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("version",), 2),
        (("control_group", "share"), 0.06),
        (("control_group", "share"), True),
        (("control_group", "at_most_an_hour"), -1),
        (("control_group", "classes"), ["payment"]),
        (("control_group", "classes"), ["odd"]),
        (("allowed_sample", "share"), "much"),
        (("allowed_sample", "shares"), 0.1),
    ],
)
def test_what_cannot_be_meant_is_refused(path: tuple[str, ...], value: object) -> None:
    told = yaml.safe_load(SHIPPED)
    held = told
    for name in path[:-1]:
        held = held[name]
    held[path[-1]] = value
    with pytest.raises(FailedPrecondition, match=r"feedback\.yaml"):
        feedback_policy.read(yaml.safe_dump(told).encode())
