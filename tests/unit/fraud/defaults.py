"""The parameters that fraud ships."""

from pathlib import Path

import services.fraud

DEFAULTS = (Path(services.fraud.__file__).parent / "defaults" / "parameters.yaml").read_bytes()
