"""The built wheel, and environments with it and what one extra requires, outside the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.conftest import Once
from tests.processes import CHECKOUT, PATIENCE_S


@pytest.fixture(scope="session")
def wheel(once: Once) -> Path:
    (built,) = once("wheel", _build).glob("*.whl")
    return built


def _build(to: Path) -> None:
    """From a copy: a build leaves its folders in the checkout."""
    source = to / "source"
    for name in ("keepset", "tasks", "flows", "deployments", "docs"):
        shutil.copytree(CHECKOUT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.png"))
    for name in ("pyproject.toml", "constraints.txt", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, source)
    pip("wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", str(to), str(source))


@pytest.fixture(scope="session")
def core(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel and what its core requires, and nothing else."""
    return with_extra(wheel, "", tmp_path_factory.mktemp("core"))


def with_extra(wheel: Path, extra: str, folder: Path) -> Path:
    python = environment(folder)
    for name in closure(required(wheel), extra):
        _borrow(name, packages_of(python))
    pip("--python", str(python), "install", "--no-index", f"keepset[{extra}] @ {wheel.as_uri()}")
    return python


def installed(wheel: Path, folder: Path) -> Path:
    """The command of the wheel in an environment of its own, which takes everything else from this one."""
    python = environment(folder)
    ours = [p for p in sys.path if p.endswith("-packages")]
    (packages_of(python) / "others.pth").write_text("\n".join(ours))
    pip("--python", str(python), "install", "--no-index", "--no-deps", str(wheel))
    return python.with_name("keepset")


def pip(*words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", *words, "-q", "--disable-pip-version-check"], capture_output=True,
                          text=True, check=False, env={**os.environ, "PIP_CONFIG_FILE": os.devnull})  # fmt: skip
    assert done.returncode == 0, done.stderr


def environment(folder: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder / "bin" / "python"


def packages_of(python: Path) -> Path:
    (found,) = python.parents[1].glob("lib/python*/site-packages")
    return found


def required(wheel: Path) -> list[Requirement]:
    with zipfile.ZipFile(wheel) as z:
        (name,) = (n for n in z.namelist() if n.endswith(".dist-info/METADATA"))
        return [Requirement(r) for r in message_from_bytes(z.read(name)).get_all("Requires-Dist", [])]


def closure(required: list[Requirement], extra: str = "") -> set[str]:
    """The distributions that pip would install, by name."""
    todo, found = [r for r in required if not r.marker or r.marker.evaluate({"extra": extra})], set[str]()
    while todo:
        one = todo.pop()
        if one.name not in found:
            found.add(one.name)
            more = map(Requirement, metadata.requires(one.name) or ())
            todo += [r for r in more if not r.marker or any(r.marker.evaluate({"extra": e}) for e in ("", *one.extras))]
    return found


def _borrow(name: str, packages: Path) -> None:
    """Lend a distribution of this environment to another one."""
    files = metadata.files(name) or []
    for top in {f.parts[0] for f in files if f.parts[0] not in ("..", "__pycache__")}:
        place = Path(str(metadata.distribution(name).locate_file(top)))
        if place.exists() and not (packages / top).exists():
            (packages / top).symlink_to(place)


def run(python: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("KEEPSET_", "PYTHON"))}
    return subprocess.run(
        [python, *words], capture_output=True, text=True, cwd=cwd, check=False, env=clean, timeout=PATIENCE_S
    )


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder with modules of its own under our names."""
    for name in ("tasks.py", "deployments.py", "keepset.py", "flows/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("raise SystemExit('the wrong module')")
    return tmp_path
