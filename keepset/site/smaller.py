"""A served model made small enough for a web page: only what the page asks for, with weights that take less room.

Weights are stored as float16, or as int8 with a scale per output channel, and turned into float32 again by the graph
itself when it is loaded. So the arithmetic stays float32, and no runtime has to know about quantized layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["OUTPUTS", "Precision", "variants"]

OUTPUTS = ("logits", "similarity")
"""What the page needs; the distance is the mean of the nearest similarities."""
_LARGE = 1024
"""Numbers in a tensor from which on storing it in another way is worth two more nodes."""
_REFERENCE = "reference"


class Precision(StrEnum):
    """How weights are stored. From float16 on, the features of the training images are int8."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"


def variants(model: Any) -> Iterator[tuple[Precision, bytes]]:
    """The ONNX ``model`` in ever less room, serialized: the exact one first."""
    pruned = _pruned(model)
    yield Precision.FLOAT32, pruned.SerializeToString()
    yield Precision.FLOAT32, _stored(pruned, Precision.FLOAT32).SerializeToString()
    yield Precision.FLOAT16, _stored(pruned, Precision.FLOAT16).SerializeToString()
    yield Precision.INT8, _stored(pruned, Precision.INT8).SerializeToString()


def _pruned(model: Any) -> Any:
    """Without what only other outputs need, and without the metadata, which the page has as JSON."""
    import onnx

    small = onnx.ModelProto()
    small.CopyFrom(model)
    del small.metadata_props[:]
    graph, needed, nodes = small.graph, set(OUTPUTS), []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            nodes.append(node)
    _replace(graph.node, nodes[::-1])
    _replace(graph.output, [o for o in graph.output if o.name in OUTPUTS])
    _replace(graph.initializer, [i for i in graph.initializer if i.name in needed])
    del graph.value_info[:]
    return small


def _replace(field: Any, wanted: list[Any]) -> None:
    kept = [type(w)() for w in wanted]
    for copy, w in zip(kept, wanted, strict=True):
        copy.CopyFrom(w)
    del field[:]
    field.extend(kept)


def _stored(model: Any, precision: Precision) -> Any:
    """``model`` with its large float32 tensors stored as ``precision``; the reference always as int8."""
    import onnx

    small = onnx.ModelProto()
    small.CopyFrom(model)
    graph, tensors, nodes = small.graph, [], []
    for tensor in graph.initializer:
        how = Precision.INT8 if tensor.name == _REFERENCE else precision
        values = onnx.numpy_helper.to_array(tensor)
        if how == Precision.FLOAT32 or values.dtype != np.float32 or values.size < _LARGE:
            tensors.append(tensor)
        elif how == Precision.FLOAT16:
            tensors.append(onnx.numpy_helper.from_array(values.astype(np.float16), f"{tensor.name}_half"))
            nodes.append(_cast(f"{tensor.name}_half", tensor.name))
        else:
            packed, scale = _int8(values, 1 if tensor.name == _REFERENCE else 0)
            tensors.append(onnx.numpy_helper.from_array(packed, f"{tensor.name}_int8"))
            tensors.append(onnx.numpy_helper.from_array(scale, f"{tensor.name}_scale"))
            nodes.append(_cast(f"{tensor.name}_int8", f"{tensor.name}_wide"))
            names = [f"{tensor.name}_wide", f"{tensor.name}_scale"]
            nodes.append(onnx.helper.make_node("Mul", names, [tensor.name]))
    _replace(graph.initializer, tensors)
    _replace(graph.node, [*nodes, *graph.node])
    return small


def _cast(of: str, to: str) -> Any:
    import onnx

    return onnx.helper.make_node("Cast", [of], [to], to=onnx.TensorProto.FLOAT)


def _int8(values: npt.NDArray[np.float32], axis: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Symmetric, with a scale for each place along ``axis``: an output channel, or a training image."""
    others = tuple(i for i in range(values.ndim) if i != axis)
    scale = np.maximum(np.abs(values).max(axis=others, keepdims=True), 1e-12).astype(np.float32) / np.float32(127)
    return np.rint(values / scale).astype(np.int8), scale
