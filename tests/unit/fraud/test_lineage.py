"""What a look at some of the accounts may change beside rings that it cannot judge."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.fraud.lineage import beside
from services.fraud.rings import Candidate

ACCOUNTS = [f"u{number:02}" for number in range(24)]


def group(*members: str) -> Candidate:
    return Candidate(tuple(sorted(members)), 0.9, 0.8, (), 10, 50, (), ())


def test_without_such_rings_everything_is_judged() -> None:
    found = [group("a", "b"), group("c", "d")]
    assert beside(found, {"a": "ring", "b": "ring"}, {}) == (found, {}, frozenset())


def test_a_group_that_holds_the_ring_whole_is_the_ring_grown() -> None:
    found = [group("a", "b", "c")]
    assert beside(found, {"a": "ring", "b": "ring"}, {"ring": frozenset("ab")}) == (found, {}, frozenset())


def test_a_group_that_meets_a_part_brings_members_and_takes_none() -> None:
    established = {"a": "ring", "b": "ring", "o": "other"}
    look = beside([group("a", "n", "o")], established, {"ring": frozenset("abc")})
    assert look == ([], {"n": "ring"}, frozenset("abcno"))


def test_a_group_that_meets_two_changes_nothing() -> None:
    established = {"a": "one", "b": "two"}
    look = beside([group("a", "b", "n")], established, {"one": frozenset("a"), "two": frozenset("b")})
    assert look == ([], {}, frozenset("abn"))


@st.composite
def looks(draw: st.DrawFn) -> tuple[list[Candidate], dict[str, str], dict[str, frozenset[str]]]:
    """Disjoint groups, rings that accounts are in, and which of the rings cannot be judged."""
    rings = draw(st.lists(st.sampled_from([0, 0, 1, 2, 3]), min_size=24, max_size=24))
    groups = draw(st.lists(st.sampled_from([0, 0, 1, 2, 3]), min_size=24, max_size=24))
    seen = draw(st.integers(0, 24))
    established = {a: f"ring{r}" for a, r in zip(ACCOUNTS[:seen], rings, strict=False) if r}
    held = {
        f"ring{r}": frozenset(a for a, other in zip(ACCOUNTS, rings, strict=True) if other == r)
        for r in draw(st.sets(st.sampled_from([1, 2, 3])))
        if f"ring{r}" in established.values()
    }
    found = [
        group(*members)
        for number in (1, 2, 3)
        if (members := [a for a, g in zip(ACCOUNTS[:seen], groups, strict=False) if g == number])
    ]
    return found, established, held


@given(looks())
def test_no_ring_that_cannot_be_judged_loses_a_member(
    drawn: tuple[list[Candidate], dict[str, str], dict[str, frozenset[str]]],
) -> None:
    found, established, held = drawn
    look = beside(found, established, held)
    judged = [set(candidate.members) for candidate in look.candidates]
    for members in held.values():
        assert members <= look.untouched or any(members <= group for group in judged)
    assert look.untouched.isdisjoint(set().union(*judged))
    # Who joins was in no ring, and joins one that its group meets.
    for account, ring_id in look.joins.items():
        assert account not in established
        [of] = [candidate for candidate in found if account in candidate.members]
        assert held[ring_id] & set(of.members)
    # Groups that meet no such ring are judged as they are.
    for candidate in found:
        if not any(set(candidate.members) & members for members in held.values()):
            assert candidate in look.candidates
