"""The models: one ONNX graph from features to scores, checked against its card when it is loaded.

Output columns: see `OUTPUTS`. Rows are scored independently, and a batch of one is padded to two rows, since
the runtime multiplies a single row by another kernel, which may round differently.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import onnxruntime
import orjson

from services.common.errors import FailedPrecondition
from services.scoring import features

CARD_FORMAT = 2
OUTPUTS = (
    "ensemble",
    "isolation_forest",
    "local_outlier_factor",
    "violation_likelihood",
    "nearest_neighbours",
)


class ModelInvalid(FailedPrecondition):
    """A model that must not decide: it does not fit its card, or its card does not fit this service."""

    def __init__(self, message: str) -> None:
        super().__init__("MODEL_INVALID", message)


class Ensemble:
    """Isolation Forest, nearest neighbours, Local Outlier Factor and the violation model.

    Scores are 0 to 1. The anomaly scores are calibrated on quantiles of the training traffic: see the card.
    Raises ModelInvalid where model and card disagree or the inputs are not those of this service.
    """

    def __init__(self, model: bytes, card: bytes) -> None:
        self.card = read_card(card)
        digest = hashlib.sha256(model).hexdigest()
        if self.card["sha256"] != digest:
            raise ModelInvalid(
                f"the model's SHA-256 is {digest[:16]}…, its card says {self.card['sha256'][:16]}…"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:  # whatever the runtime raises: its own types are not public
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ModelInvalid(f"the runtime does not load the model ({type(error).__name__})") from error
        self._check_shape()

    def _check_shape(self) -> None:
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if [(i.name, i.type, i.shape[1:]) for i in inputs] != [
            ("features", "tensor(float)", [features.WIDTH])
        ]:
            raise ModelInvalid(
                f"the model's input is not one row of {features.WIDTH} floats named 'features'"
            )
        if [(o.name, o.type, o.shape[1:]) for o in outputs] != [("scores", "tensor(float)", [len(OUTPUTS)])]:
            raise ModelInvalid(f"the model's output is not one row of {len(OUTPUTS)} floats named 'scores'")

    def run(self, rows: features.Floats) -> features.Floats:
        """Scores of feature rows: one row of `OUTPUTS` an event."""
        if len(rows) == 1:
            return self._session.run(None, {"features": np.repeat(rows, 2, axis=0)})[0][:1]
        return self._session.run(None, {"features": rows})[0]


def read_card(card: bytes) -> dict[str, Any]:
    """The model card, checked. Raises ModelInvalid."""
    try:
        read = orjson.loads(card)
    except orjson.JSONDecodeError as error:
        raise ModelInvalid(f"the model card is not JSON: {error}") from None
    if not isinstance(read, dict) or read.get("format") != CARD_FORMAT:
        raise ModelInvalid(f"the model card is not of format {CARD_FORMAT}")
    if not isinstance(read.get("sha256"), str):
        raise ModelInvalid("the model card names no SHA-256 of its model")
    wanted = {
        "registry_version": features.REGISTRY_VERSION,
        "inputs": list(features.NAMES),
        "anomaly_inputs": features.ANOMALY_FEATURES,
        "outputs": list(OUTPUTS),
    }
    for key, value in wanted.items():
        if read.get(key) != value:
            raise ModelInvalid(f"the model card's {key} is not that of this service")
    return read
