"""The built wheel outside the checkout: the core predicts, each other part names its extra, and the stack starts anywhere."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from keepset.machine import extras
from tests.installing_fixtures import closure, required, run, with_extra
from tests.predict_fixtures import Served
from tests.processes import CHECKOUT
from tests.review_fixtures import Case


def test_the_core_predicts_and_is_small(core: Path, wheel: Path, template_case: Served, hostile: Path) -> None:
    assert len(closure(required(wheel))) < 30
    (hostile / "one.jpg").write_bytes(template_case.pictures[0])
    model = template_case.ws.models / ("0" * 16) / "model.onnx"
    done = run(core.with_name("keepset"), "predict", "one.jpg", "--model", str(model), "--json", cwd=hostile)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["predictions"]
    code = f"import keepset; print(keepset.load({str(model)!r}).predict('one.jpg').label)"
    assert run(core, "-P", "-c", code, cwd=hostile).stdout.strip() == row["label"] in template_case.config.labels


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        ("train -w x", "train"), ("status -w x", "train"), ("run x.toml -w x", "train"), ("web -w x", "web"),
        ("predict . --to x.parquet -w x", "web"),
        ("up -w x", "prefect"), ("predict http://127.0.0.1:9/a.jpg --model {model}", "web"),
    ],
)  # fmt: skip
def test_a_missing_extra_is_one_line_with_the_command(
    core: Path, wheel: Path, template_case: Served, tmp_path: Path, words: str, extra: str
) -> None:
    model = template_case.ws.models / ("0" * 16) / "model.onnx"
    (tmp_path / "x.toml").write_text('[classes.a]\nurls = ["http://a/1"]\n[classes.b]\nurls = ["http://a/2"]\n')
    done = run(core.with_name("keepset"), *words.format(model=model).split(), cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    what, remedy = done.stderr.strip().splitlines()
    assert f"extra '{extra}'" in what
    assert remedy.strip() == f"→ pip install 'keepset[{extra}] @ {wheel.as_uri()}'"


PAGES = """
import sys, threading, time
from pathlib import Path
import httpx, uvicorn
from keepset.reasons import Action
from keepset.review import Mark, list_batches, mark
from keepset.web.app import create_gallery
from keepset.workspace import Workspace

ws = Workspace.open(Path(sys.argv[1]))
(batch,) = list_batches(ws)
picture = batch.candidates().rows()[0]["sha256"]
mark(batch, [Mark(picture, Action.DELETE)], who="ann")
server = uvicorn.Server(uvicorn.Config(create_gallery(ws.root), host="127.0.0.1", port=0, log_level="error"))
threading.Thread(target=server.run, daemon=True).start()
while not server.started:
    time.sleep(0.05)
with httpx.Client(base_url="http://127.0.0.1:%d" % server.servers[0].sockets[0].getsockname()[1], timeout=60) as site:
    for page in ("/", "/log", f"/batches/{batch.id}", f"/batches/{batch.id}/submit", "/predict", f"/thumbs/{picture}.jpg"):
        answer = site.get(page)
        print(answer.status_code, page, answer.text[:200] if answer.status_code != 200 else "")
    with open(sys.argv[2], "rb") as file:
        print(site.post("/api/predict", files={"file": file}).status_code, "/api/predict")
    print(site.get(f"/batches/{batch.id}/pictures/{picture}/heat.jpg").status_code, "heat.jpg")
"""


def test_the_pages_need_the_extra_web_alone(wheel: Path, template_case: Served, case: Case, tmp_path: Path) -> None:
    python = with_extra(wheel, "web", tmp_path / "web")
    model = Path("models") / ("0" * 16) / "model.onnx"
    shutil.copy(template_case.ws.root / model, case.ws.root / model)
    case.open_batch()
    (tmp_path / "one.jpg").write_bytes(template_case.pictures[0])
    done = run(python, "-P", "-c", PAGES, str(case.ws.root), "one.jpg", cwd=tmp_path)
    pages = done.stdout.splitlines()
    assert [line for line in pages if not line.startswith("200 ")] == [], done.stdout
    assert len(pages) == 8, done.stderr


def test_every_module_can_be_imported_or_names_its_extra(core: Path, tmp_path: Path) -> None:
    code = """
import pkgutil, json
import keepset, tasks, flows, deployments
from importlib import import_module
from keepset.errors import MissingExtra
found = {}
for package in (keepset, tasks, flows, deployments):
    for m in pkgutil.walk_packages(package.__path__, package.__name__ + ".", onerror=lambda name: None):
        try:
            import_module(m.name)
            found[m.name] = ""
        except MissingExtra as e:
            found[m.name] = e.remedy
print(json.dumps(found))
"""
    done = run(core, "-P", "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["keepset.predict"] == found["keepset.predict.writers"] == ""
    assert {"train", "web", "prefect"} <= {m[1] for r in found.values() if (m := re.search(r"keepset\[(\w+)\]", r))}


def test_a_folder_of_the_same_name_does_not_hide_the_package(tmp_path: Path) -> None:
    """A clone named keepset, and a notebook beside it: the folder of the clone is no package and must not be imported."""
    (tmp_path / "keepset").mkdir()
    asked = [sys.executable, "-c", "import keepset; print(keepset.open.__name__)"]
    done = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_messages_point_at_is_installed(core: Path, hostile: Path) -> None:
    keepset = core.with_name("keepset")
    pages = [line.split()[0] for line in run(keepset, "docs", cwd=hostile).stdout.splitlines()]
    assert {p.stem for p in (CHECKOUT / "docs").glob("*.md")} == set(pages)
    assert run(keepset, "docs", "config", cwd=hostile).stdout.startswith("# The run config")
    source = "\n".join(p.read_text() for layer in ("keepset", "tasks", "flows", "deployments") for p in (CHECKOUT / layer).rglob("*.py"))  # fmt: skip
    assert set(re.findall(r"`keepset docs (\w+)", source)) <= set(pages)
    assert run(keepset, "docs", "nonsense", cwd=hostile).returncode == 2


def test_doctor_of_the_core_finds_no_fault(core: Path, tmp_path: Path) -> None:
    done = run(core.with_name("keepset"), "doctor", "-w", "ws", "--json", cwd=tmp_path)
    checks = {c["name"]: c for c in json.loads(done.stdout)["checks"]}
    assert (done.returncode, checks["torch"]["verdict"], checks["onnxruntime"]["verdict"]) == (0, "note", "ok")
    assert checks["extras"]["found"] == "not installed: web, train, prefect, dask, cloud, search"


def test_the_table_of_extras_is_that_of_the_package() -> None:
    """Each requirement of an extra brings a module that the table knows, or bounds what another one brings."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    bounds = {"fastapi", "bokeh", "onnxscript"}
    modules: dict[str, set[str]] = {}
    for module, names in metadata.packages_distributions().items():
        for name in names:
            modules.setdefault(re.sub(r"[-_.]+", "-", name).lower(), set()).add(module)
    core = {m for r in project["dependencies"] for m in modules[_normal(r)]}
    for extra, listed in extras.EXTRAS.items():
        required = [r for r in project["optional-dependencies"][extra] if not r.startswith("keepset") and _normal(r) not in bounds]  # fmt: skip
        brought = {r: modules[_normal(r)] for r in required}
        assert [r for r, found in brought.items() if not found & {*listed}] == []
        assert set(listed) - set().union(*brought.values()) <= {"botocore"}, extra
        assert not core & set(listed)


def _normal(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", Requirement(requirement).name).lower()


def test_what_keepset_imports_is_required() -> None:
    """Each foreign module that the four layers import belongs to the core or to an extra."""
    known = {m for listed in extras.EXTRAS.values() for m in listed} | set(sys.stdlib_module_names)
    known |= {"numpy", "onnxruntime", "PIL", "pydantic", "pydantic_settings", "rich", "simplejpeg", "typer"}
    known |= {"keepset", "tasks", "flows", "deployments", "yarl", "markupsafe"}  # the last two: aiohttp's, jinja2's
    strange: dict[str, str] = {}
    for layer in ("keepset", "tasks", "flows", "deployments"):
        for path in (CHECKOUT / layer).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
                strange |= {n: path.name for n in names if n.partition(".")[0] not in known}
    assert strange == {}
