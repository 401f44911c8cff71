"""Three layers, one direction: keepset <- tasks <- flows <- deployments, and no Prefect in keepset."""

from __future__ import annotations

import ast
import functools
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import ran

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


def _modules(root: Path) -> dict[str, Path]:
    """All modules of our layers by dotted name, without the package ``keepset`` itself: it only opens doors (``load``)."""
    paths = [p for layer in (*FORBIDDEN, "deployments") for p in (root / layer).rglob("*.py")]
    names = {".".join(p.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): p for p in paths}
    return {name: p for name, p in names.items() if name != "keepset"}


def _needed(node: ast.AST) -> Iterator[str]:
    """Names imported when the code runs, in functions too; not what only the types, or ``python -m``, need."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and {"TYPE_CHECKING", "__name__"} & {
            n.id for n in ast.walk(child.test) if isinstance(n, ast.Name)
        }:
            continue
        if isinstance(child, ast.Import):
            yield from (a.name for a in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module and not child.level:
            yield from (f"{child.module}.{a.name}" for a in child.names)
        else:
            yield from _needed(child)


@functools.cache
def _graph_here() -> dict[str, set[str]]:
    return _graph(ROOT)


def _graph(root: Path) -> dict[str, set[str]]:
    modules = _modules(root)
    graph = {}
    for name, path in modules.items():
        found = _needed(ast.parse(path.read_text(encoding="utf-8")))
        named = {n if n in modules else n.rpartition(".")[0] for n in found}
        graph[name] = (named & modules.keys()) - {name}
    return graph


def test_no_imports_go_in_a_circle() -> None:
    """Not even within functions: of two modules that need each other, neither can be understood, or used, alone."""
    graph = _graph_here()
    assert sum(map(len, graph.values())) > 500
    graphlib.TopologicalSorter(graph).prepare()  # CycleError names the circle


def _packages(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """The same between packages: ``keepset.train``, ``tasks`` ...; a module at the root of ``keepset`` is its own."""

    def package(name: str) -> str:
        return ".".join(name.split(".")[: 2 if name.startswith("keepset.") else 1])

    found: dict[str, set[str]] = {}
    for name, needed in graph.items():
        found.setdefault(package(name), set()).update(package(n) for n in needed)
    return {name: needed - {name} for name, needed in found.items()}


def test_no_packages_go_in_a_circle() -> None:
    """So each package has a floor: it stands on those below, and nothing in it is borrowed from above."""
    graphlib.TopologicalSorter(_packages(_graph_here())).prepare()


def test_a_circle_through_a_function_is_seen(tmp_path: Path) -> None:
    package = tmp_path / "keepset"
    package.mkdir()
    (package / "one.py").write_text("from keepset import two\n")
    (package / "two.py").write_text("def f():\n    from keepset.one import g\n")
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter(_graph(tmp_path)).prepare()
    (package / "two.py").write_text("if TYPE_CHECKING:\n    from keepset.one import g\n")
    graphlib.TopologicalSorter(_graph(tmp_path)).prepare()


def test_help_and_importing_keepset_load_nothing_heavy() -> None:
    heavy = "torch pandas great_expectations sklearn scipy pyarrow PIL numpy onnxruntime cv2 prefect starlette aiohttp httpx sqlite3"
    code = (
        "import sys, keepset, keepset.cli\n"
        "try:\n    keepset.cli.main(['--help'])\n"
        f"except SystemExit:\n    print([m for m in {heavy.split()} if m in sys.modules])"
    )
    said = ran(code).stdout
    assert "Usage" in said
    assert said.splitlines()[-1] == "[]"
