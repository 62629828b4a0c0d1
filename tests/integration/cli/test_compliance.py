"""`usher compliance`: no running mesh, its own processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
GIVEN = ROOT / "tests" / "data" / "regulation_cases.yaml"

OWN = """id: XX_LAW
short_name: House rules
name: Rules of the house
version: "1"
jurisdictions: [MX]
scope: {article: s.1, by: [residence]}
rules:
  - id: no_ads
    article: s.2
    reason: PURPOSE_LIMITATION
    summary: No advertising.
    condition: purpose == "targeted_advertising"
    severity: 2
    remedy: stop_processing
    affects: purposes
    verification: verified
"""


def usher(*arguments: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    # A terminal's width would fold the tables.
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("USHER_") and name != "COLUMNS"
    }
    return subprocess.run(
        [sys.executable, "-m", "cli", "compliance", *arguments],
        cwd=ROOT,
        env={**kept, "PYTHONPATH": str(ROOT / "proto"), **variables},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "XX_LAW.yaml").write_text(OWN)
    return tmp_path


def test_the_given_cases_are_exact() -> None:
    done = usher("evaluate", str(GIVEN), "--check")
    lines = [json.loads(line) for line in done.stdout.splitlines()]

    assert (done.returncode, done.stderr) == (0, "30 of 30 cases as expected\n")
    assert len(lines) == 30
    assert all(line.keys() == {"id", "applicable", "violations", "gaps", "outcome"} for line in lines)
    assert all(
        item.keys() == {"regulation", "article", "reason"} for line in lines for item in line["violations"]
    )


def test_a_case_that_differs_or_cannot_be_read_gives_status_one() -> None:
    differs = usher("evaluate", "-", "--check", stdin=GIVEN.read_text().replace("art. 33(1)", "art. 33(2)"))
    broken = usher("evaluate", "-", stdin="- {id: A, event: {user_age: old, purpos: x}}")
    unread = usher(
        "evaluate", "-", stdin="- {id: B, event: {event_time: 2026-11-22T12:00:00Z, user_age: old}}"
    )

    assert differs.returncode == 1
    assert "29 of 30 cases as expected" in differs.stderr
    assert broken.returncode == 1
    assert json.loads(broken.stdout).keys() == {"id", "error"}
    assert "-:1: A: no rule asks for purpos (did you mean purpose?)" in broken.stderr
    assert unread.returncode == 1
    assert json.loads(unread.stdout)["outcome"] == "gap"
    assert "-:1: B: user_age: send a whole number, not text; it is taken as unknown" in unread.stderr


def test_a_file_that_is_none_gives_status_two(tmp_path: Path) -> None:
    assert usher("evaluate", str(tmp_path / "nowhere.yaml")).returncode == 2
    done = usher("evaluate", "-", stdin="a: [")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("-: line 2: not YAML")


def test_own_packs_are_evaluated_beside_the_shipped_ones(own: Path) -> None:
    case = (
        "- {id: A, event: {event_time: 2026-11-22T12:00:00Z, user_residence: MX, user_location: DE,"
        " purpose: targeted_advertising, legal_basis_claimed: contract, consent: {status: granted}}}"
    )
    for done in (
        usher("evaluate", "-", "--packs", str(own), stdin=case),
        usher("evaluate", "-", stdin=case, USHER_PACKS_DIR=str(own)),
    ):
        answer = json.loads(done.stdout)
        assert answer["applicable"] == ["EU_GDPR", "XX_LAW"]
        assert [item["regulation"] for item in answer["violations"]] == ["XX_LAW"]
    assert usher("check", "--packs", str(own)).stderr.startswith("43 packs, ")


def test_own_packs_with_mistakes_are_refused_with_file_and_line(own: Path) -> None:
    (own / "XX_LAW.yaml").write_text(
        OWN.replace("purpose ==", "purpos ==").replace("severity: 2", "severity: 7")
    )
    (own / "YY_LAW.yaml").write_text("id: YY_LAW\n  oops: [")
    done = usher("check", "--packs", str(own))

    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"{own}/XX_LAW.yaml:12: XX_LAW.no_ads.condition does not compile: there is no field purpos (at 0); "
        "did you mean purpose?",
        f"{own}/XX_LAW.yaml:13: XX_LAW.no_ads.severity is a whole number from 1 to 5",
        f"{own}/YY_LAW.yaml:2: not YAML: mapping values are not allowed in this context",
    ]


def test_up_refuses_wrong_own_packs_before_it_starts(own: Path, tmp_path: Path) -> None:
    (own / "XX_LAW.yaml").write_text(OWN.replace("severity: 2", "severity: 7"))
    # A terminal's width would fold the tables.
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("USHER_") and name != "COLUMNS"
    }
    done = subprocess.run(
        [sys.executable, "-m", "cli", "up", "--home", str(tmp_path / "home"), "--port", "0"],
        cwd=ROOT,
        env={**kept, "PYTHONPATH": str(ROOT / "proto"), "USHER_PACKS_DIR": str(own)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert f"{own}/XX_LAW.yaml:13: XX_LAW.no_ads.severity" in done.stderr


def test_regulations_as_table_lines_and_detail() -> None:
    table = usher("regulations")
    lines = [json.loads(line) for line in usher("regulations", "--json").stdout.splitlines()]
    detail = usher("regulations", "gdpr")

    assert table.returncode == 0
    assert len(lines) == 42
    for line in lines:
        assert line["id"] in table.stdout
        assert {
            "name",
            "jurisdictions",
            "version",
            "digest",
            "rules",
            "facts",
            "scope_article",
        } <= line.keys()
    for text in ("art. 12(3)", "RIGHTS_REQUEST_OVERDUE", "deadlines.access", "fines.tier2", "Not modelled"):
        assert text in detail.stdout


def test_regulations_of_a_day() -> None:
    then = [
        json.loads(line)["id"]
        for line in usher("regulations", "--json", "--at", "2017-01-01").stdout.splitlines()
    ]
    wrong = usher("regulations", "--at", "yesterday")
    absent = usher("regulations", "IN_DPDP", "--at", "2026-11-22")

    assert "EU_EPRIVACY" in then
    assert "EU_GDPR" not in then
    assert (wrong.returncode, absent.returncode) == (2, 2)
    assert "is not a date" in wrong.stderr
    assert "no regulation IN_DPDP in force on 2026-11-22" in absent.stderr


def test_impact_as_table_and_object(tmp_path: Path) -> None:
    inputs = tmp_path / "inputs.yaml"
    inputs.write_text(
        "period: {from: 2026-01-01, to: 2027-01-01}\n"
        "violations: [{regulation: EU_GDPR, rule: r, subject: a, confirmed: true}]\n"
        "assumptions: {enforcement: {default: {probability: [0.01, 0.1], share_of_maximum: [0.1, 0.5]}}}\n"
    )
    told = json.loads(usher("impact", str(inputs), "--json").stdout)
    table = usher("impact", str(inputs))

    # EUR 20 million, 1 % to 10 %, 10 % to 50 %.
    assert told["value"]["total"] == {"low": 20_000, "high": 1_000_000}
    assert "20,000 to 1,000,000" in table.stdout
    assert "no turnover `worldwide` is assumed" in table.stderr
    inputs.write_text("violations: 1")
    assert usher("impact", str(inputs)).returncode == 2
