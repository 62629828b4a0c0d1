"""Consent strings beside the IAB's reference decoders: what those said of many strings is kept in tests/data."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from services.common.consent_strings import ConsentStringError
from services.common.consent_strings.tcf import decode_tcf
from services.common.consent_strings.us_sections import US_SECTIONS, decode_us_section, encode_us_section

DATA = Path(__file__).parents[3] / "data"


def load(name: str) -> Any:
    return json.loads((DATA / name).read_text())["strings"]


def test_every_us_section_is_read_and_written_as_the_reference_does() -> None:
    cases = load("gpp_us_sections.json")
    for case in cases:
        fields = decode_us_section(case["section"], case["string"])
        assert {name: fields[name] for name in case["fields"]} == case["fields"], case["string"]
        assert encode_us_section(case["section"], fields) == case["string"]
    assert {case["section"] for case in cases} == set(US_SECTIONS)


def test_no_mutated_string_is_accepted_that_the_reference_refuses_or_reads_otherwise() -> None:
    accepted = refused = stricter = 0
    for text, reading in load("tcf_mutations.json"):
        try:
            found = decode_tcf(text).as_json()
        except ConsentStringError:
            refused += reading is None
            stricter += reading is not None
            continue
        written = json.dumps(found, sort_keys=True, separators=(",", ":"))
        assert hashlib.sha256(written.encode()).hexdigest() == reading, text
        accepted += 1
    # Both ends are there; what is refused beyond the reference is in docs/decisions/0041.
    assert min(accepted, refused) > 40
    assert stricter < accepted
