"""`usher consent`: decode consent strings; needs no running mesh."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import typer

from cli.console import EXIT_INCOMPLETE, EXIT_OK, exit_statuses, leave

app = typer.Typer(
    name="consent",
    help="Consent strings and the consent ledger.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("decode")
def decode_command(
    strings: Annotated[
        list[str],
        typer.Argument(
            metavar="STRING...",
            help="TCF, GPP or US Privacy strings; - reads one a line from stdin.",
            show_default=False,
        ),
    ],
    names: Annotated[
        bool,
        typer.Option("--names", help="Add the names of purposes and vendors from the Global Vendor List."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Accepted for likeness: the answer is JSON lines in any case.")
    ] = False,
) -> None:
    """Decode TCF, GPP and US Privacy strings: one JSON line each, in order.

    A string that cannot be read says why: {"kind","valid":false,"error"}; the exit status is 1 then. A section of a
    GPP string that cannot be read holds its error and leaves the others readable.

    \b
    Examples:
      usher consent decode 1YNN
      usher consent decode --names CQd924AQd924AASACCENCNFsAP_gAEIAACiQL6QBAAGAAOANmAcAF9IAIADgAA
      cut -f3 consents.tsv | usher consent decode - | jq .decoded.vendorConsents
    """
    with exit_statuses():
        whole = True
        for text in _read(strings):
            line = describe(text, names=names)
            whole = whole and line["valid"]
            print(json.dumps(line, ensure_ascii=False))
        leave(EXIT_OK if whole else EXIT_INCOMPLETE)


def _read(strings: Iterable[str]) -> Iterator[str]:
    for text in strings:
        if text != "-":
            yield text
            continue
        for line in sys.stdin:
            yield line.rstrip("\r\n")


def describe(text: str, *, names: bool = False) -> dict[str, Any]:
    """What a string says: {"kind", "valid", "decoded"}, or {"kind", "valid": False, "error"}."""
    from services.common import consent_strings

    try:
        decoded = consent_strings.decode(text)
    except consent_strings.ConsentStringError as error:
        return {"kind": consent_strings.kind_of(text), "valid": False, "error": f"{error.reason}: {error}"}
    line = {"kind": decoded.kind, "valid": True, "decoded": decoded.value.as_json()}
    if names:
        line["names"] = _names(decoded.value)
    return line


def _names(value: Any) -> dict[str, Any]:
    """Names of what a TC string, or the TC string within a GPP string, consents to; {} where there is none."""
    from services.common.consent_strings import GppString, TcString, gvl

    if isinstance(value, GppString):
        value = value.sections.get(2)
    if not isinstance(value, TcString):
        return {}
    known = gvl.shipped()
    return {
        "purposeConsents": {number: known.purposes.get(number) for number in value.purpose_consents},
        "purposeLegitimateInterests": {
            number: known.purposes.get(number) for number in value.purpose_legitimate_interests
        },
        "specialFeatureOptins": {
            number: known.special_features.get(number) for number in value.special_feature_optins
        },
        "vendorConsents": {number: known.vendors.get(number) for number in value.vendor_consents},
        "vendorListVersion": known.version,
        "source": gvl.ATTRIBUTION,
    }
