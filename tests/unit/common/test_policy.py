"""Policy sets: content-addressed, whole or not at all."""

from __future__ import annotations

import hashlib
import itertools
import os
from pathlib import Path

import pytest

from services.common.errors import FailedPrecondition, InvalidArgument, NotFound, PolicySetUnknown
from services.common.policy import (
    OWN_PACKS_VARIABLE,
    Part,
    PolicySetCache,
    build_default,
    default_parts,
    newest_policy_set,
    own_packs,
    read_policy_set,
    write_policy_set,
)
from services.common.policy_sets import warm_up
from tests.fakes import quiet_telemetry
from usher.policy.v1 import policy_pb2

PACK = policy_pb2.PART_KIND_REGULATION_PACK
RULES = policy_pb2.PART_KIND_SCORING_RULES
PARTS = [
    Part(PACK, "EU_GDPR", b"gdpr"),
    Part(PACK, "BR_LGPD", b"lgpd"),
    Part(RULES, "outcomes", b"\x00rules"),
]


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_id_is_the_hash_of_kinds_names_and_digests(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"only").hexdigest()
    expected = hashlib.sha256(f"1\0A\0{digest}\n".encode()).hexdigest()[:32]
    assert write_policy_set(tmp_path, [Part(PACK, "A", b"only")]) == f"ps_{expected}"


def test_the_order_of_the_parts_does_not_matter(tmp_path: Path) -> None:
    ids = {write_policy_set(tmp_path, order) for order in itertools.permutations(PARTS)}
    assert len(ids) == 1
    assert len(files(tmp_path)) == 4


@pytest.mark.parametrize(
    "other",
    [
        [Part(PACK, "EU_GDPR", b"gdpr2"), *PARTS[1:]],
        [Part(PACK, "EU_GDPR2", b"gdpr"), *PARTS[1:]],
        [Part(RULES, "EU_GDPR", b"gdpr"), *PARTS[1:]],
        PARTS[1:],
    ],
    ids=["content", "name", "kind", "missing"],
)
def test_any_difference_is_another_set(tmp_path: Path, other: list[Part]) -> None:
    assert write_policy_set(tmp_path, PARTS) != write_policy_set(tmp_path, other)


def test_writing_again_changes_nothing(tmp_path: Path) -> None:
    first = write_policy_set(tmp_path, PARTS)
    before = files(tmp_path)
    assert write_policy_set(tmp_path, PARTS) == first
    assert files(tmp_path) == before


def test_a_set_is_read_as_it_was_written(tmp_path: Path) -> None:
    name = write_policy_set(tmp_path, PARTS)
    loaded = read_policy_set(tmp_path, name)
    assert loaded.id == name
    assert loaded.part(RULES, "outcomes") == b"\x00rules"
    assert loaded.parts(PACK) == {"BR_LGPD": b"lgpd", "EU_GDPR": b"gdpr"}
    assert list(loaded.parts(PACK)) == ["BR_LGPD", "EU_GDPR"]
    assert loaded.parts(policy_pb2.PART_KIND_MODEL) == {}
    assert [(p.kind, p.name, p.size_bytes) for p in loaded.manifest.parts] == [
        (PACK, "BR_LGPD", 4),
        (PACK, "EU_GDPR", 4),
        (RULES, "outcomes", 6),
    ]
    with pytest.raises(NotFound) as missing:
        loaded.part(PACK, "US_VPPA")
    assert missing.value.reason == "POLICY_PART_MISSING"


def test_a_part_that_was_changed_is_refused(tmp_path: Path) -> None:
    name = write_policy_set(tmp_path, PARTS)
    (tmp_path / "parts" / hashlib.sha256(b"gdpr").hexdigest()).write_bytes(b"gdpr!")
    with pytest.raises(InvalidArgument) as corrupt:
        read_policy_set(tmp_path, name)
    assert corrupt.value.reason == "POLICY_SET_CORRUPT"


def test_a_manifest_under_another_name_is_refused(tmp_path: Path) -> None:
    name = write_policy_set(tmp_path, PARTS)
    other = "ps_" + "0" * 32
    (tmp_path / "sets" / f"{name}.json").rename(tmp_path / "sets" / f"{other}.json")
    with pytest.raises(InvalidArgument) as corrupt:
        read_policy_set(tmp_path, other)
    assert corrupt.value.reason == "POLICY_SET_CORRUPT"


def test_a_part_left_out_of_the_manifest_is_refused(tmp_path: Path) -> None:
    name = write_policy_set(tmp_path, PARTS)
    path = tmp_path / "sets" / f"{name}.json"
    smaller = write_policy_set(tmp_path, PARTS[1:])
    text = (tmp_path / "sets" / f"{smaller}.json").read_text().replace(smaller, name)
    path.write_text(text)
    with pytest.raises(InvalidArgument) as corrupt:
        read_policy_set(tmp_path, name)
    assert corrupt.value.reason == "POLICY_SET_CORRUPT"


def test_a_set_or_part_that_is_not_there_yet_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(PolicySetUnknown):
        read_policy_set(tmp_path, "ps_" + "0" * 32)
    name = write_policy_set(tmp_path, PARTS)
    (tmp_path / "parts" / hashlib.sha256(b"gdpr").hexdigest()).unlink()
    with pytest.raises(PolicySetUnknown):
        read_policy_set(tmp_path, name)


@pytest.mark.parametrize(
    "name", ["", "ps_", "../x", "ps_" + "0" * 31, "ps_" + "G" * 32, "ps_" + "0" * 32 + "\n"]
)
def test_an_id_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        read_policy_set(tmp_path, name)
    assert refused.value.reason == "POLICY_SET_INVALID"


def test_no_parts_and_equal_names_are_refused(tmp_path: Path) -> None:
    for parts in ([], [PARTS[0], Part(PACK, "EU_GDPR", b"other")]):
        with pytest.raises(InvalidArgument) as refused:
            write_policy_set(tmp_path, parts)
        assert refused.value.reason == "POLICY_SET_INVALID"
        assert not (tmp_path / "sets").exists()


def test_the_cache_reads_once_and_knows_a_set_that_came_later(tmp_path: Path) -> None:
    cache = PolicySetCache(tmp_path, capacity=1)
    name = write_policy_set(tmp_path / "elsewhere", PARTS)
    with pytest.raises(PolicySetUnknown):
        cache.get(name)
    assert write_policy_set(tmp_path, PARTS) == name
    loaded = cache.get(name)
    assert cache.get(name) is loaded
    other = write_policy_set(tmp_path, PARTS[1:])
    cache.get(other)
    assert cache.get(name) is not loaded


def test_the_default_set_holds_what_the_services_ship(tmp_path: Path) -> None:
    name = build_default(tmp_path)
    assert build_default(tmp_path) == name
    loaded = PolicySetCache(tmp_path).get(name)
    assert "EU_GDPR" in loaded.parts(PACK)
    assert loaded.part(RULES, "outcomes")
    assert loaded.part(policy_pb2.PART_KIND_FRAUD_PARAMETERS, "parameters")
    assert len(loaded.manifest.parts) == len(default_parts())


def test_own_packs_join_the_shipped_ones(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "XX_LAW.yaml").write_bytes(b"id: XX_LAW")
    (own / "notes.txt").write_bytes(b"no pack")
    both = read_policy_set(tmp_path / "store", build_default(tmp_path / "store", own)).parts(PACK)
    shipped = read_policy_set(tmp_path / "store", build_default(tmp_path / "store")).parts(PACK)

    assert both == {**shipped, "XX_LAW": b"id: XX_LAW"}
    assert own_packs({OWN_PACKS_VARIABLE: str(own)}) == own
    assert own_packs({}) is None
    assert own_packs({OWN_PACKS_VARIABLE: ""}) is None


@pytest.mark.parametrize(
    ("names", "problem"),
    [(None, "no folder"), ([], "holds no regulation pack"), (["EU_GDPR.yaml"], "there is a pack EU_GDPR already"),
     (["XX_LAW.yaml", "XX_LAW.yml"], "there is a pack XX_LAW already")],
)  # fmt: skip
def test_own_packs_that_cannot_join(tmp_path: Path, names: list[str] | None, problem: str) -> None:
    own = tmp_path / "own"
    if names is not None:
        own.mkdir()
        for name in names:
            (own / name).write_bytes(b"")
    with pytest.raises(InvalidArgument, match=problem) as caught:
        build_default(tmp_path / "store", own)

    assert caught.value.reason == "OWN_PACKS_INVALID"
    assert not (tmp_path / "store").exists()


def test_the_newest_set_is_the_one_written_last(tmp_path: Path) -> None:
    assert newest_policy_set(tmp_path) is None
    first, second = write_policy_set(tmp_path, PARTS), write_policy_set(tmp_path, PARTS[:1])
    for age, policy_set in enumerate((second, first)):
        os.utime(tmp_path / f"sets/{policy_set}.json", (1_000_000 - age, 1_000_000 - age))
    (tmp_path / "sets/other.json").write_text("{}")
    assert newest_policy_set(tmp_path) == second


async def test_the_newest_set_is_loaded_before_serving_and_a_broken_one_keeps_nothing_from_starting(
    tmp_path: Path,
) -> None:
    asked: list[str] = []

    async def load(policy_set: str) -> None:
        asked.append(policy_set)
        raise FailedPrecondition("PACK_INVALID", "a pack that cannot be used")

    telemetry = quiet_telemetry("compliance")
    await warm_up(load, tmp_path, telemetry)
    assert asked == []
    only = write_policy_set(tmp_path, PARTS)
    await warm_up(load, tmp_path, telemetry)
    assert asked == [only]
