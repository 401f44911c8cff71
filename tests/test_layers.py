"""Three layers, one direction: keepset <- tasks <- flows <- deployments, and no Prefect in keepset."""

from __future__ import annotations

import ast
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN = {
    "keepset": {"prefect", "prefect_dask", "tasks", "flows", "deployments"},
    "tasks": {"flows", "deployments"},
    "flows": {"deployments"},
}


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {a.name.split(".")[0] for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("layer", FORBIDDEN)
def test_nothing_imports_upwards(layer: str) -> None:
    modules = list((ROOT / layer).rglob("*.py"))
    assert modules
    wrong = {str(p.relative_to(ROOT)): bad for p in modules if (bad := _imports(p) & FORBIDDEN[layer])}
    assert not wrong


def test_the_walker_sees_imports_inside_functions(tmp_path: Path) -> None:
    source = tmp_path / "m.py"
    source.write_text("def f():\n    from prefect.client import x\n    import tasks.train\n")
    assert _imports(source) == {"prefect", "tasks"}


def test_importing_keepset_loads_nothing_heavy() -> None:
    heavy = ("torch", "pandas", "great_expectations", "matplotlib", "sklearn", "pyarrow", "PIL")
    code = f"import sys, keepset, keepset.cli; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_help_answers_at_once() -> None:
    """In CPU seconds: on a machine that does other things besides, the clock on the wall says nothing."""
    command = [sys.executable, "-m", "keepset", "--help"]
    subprocess.run(command, check=True, capture_output=True)  # fills the byte-code cache
    took = []
    for _ in range(3):
        begin = _cpu_of_children()
        subprocess.run(command, check=True, capture_output=True)
        took.append(_cpu_of_children() - begin)
    assert min(took) < 0.5, took


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
