"""Decodes the consent strings of the IAB: TCF (TC strings), GPP and US Privacy. Pure: no input or output.

`decode` tells the kinds apart and reads one string; `ConsentStringError` names what is wrong with one that cannot be
read. The modules hold a format each; `gvl` holds the names of TCF purposes and vendors.
"""

from __future__ import annotations

from typing import NamedTuple

from services.common.consent_strings.bits import ConsentStringError
from services.common.consent_strings.gpp import GppString, decode_gpp
from services.common.consent_strings.tcf import TcString, decode_tcf
from services.common.consent_strings.us_privacy import UsPrivacy, decode_us_privacy

TCF, GPP, US_PRIVACY = "tcf_v2", "gpp", "usp"
MAX_LENGTH = 65_536
"""Longest string that is read, in characters; events carry at most 8,192."""


class Decoded(NamedTuple):
    """One consent string."""

    kind: str
    """TCF, GPP or US_PRIVACY."""
    value: TcString | GppString | UsPrivacy


def kind_of(text: str) -> str:
    """Which kind a string claims to be: GPP begins with "D" or has a "~", US Privacy has at most 4 characters."""
    if text.startswith("D") or "~" in text:
        return GPP
    return US_PRIVACY if len(text) <= 4 else TCF


def decode(text: str) -> Decoded:
    """Decodes a consent string of whatever kind.

    Raises ConsentStringError (the reasons of the kind's decoder, and STRING_TOO_LONG).
    """
    kind = kind_of(text)
    if len(text) > MAX_LENGTH:
        raise ConsentStringError("STRING_TOO_LONG", kind, f"takes more than {MAX_LENGTH:,} characters")
    if kind == GPP:
        return Decoded(kind, decode_gpp(text))
    return Decoded(kind, decode_us_privacy(text) if kind == US_PRIVACY else decode_tcf(text))


__all__ = [
    "GPP",
    "MAX_LENGTH",
    "TCF",
    "US_PRIVACY",
    "ConsentStringError",
    "Decoded",
    "GppString",
    "TcString",
    "UsPrivacy",
    "decode",
    "kind_of",
]
