"""Communities of a weighted graph: what a sweep parts large groups into. Of a process of its own: it loads networkx."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from random import Random

import networkx as nx
from networkx.algorithms.community import louvain_communities

SEED = 1
RUNS = 12
_RESOLUTIONS = (1.0, 1.5, 2.0)
"""The runs take these in turn: modularity at 1 alone cannot see communities below a size (Fortunato and Barthelemy,
"Resolution limit in community detection", PNAS 2007)."""
_AGREED = 0.5
_ROUNDS = 6


def communities(
    graph: nx.Graph, *, seed: int = SEED, runs: int = RUNS, backend: str | None = None
) -> list[set[Hashable]]:
    """Communities by consensus of several runs of Louvain.

    One run of Louvain depends on the order of nodes; what most runs agree on does not. The graph is weighted by how
    often its ends fall together, and parted again until all runs agree (Lancichinetti and Fortunato, "Consensus
    clustering in complex networks", Scientific Reports 2012, restricted to edges and their triangles so that the work
    stays near linear, after Tandon et al., Physical Review E 2019).

    Args:
        graph: undirected; the edge attribute `weight` counts as 1 where it is missing.
        seed: of the first run; the same seed gives the same answer.
        runs: partitions of each round, 1 or more.
        backend: a networkx backend ("cugraph", "parallel", ...); None: networkx itself.
    """
    options = {} if backend is None else {"backend": backend}
    chance = Random(seed)
    current = nx.Graph()
    current.add_nodes_from(sorted(graph, key=str))
    current.add_weighted_edges_from(
        sorted(((a, b, data.get("weight", 1.0)) for a, b, data in graph.edges(data=True)), key=str)
    )
    for number in range(_ROUNDS):
        found = []
        for run in range(runs):
            resolution = _RESOLUTIONS[run % len(_RESOLUTIONS)]
            parts = louvain_communities(
                current, seed=seed + number * runs + run, resolution=resolution, **options
            )
            found.append({node: part for part, nodes in enumerate(parts) for node in nodes})
        agreed = nx.Graph()
        agreed.add_nodes_from(current)
        same = True
        for a, b in _pairs(current, chance):
            together = sum(part[a] == part[b] for part in found) / runs
            same &= together in (0.0, 1.0)
            if together >= _AGREED:
                agreed.add_edge(a, b, weight=together)
        for node in current:
            # Nobody is left alone for want of agreement.
            if current.degree(node) and not agreed.degree(node):
                near = max(current[node], key=lambda other: (current[node][other]["weight"], str(other)))
                agreed.add_edge(node, near, weight=1 / runs)
        current = agreed
        if same:
            break
    return (
        [set(part) for part in nx.connected_components(current)]
        if same
        else [set(part) for part in louvain_communities(current, seed=seed, **options)]
    )


def _pairs(graph: nx.Graph, chance: Random) -> list[tuple[Hashable, Hashable]]:
    """The graph's edges, and as many pairs of neighbours of one node."""
    pairs = dict.fromkeys(graph.edges)
    nodes = [node for node in graph if graph.degree(node) > 1]
    for _ in range(graph.number_of_edges() if nodes else 0):
        a, b = chance.sample(sorted(graph[nodes[chance.randrange(len(nodes))]], key=str), 2)
        if (b, a) not in pairs:
            pairs[a, b] = None
    return list(pairs)


def split_parties(
    backend: str | None = None,
) -> Callable[[Sequence[int], Sequence[Sequence[int]]], list[set[int]]]:
    """The `split` of `rings.find_rings` by communities."""

    def split(parties: Sequence[int], ties: Sequence[Sequence[int]]) -> list[set[int]]:
        graph = nx.Graph()
        graph.add_nodes_from(parties)
        weights: dict[tuple[int, int], float] = defaultdict(float)
        for tie in ties:
            share = 1.0 / (len(tie) - 1)
            for number, a in enumerate(tie):
                for b in tie[number + 1 :]:
                    weights[min(a, b), max(a, b)] += share
        graph.add_weighted_edges_from((a, b, weight) for (a, b), weight in weights.items())
        return [{int(party) for party in part} for part in communities(graph, backend=backend)]  # type: ignore[call-overload]

    return split
