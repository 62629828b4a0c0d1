"""The sweep: rings of all accounts at once, in a process of its own.

python -m services.fraud.sweep rings EDGES.csv [--why USER] [--backend NAME] [--parameters FILE]
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson

from services.fraud.communities import split_parties
from services.fraud.edge_list import EdgeList, components, context, read_edges
from services.fraud.lineage import new_ring_id
from services.fraud.parameters import RingParameters, parse
from services.fraud.rings import Candidate, find_rings

DEFAULTS = Path(__file__).parent / "defaults" / "parameters.yaml"


def rings_of(edges: EdgeList, parameters: RingParameters, backend: str | None = None) -> Iterator[Candidate]:
    """Rings of an edge list, component by component."""
    usual = context(edges)
    split = split_parties(backend)
    for component in components(edges, parameters.degree, parameters.minimum_accounts):
        yield from find_rings(component, parameters, usual, split)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("command")
    parser.add_argument("file", type=Path)
    o = parser.parse_args()
    gc.disable()
    parameters = parse(DEFAULTS.read_bytes()).rings
    with o.file.open() as f:
        edges = read_edges(f)
    for c in rings_of(edges, parameters):
        out = {
            "ring_id": new_ring_id("", c.members, c.first_seen_ms),
            "members": c.members,
            "score": c.score,
            "evidence": {"findings": [f._asdict() for f in c.findings], "innocent": c.innocent},
        }
        sys.stdout.buffer.write(orjson.dumps(out) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
