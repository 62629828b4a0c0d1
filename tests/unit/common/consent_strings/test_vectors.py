"""Consent strings against the answers of the IAB's reference decoders, and against their own tests' assertions."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from services.common.consent_strings import ConsentStringError, decode
from services.common.consent_strings.gpp import SECTION_NAMES, decode_gpp
from services.common.consent_strings.us_sections import US_SECTIONS, decode_us_section
from tests.testdata import data_path


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    path = data_path("consent/vectors_dev.json", "strings with the reference decoders' answers")
    return json.loads(path.read_text())


def test_every_vector_is_read_or_refused_as_by_the_reference(content: dict[str, Any]) -> None:
    wrong = []
    for vector in content["vectors"]:
        try:
            decoded = decode(vector["string"])
        except ConsentStringError as error:
            if "expected" in vector:
                wrong.append((vector["string"], str(error)))
            continue
        found = decoded.value.as_json()
        expected = dict(vector.get("expected") or {"refused": vector.get("reference_decoder_rejects")})
        if decoded.kind == "gpp":
            # The answers hold the header alone: for every section they tell of an error of the harness.
            assert set(found.pop("sections")) == set(expected.pop("sections", {}))
        if (decoded.kind, found) != (vector["kind"], expected):
            wrong.append((vector["string"], found))
    assert wrong == []
    assert len(content["vectors"]) >= 50


def literal(java: str) -> Any:
    """The value that a Java test expects; None where it is no literal."""
    text = java.strip()
    if found := re.fullmatch(r"Arrays\.asList\((.*)\)", text):
        return [literal(one) for one in found[1].split(",")] if found[1] else []
    if found := re.match(r"ZonedDateTime\.of\((\d+), (\d+), (\d+), 0, 0, 0, 0,", text):
        return f"{int(found[1]):04}-{int(found[2]):02}-{int(found[3]):02}T00:00:00.000Z"
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    if text in ("true", "false"):
        return text == "true"
    return text[1:-1] if text[:1] in ("'", '"') else None


def asserted(assertions: dict[str, str]) -> dict[str, Any]:
    """Field -> value of the assertions on fields; the getters of the section itself are left out."""
    fields = {}
    for getter, java in assertions.items():
        name = re.search(r'"(\w+)"\)$', getter) or re.fullmatch(r"get([A-Z]\w+)", getter)
        if constant := re.search(r"Field\.(\w+)\)$", getter):
            fields["".join(word.capitalize() for word in constant[1].split("_"))] = literal(java)
        elif name and name[1] not in ("Id", "Key", "Type", "Ids"):
            fields[name[1]] = literal(java)
    return {name: value for name, value in fields.items() if value is not None}


def test_fields_are_what_the_reference_tests_assert(content: dict[str, Any]) -> None:
    ids = {name: number for number, name in SECTION_NAMES.items()}
    headers = {2: "DBABMA", 5: "DBABDA", 6: "DBABTA"}
    compared = 0
    for case in content["test_assertions"]:
        expected = asserted(case["assertions"])
        if case["class"] == "GppModel":
            sections = decode_gpp(case["string"]).as_json()["sections"]
            (found,) = sections.values()
        else:
            section = ids[case["class"].lower()]
            if section in US_SECTIONS:
                found = decode_us_section(section, case["string"])
            else:
                text = f"{headers[section]}~{case['string']}"
                found = decode_gpp(text).as_json()["sections"][str(section)]
        for name, value in expected.items():
            assert found[name] == value, (case["class"], case["string"], name)
            compared += 1
    assert compared > 250
