"""The served form of a model, ``models/<id>/model.onnx``, which keeps features of some of the pictures it was trained on."""

from __future__ import annotations

import json
from collections.abc import Collection

from keepset.files import atomic_path, local
from keepset.workspace import Workspace

__all__ = ["forget_pictures"]


def forget_pictures(ws: Workspace, model_id: str, shas: Collection[str]) -> bool:
    """Overwrite what ``models/<id>/model.onnx`` keeps of these pictures with zeros, which no picture is similar to.

    A file in which they cannot be found is deleted; ``keepset export model`` makes it again. Whether there was anything.
    """
    path = ws.models / model_id / "model.onnx"
    if not path.exists():
        return False
    import onnx

    model = onnx.load(local(path), load_external_data=False)
    known = json.loads(next((p.value for p in model.metadata_props if p.key == "reference"), "[]"))
    gone = [i for i, sha in enumerate(known) if sha in shas]
    if known and not gone:
        return False
    stored = [t for t in model.graph.initializer if t.name.endswith("reference") and t.dims[1:] == [len(known)]]
    if len(stored) != 1:
        path.unlink()
        return True
    values = onnx.numpy_helper.to_array(stored[0]).copy()
    values[:, gone] = 0
    stored[0].CopyFrom(onnx.numpy_helper.from_array(values, stored[0].name))
    with atomic_path(path) as part:
        onnx.save(model, str(part))
    return True
