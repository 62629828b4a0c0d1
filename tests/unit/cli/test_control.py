"""What `usher scoring control` shows of an answer."""

from __future__ import annotations

from cli.control import lines
from usher.event.v1 import event_pb2
from usher.ingest.v1 import feedback_pb2


def test_off_says_where_it_is_switched_on() -> None:
    told = dict(lines(feedback_pb2.GetControlGroupResponse()))
    assert told["control group"].startswith("off")
    assert "feedback.yaml" in told["control group"]
    assert told["sample"].startswith("off")
    assert "usher scoring retrain" in told["found"]
    assert "this hour" not in told


def test_what_is_drawn_let_through_and_found() -> None:
    answer = feedback_pb2.GetControlGroupResponse(
        share=0.01,
        at_most_an_hour=20,
        most_bytes=100_000_000,
        classes=[event_pb2.EVENT_CLASS_PLAYBACK, event_pb2.EVENT_CLASS_LOGIN],
        sample_share=0.02,
        this_hour=3,
        hours=[feedback_pb2.ControlHour(taken=3), feedback_pb2.ControlHour(taken=1_200)],
        sampled=120,
        control_group=30,
        control_abusive=feedback_pb2.Rate(count=12, of=30, value=0.4, low=0.246, high=0.577),
        misses=feedback_pb2.MissEstimate(
            reviewed=feedback_pb2.Rate(count=1, of=80), allowed=6_000, missed=75, low=13.3, high=406
        ),
    )
    answer.report_time.seconds = 1
    told = dict(lines(answer))
    assert told["control group"] == (
        "1.00% of acts that would be held up (playback, login, up to 100 MB); at most 20 an hour"
    )
    assert told["this hour"] == "3 of 20"
    assert told["last 7 days"] == "1,203 let through, in 2 hours"
    assert told["as of"] == "1970-01-01T00:00:01Z"
    assert told["found"] == "30 let through, 12 of 30 known ones abuse: 40.0% (24.6% to 57.7%)"
    assert told["looked at"] == "80 of 120 that were drawn"
    assert told["missed"] == "about 75 (13 to 406) of 6,000 allowed"


def test_what_nobody_judged_is_not_observed() -> None:
    answer = feedback_pb2.GetControlGroupResponse(share=0.01, sample_share=0.02, sampled=5, control_group=2)
    answer.report_time.seconds = 1
    told = dict(lines(answer))
    assert told["found"] == "2 let through, of none is it known what it was"
    assert told["looked at"] == "0 of 5 that were drawn"
    assert told["missed"].startswith("not observed")
