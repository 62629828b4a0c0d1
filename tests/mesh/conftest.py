"""Fixtures of the tests that run the mesh as processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.harness import Mesh
from tests.ledger import PATIENT, Books, Stream, replay


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Stream], Books]]:
    """Sends a stream's events again through a mesh of one process each that nobody disturbs; returns its books.

    The mesh is one for all tests; streams must name their viewers differently.
    """
    meshes: list[Mesh] = []

    def books(stream: Stream) -> Books:
        if not meshes:
            meshes.append(Mesh(tmp_path_factory.mktemp("undisturbed"), env=PATIENT).__enter__())
        return replay(stream, meshes[0])

    yield books
    for mesh in meshes:
        mesh.__exit__()
