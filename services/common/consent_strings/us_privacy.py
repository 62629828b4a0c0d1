"""The US Privacy String of the CCPA Compliance Framework, version 1: four characters such as "1YNN".

Source: IAB Tech Lab, "CCPA Compliance Framework: U.S. Privacy String" (USPrivacy/CCPA), version 1.0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from services.common.consent_strings.bits import ConsentStringError

_STRING = re.compile(r"1[YN-][YN-][YN-]")


@dataclass(frozen=True, slots=True)
class UsPrivacy:
    """A decoded US Privacy String; "Y" yes, "N" no, "-" does not apply."""

    notice: str
    """Whether explicit notice and an opportunity to opt out of the sale were given."""
    opt_out_sale: str
    """Whether the user opted out of the sale."""
    lspa_covered: str
    """Whether the Limited Service Provider Agreement covers the transaction."""
    version: int = 1

    def as_json(self) -> dict[str, Any]:
        """The fields in the order of the string."""
        return {
            "version": self.version,
            "notice": self.notice,
            "optOutSale": self.opt_out_sale,
            "lspaCovered": self.lspa_covered,
        }


def decode_us_privacy(text: str, part: str = "us_privacy") -> UsPrivacy:
    """Decodes a US Privacy String; raises ConsentStringError (VERSION_UNKNOWN, US_PRIVACY_INVALID)."""
    if len(text) == 4 and text[0].isascii() and text[0].isdigit() and text[0] != "1":
        raise ConsentStringError("VERSION_UNKNOWN", part, f"version {text[0]} is not US Privacy version 1")
    if not _STRING.fullmatch(text):
        raise ConsentStringError("US_PRIVACY_INVALID", part, "is not 1 followed by three of Y, N and -")
    return UsPrivacy(*text[1:])


def encode_us_privacy(consent: UsPrivacy) -> str:
    """The string of a decoded one."""
    return f"{consent.version}{consent.notice}{consent.opt_out_sale}{consent.lspa_covered}"
