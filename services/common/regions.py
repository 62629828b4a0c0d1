"""Codes of countries and their subdivisions: ISO 3166-1 alpha-2 and ISO 3166-2. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

_SUBDIVISIONS = Path(__file__).parent / "regions_data" / "subdivisions.txt"

COUNTRIES = frozenset(
    """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY
    BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK
    FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR
    IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK
    ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM
    PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF
    TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
    """.split()  # noqa: SIM905 - a column of codes is easier to compare with the standard
)
"""The 249 codes that ISO 3166-1 assigns."""

# AA, QM to QZ, XA to XZ, ZZ: ISO 3166-1 leaves them to its users. XK is in general use for Kosovo, ZZ says "unknown".
_USER_ASSIGNED = re.compile(r"AA|Q[M-Z]|X[A-Z]|ZZ")


@lru_cache(maxsize=1)
def subdivisions() -> frozenset[str]:
    """Every code of ISO 3166-2 (`US-CA`), withdrawn ones that are still in use included (regions_data/README.md)."""
    found: set[str] = set()
    for line in _SUBDIVISIONS.read_text(encoding="ascii").splitlines():
        country, *parts = line.split()
        found.update(f"{country}-{part}" for part in parts)
    return frozenset(found)


def is_region(code: str) -> bool:
    """Whether a code names a country, one of its subdivisions, what its users mean by it, or (as `EU`) the Union."""
    if code in COUNTRIES or code == "EU":
        return True
    if "-" in code:
        return code in subdivisions()
    return _USER_ASSIGNED.fullmatch(code) is not None
