"""Prediction without torch: onnxruntime on the exported model, from Python, for files, folders and stdin."""

from __future__ import annotations

from keepset.predict.files import Row, predict_files
from keepset.predict.model import Outcome, Prediction, Predictor, load

__all__ = ["Outcome", "Prediction", "Predictor", "Row", "load", "predict_files"]
