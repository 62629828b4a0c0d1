"""The measures of the detector on public corpora, and on texts that are none of an attacker's."""

from __future__ import annotations

import pytest

from bench.attacks import false_positives, recall_by_source, recall_of_requests
from tests.testdata import data_path

_WHAT = "corpora of attacks and of texts that are none"


@pytest.mark.parametrize(("name", "least"), [("sqli", 0.99), ("xss", 0.98), ("traversal", 0.99)])
def test_recall(name: str, least: float) -> None:
    _, number, found, told = recall_by_source(data_path("attacks", _WHAT), name)[-1]
    assert found / number >= least
    assert told / number >= least


def test_requests_of_the_core_rule_set() -> None:
    rows = {
        group: found / number
        for group, number, found in recall_of_requests(data_path("attacks/crs_requests.json", _WHAT))
    }
    assert rows["all"] >= 0.88
    assert rows["level 1"] >= 0.95


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("titles_movielens", 0.001),
        ("names_apostrophe_hyphen", 0.0),
        ("useragents_browsers", 0.0),
        ("useragents_tv_console", 0.0),
        ("params_csic2010_train", 0.001),
        ("hard_gotestwaf_false_positives", 0.2),
    ],
)
def test_false_positives(name: str, most: float) -> None:
    number, wrong = false_positives(data_path(f"benign/{name}.txt", _WHAT))
    assert len(wrong) / number <= most, wrong[:5]
