"""The app that people write first: Starlette and torch, one picture a request, as simonw/cougar-or-not did.

    python bench/predict/plain_app.py WORKSPACE PORT

Same network and weights, same preprocessing by torchvision, inference in the request handler.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import torch
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from torchvision import transforms

from keepset.export.onnx import load_network
from keepset.models import load_record
from keepset.workspace import Workspace


class Plain:
    """``predict`` is also what the benchmark of one process measures as torch eager."""

    def __init__(self, workspace: Path) -> None:
        ws = Workspace.open(workspace)
        self.record = load_record(ws, str(ws.promoted()))
        self.network = load_network(ws, self.record)
        spec = self.record.preprocess
        self.prepare = transforms.Compose([
            transforms.Resize(spec.resize, transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(spec.crop),
            transforms.ToTensor(), transforms.Normalize(spec.mean, spec.std),
        ])  # fmt: skip

    def predict(self, data: bytes) -> dict[str, float]:
        picture = Image.open(io.BytesIO(data)).convert("RGB")
        with torch.inference_mode():
            probs = (self.network(self.prepare(picture)[None]) / self.record.temperature).softmax(1)[0]
        return dict(sorted(zip(self.record.classes, probs.tolist(), strict=True), key=lambda p: -p[1]))


def main(workspace: Path, port: int) -> None:
    plain = Plain(workspace)

    async def classify(request: Request) -> JSONResponse:
        form = await request.form()
        return JSONResponse({"predictions": plain.predict(await form["file"].read())})

    app = Starlette(routes=[Route("/api/predict", classify, methods=["POST"])])
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
