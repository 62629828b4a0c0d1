"""`usher consent`, as a person runs it."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from cli.main import app

TC = "CQd924AQd924AASACCENCNFsAP_gAEIAACiQL6QBAAGAAOANmAcAF9IAIADgAA"


def test_a_line_a_string_in_order() -> None:
    done = CliRunner().invoke(
        app, ["consent", "decode", "1YN-", "-", "DBABTA~1YNN"], input=b"2YNN\r\n\xff\xfe\n"
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["kind"], line["valid"]) for line in lines] == [
        ("usp", True),
        ("usp", False),
        ("usp", False),
        ("gpp", True),
    ]
    assert lines[0]["decoded"] == {"version": 1, "notice": "Y", "optOutSale": "N", "lspaCovered": "-"}
    assert set(lines[1]) == {"kind", "valid", "error"}
    assert lines[1]["error"].startswith("VERSION_UNKNOWN")
    assert lines[3]["decoded"]["sections"]["6"]["OptOutSale"] == "N"
    assert done.exit_code == 1


def test_names_come_from_the_vendor_list() -> None:
    done = CliRunner().invoke(app, ["consent", "decode", "--names", TC])
    (line,) = map(json.loads, done.stdout.splitlines())
    assert done.exit_code == 0
    assert line["names"]["purposeConsents"]["11"] == "Use limited data to select content"
    assert line["names"]["vendorConsents"]["12"] == "BeeswaxIO Corporation"
    assert "CC BY" in line["names"]["source"]


def test_a_retired_version_is_shown_and_told_beside_the_answer() -> None:
    done = CliRunner().invoke(app, ["consent", "decode", "BO2e4qiO2e4qiB9ABADEDS-AAAAxKABgACBiQA"])
    (line,) = map(json.loads, done.stdout.splitlines())
    assert (line["valid"], line["decoded"]["version"], set(line)) == (True, 1, {"kind", "valid", "decoded"})
    assert "retired" in done.stderr
