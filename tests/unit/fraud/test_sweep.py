"""Edge lists as the sweep reads them, and communities against planted ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import networkx as nx
import pytest
from sklearn.metrics import adjusted_mutual_info_score

from bench.rings import Plan, Population, judge
from services.common.errors import InvalidArgument
from services.fraud.communities import communities
from services.fraud.edge_list import components, context, read_edges
from services.fraud.parameters import shipped
from services.fraud.sweep import as_json, rings_of, why
from tests.testdata import data_path

PARAMETERS = shipped().rings
HEADER = "user,kind,value,time"


def demonstration() -> list[str]:
    """The table of the original's demonstration: six accounts, one device, one card, one sign-up address."""
    rows = [HEADER]
    for number in range(1, 7):
        at = f"2026-01-1{number}T10:00:00Z"
        for kind, value in (("device", "dev_A"), ("payment", "4242"), ("signup_ip", "192.168.1.100")):
            rows.append(f"fraud_user_{number},{kind},{value},{at}")
    rows += [
        "fraud_user_1,device,dev_B,2026-01-12T00:00:00Z",
        "fraud_user_7,device,dev_B,2026-01-12T00:00:00Z",
    ]
    return [*rows, "fraud_user_8,device,dev_C,2026-01-12T00:00:00Z"]


def test_the_table_of_the_demonstration_is_one_ring_of_exactly_six() -> None:
    [ring] = rings_of(read_edges(demonstration()), PARAMETERS)
    assert ring.members == tuple(f"fraud_user_{number}" for number in range(1, 7))
    printed = as_json(ring, "", PARAMETERS)
    assert set(printed) == {"ring_id", "members", "score", "evidence"}
    assert printed["evidence"]["flagged"]


def test_account_seven_is_told_why_it_is_not_in_it() -> None:
    [group] = why(read_edges(demonstration()), "fraud_user_7", PARAMETERS)
    assert group.members == ("fraud_user_1", "fraud_user_7")
    assert "too_few_accounts" in group.why_not
    assert why(read_edges(demonstration()), "fraud_user_8", PARAMETERS) == []
    with pytest.raises(InvalidArgument):
        why(read_edges(demonstration()), "nobody", PARAMETERS)


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ([], 1),
        (["user,kind,value"], 1),
        ([HEADER, "a,card,x,2026-01-01T00:00:00Z"], 2),
        ([HEADER, "a,device,x,2026-01-01T00:00:00Z", "a,device,x,yesterday"], 3),
        ([HEADER, ",device,x,2026-01-01T00:00:00Z"], 2),
        ([HEADER, "a,device"], 2),
    ],
)
def test_what_is_no_edge_is_named_by_its_line(rows: list[str], line: int) -> None:
    with pytest.raises(InvalidArgument) as caught:
        read_edges(rows)
    assert caught.value.metadata["line"] == str(line)


def test_rows_of_one_edge_are_one_and_columns_come_in_any_order() -> None:
    edges = read_edges(
        [
            "time,value,user,kind,more",
            "2026-01-03T00:00:00Z,tv,ann,device,x",
            "2026-01-01T00:00:00+00:00,tv,ann,device,x",
            "2026-01-02T00:00:00Z,,ann,payment,x",
        ]
    )
    assert (edges.accounts, edges.resources, edges.blank) == (["ann"], [("d", "tv")], 1)
    assert (edges.last_ms - edges.first_ms).tolist() == [2 * 86_400_000]
    assert list(components(read_edges([HEADER]), 64, 1)) == []


def test_planted_rings_are_found_and_no_innocent_group_is() -> None:
    population = Population(
        accounts=6_000, seed=5, rings=12, dorms=4, wifis=10, family_plans=60, second_hand=100, hidden=0.15,
        ring_least=10,
    )  # fmt: skip
    plan = Plan(population)
    rows = [
        f"{user},{kind},{value},{datetime.fromtimestamp(moment, UTC).isoformat()}"
        for user, kind, value, moment in plan.rows
    ]
    edges = read_edges([HEADER, *rows])
    assert context(edges).signup_span_ms > 100 * 86_400_000
    result = judge(plan, [{"members": ring.members} for ring in rings_of(edges, PARAMETERS)])
    assert result["ring_precision"] >= 0.97
    assert result["ring_recall"] >= 0.9
    assert result["account_precision"] >= 0.97
    assert result["innocent_groups"] == 0


def test_communities_agree_with_planted_ones_at_least_as_well_as_louvain() -> None:
    folder = data_path("graph", "LFR graphs with planted communities")
    baseline = json.loads((folder / "louvain_baseline.json").read_text())
    ours = []
    for mixing in ("0.1", "0.3", "0.5"):
        graph = nx.Graph()
        for line in (folder / f"lfr_mu{mixing}_seed10.edges").read_text().splitlines():
            graph.add_edge(*map(int, line.split()[:2]))
        labels = dict(
            map(int, line.split()[:2])
            for line in (folder / f"lfr_mu{mixing}_seed10.labels").read_text().splitlines()
        )
        graph.add_nodes_from(labels)
        found = {node: number for number, part in enumerate(communities(graph)) for node in part}
        ours.append(adjusted_mutual_info_score(list(labels.values()), [found[node] for node in labels]))
    theirs = [row["louvain_AMI"] for row in baseline if row["seed"] == 10]
    assert sum(ours) / 3 >= sum(theirs) / 3 - 0.01
