"""The shipped packs load and keep their promises; a wrong pack is refused with every problem."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import services.compliance
from services.common.render import FINDING_SENTENCES
from services.compliance.packs import ALWAYS, PackError, load_pack, load_packs
from tests.unit.compliance.cases import CASES_FILE

FOLDER = Path(services.compliance.__file__).parent / "packs"
DOCUMENTS = {path.stem: path.read_bytes() for path in sorted(FOLDER.glob("*.yaml"))}

MINIMAL = """
id: XX_LAW
short_name: Law
name: A law
version: "1"
jurisdictions: [XK]
scope: {article: s.1, by: [residence]}
rules:
  - id: a_rule
    article: s.2
    reason: PURPOSE_LIMITATION
    summary: Says something.
    condition: purpose == "ads"
    severity: 3
    remedy: stop_processing
    affects: purposes
    verification: verified
"""


def test_shipped_packs() -> None:
    packs = load_packs(DOCUMENTS)

    assert [pack.id for pack in packs] == [
        "AU_PRIVACY_ACT", "BR_ECA_DIGITAL", "BR_LGPD", "CA_PIPEDA", "CA_QC_LAW25", "CN_PIPL", "EU_AVMSD", "EU_DSA",
        "EU_EPRIVACY", "EU_GDPR", "IN_DPDP", "JP_APPI", "KR_PIPA", "SG_PDPA", "TH_PDPA", "TR_KVKK", "UK_GDPR", "UK_PECR",
        "US_CA_CCPA", "US_COPPA", "US_CO_CPA", "US_CT_CTDPA", "US_DE_DPDPA", "US_DOJ_DSP", "US_FL_FDBR", "US_IA_ICDPA",
        "US_IN_INCDPA", "US_KY_KCDPA", "US_MD_MODPA", "US_MN_MCDPA", "US_MT_MCDPA", "US_NE_NDPA", "US_NH_NHDPA",
        "US_NJ_NJDPA", "US_OR_OCPA", "US_RI_RIDTPPA", "US_TN_TIPA", "US_TX_TDPSA", "US_UT_UCPA", "US_VA_VCDPA", "US_VPPA",
        "ZA_POPIA",
    ]  # fmt: skip
    reasons = set(yaml.safe_load(CASES_FILE.read_text())["meta"]["reason_codes"])
    assert reasons <= FINDING_SENTENCES.keys()
    for pack in packs:
        assert {rule.reason for rule in pack.rules} <= FINDING_SENTENCES.keys()
        for rule in pack.rules:
            # One rule forbids the act itself, and is not verified: it raises no outcome. Nobody has reviewed any yet.
            assert rule.forbids_act == (rule.id == "US_DOJ_DSP.bulk_transfer_to_country_of_concern")
            assert not (rule.forbids_act and rule.verification == "verified")
            assert rule.reviewed_by == ""


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_a_verified_rule_names_its_source(name: str) -> None:
    for rule in yaml.safe_load(DOCUMENTS[name])["rules"]:
        assert ("source" in rule) == (rule["verification"] == "verified"), rule["id"]


@pytest.mark.parametrize("name", sorted(DOCUMENTS.keys() - {"US_DOJ_DSP"}))
def test_a_shipped_pack_carries_its_facts(name: str) -> None:
    facts = yaml.safe_load(DOCUMENTS[name])["facts"]

    assert {"deadlines", "fines", "rights", "consent_model", "regulator"} <= facts.keys()


def test_minimal_pack() -> None:
    pack = load_pack(MINIMAL.encode())

    assert pack.rules[0].id == "XX_LAW.a_rule"
    assert (pack.since, pack.until, pack.instants) == (0, ALWAYS, ())


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("id: XX_LAW", "id: law", "does not match"),
        ('version: "1"', "version: 1", "version is a text"),
        ("[XK]", "[]", "jurisdictions is a list"),
        ("[XK]", "[NO]", None),
        ("[XK]", "[Kosovo]", "holds 'Kosovo'"),
        ("by: [residence]", "by: [birth]", "holds 'birth'"),
        ("severity: 3", "severity: 6", "severity is a whole number from 1 to 5"),
        ("severity: 3", "severity: true", "severity is a whole number"),
        ("severity: 3", "severitty: 3", "did you mean severity?"),
        ("affects: purposes", "affects: everything", "affects is one of"),
        ("verification: verified", "verification: certain", "verification is one of"),
        ("remedy: stop_processing", "remedy: Stop!", "does not match"),
        ('purpose == "ads"', 'purpos == "ads"', "did you mean purpose?"),
        ('condition: purpose == "ads"', "article2: x", "condition is missing"),
        ('condition: purpose == "ads"', 'condition: purpose == "ads" && purpose == "shop"', "is unreachable"),
        ('condition: purpose == "ads"', 'condition: purpose == "ads" && !has(purpose)', "is unreachable"),
        ('condition: purpose == "ads"', "condition: user_age < 5 && user_age > 9", "is unreachable"),
        (
            'condition: purpose == "ads"',
            'condition: purpose == "ads" || purpose != "ads"',
            "is contradictory",
        ),
        ('condition: purpose == "ads"', "condition: has(purpose) || !has(purpose)", "is contradictory"),
        ("by: [residence]}", "by: [residence], when: user_age < 9}", None),
        ("severity: 3", "consent_cannot_cure: true\n    severity: 3", None),
        (
            'condition: purpose == "ads"',
            'condition: consent.status == "absent"\n    consent_cannot_cure: true',
            "says that consent cannot cure, and reads consent.status",
        ),
        ("rules:", 'effective_to: "2026-01-01"\nrules:', None),
        ("severity: 3", 'severity: 3\n    effective_to: "1970-01-01"', "never in force"),
        ("severity: 3", "forbids_act: true\n    severity: 3", "forbids the act, so it affects the act"),
        ("severity: 3", "severity: 3\n    severity: 3", "written twice"),
        ("severity: 3", "severity: 3\n    effective_from: 2026-13-01", "is not a date"),
        ("severity: 3", "severity: 3\n    effective_from: 2026-02-01", None),
        (
            "severity: 3",
            "severity: 3\n    effective_from: 2026-02-01\n    effective_to: 2026-02-01",
            "never in force",
        ),
        ("severity: 3", "severity: 3\n    clock: {start: purpose, number: 1, unit: hours}", "and not a time"),
        (
            "severity: 3",
            "severity: 3\n    clock: {start: breach.aware_time, number: 0, unit: hours}",
            "from 1 to",
        ),
        (
            "severity: 3",
            "severity: 3\n    clock: {start: breach.aware_time, number: 1, unit: years}",
            "one of hours",
        ),
        ("rules:", "lookups: {age: {by: [residence], default: x, values: {}}}\nrules:", "whole number"),
        ("rules:", "lists: {ADS: [a, 1]}\nrules:", "is a list of texts or of whole numbers"),
        ("id: XX_LAW", "id: !!python/object/apply:os.system [ls]", "not YAML"),
        ("id: XX_LAW", "- id", "not YAML"),
    ],
)
def test_problems(old: str, new: str, problem: str | None) -> None:
    assert old in MINIMAL
    document = MINIMAL.replace(old, new, 1).encode()
    if problem is None:
        load_pack(document)
        return
    with pytest.raises(PackError) as caught:
        load_pack(document)

    assert any(problem in item for item in caught.value.problems), caught.value.problems


def test_every_problem_of_every_pack_is_told_at_once() -> None:
    wrong = (
        MINIMAL.replace("severity: 3", "severity: 9").replace("affects: purposes", "affects: none").encode()
    )
    with pytest.raises(PackError) as caught:
        load_packs({"XX_LAW": wrong, "YY_LAW": MINIMAL.encode()})

    assert [problem.partition(" ")[0] for problem in caught.value.problems] == [
        "XX_LAW.yaml:14:",
        "XX_LAW.yaml:16:",
        "YY_LAW.yaml:1:",
    ]
    assert "a pack is named by its id" in caught.value.problems[-1]


TWICE = """  - {id: again, article: s.3, reason: PURPOSE_LIMITATION, summary: The same., condition: 'purpose == "ads"',
     severity: 1, remedy: stop_processing, affects: purposes, verification: verified}
"""


def test_two_rules_that_answer_one_condition_contradict_each_other() -> None:
    with pytest.raises(PackError) as caught:
        load_pack((MINIMAL + TWICE).encode())

    assert caught.value.problems == (
        "line 18: XX_LAW.again contradicts XX_LAW.a_rule: both answer the same condition",
    )


def test_a_rule_outside_the_time_of_its_pack_is_refused() -> None:
    late = MINIMAL.replace("rules:", 'effective_to: "2020-01-01"\nrules:').replace(
        "severity: 3", 'severity: 3\n    effective_from: "2021-01-01"'
    )
    with pytest.raises(PackError, match="outside the time of its pack"):
        load_pack(late.encode())


def test_numbers_of_a_table_may_change_with_time() -> None:
    table = (
        "lookups: {age: {by: [residence], default: 16, values: {XK: {'2018-05-25': 13, '2024-01-01': 15}}}}\n"
    )
    pack = load_pack(MINIMAL.replace("rules:", table + "rules:").encode())
    [lookup] = pack.lookups

    # 2024-01-01 is 1,704,067,200 seconds after 1970.
    assert [lookup.at("XK", time) for time in (0, 1_704_067_199, 1_704_067_200)] == [None, 13, 15]
    assert 1_704_067_200 in pack.instants


def test_the_digest_is_that_of_the_document() -> None:
    assert load_pack(MINIMAL.encode()).digest == hashlib.sha256(MINIMAL.encode()).hexdigest()


def test_a_document_that_is_no_mapping() -> None:
    for document in (b"", b"[]", b"just text", b"{1: 2}"):
        with pytest.raises(PackError):
            load_pack(document)


def test_the_pack_that_the_documentation_shows_is_one() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "packs.md").read_text()
    shown = text.partition("```yaml\n")[2].partition("```")[0]
    [pack] = load_packs({"ACME_KIDS": shown.encode()})

    assert [rule.id for rule in pack.rules] == ["ACME_KIDS.no_ads", "ACME_KIDS.request_overdue"]


@pytest.mark.parametrize(
    "document",
    [b"[" * 900_000, b"{a: " * 200_000, b"- " * 300_000, b"? " * 100_000, b"a: &a [*a]", b"\x00", b"\xff\xfe", b"&a " * 99,
     b"a: &a [1]\nb: *a", b"!!python/name:os.system x: 1"],
)  # fmt: skip
def test_hostile_documents_are_refused(document: bytes) -> None:
    with pytest.raises(PackError):
        load_pack(document)


LINES = DOCUMENTS["US_VPPA"].partition(b"# For people")[0].splitlines(keepends=True)


@settings(max_examples=120, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(LINES) - 1),
            st.sampled_from(["drop", "twice", "swap", "cut", "insert"]),
            st.integers(0, 60),
            st.binary(max_size=4),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_mutated_pack_loads_or_is_refused(changes: list[tuple[int, str, int, bytes]]) -> None:
    lines = list(LINES)
    for position, change, column, garbage in changes:
        position %= len(lines)
        line = lines[position]
        match change:
            case "drop":
                lines[position] = b""
            case "twice":
                lines[position] = line + line
            case "swap":
                lines[position], lines[-position] = lines[-position], line
            case "cut":
                lines[position] = line[:column]
            case "insert":
                lines[position] = line[:column] + garbage + line[column:]
    try:
        pack = load_pack(b"".join(lines))
    except PackError as error:
        told = error.problems
    else:
        told = tuple(rule.id for rule in pack.rules)

    assert told
