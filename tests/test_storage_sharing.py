"""Several machines on one bucket: exclusive files, locks, logs, journals. A machine is a process with its own cache."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

from keepset.errors import WorkspaceBusy
from keepset.files import read_json, read_lines, write_bytes
from keepset.storage import StoredPath, leases, locate, scratch
from keepset.storage.carrying import AT_ONCE, bring, delivered, landing
from keepset.storage.journals import open_journal
from keepset.workspace import Workspace
from tests.flaky_store import flaky
from tests.processes import PATIENCE_S, race, ran, started, wait_for
from tests.review_fixtures import Case
from tests.storage_fixtures import another_machine, moved

_RACE = """
import sys
from keepset.files import append_line, write_json
from keepset.storage import locate
root, me = locate(sys.argv[1]), sys.argv[2]
won = 0
print("ready", flush=True)
sys.stdin.readline()
for n in range(8):
    try:
        write_json(root / f"{n:06d}.parquet", {"who": me}, exclusive=True)
        won += 1
    except FileExistsError:
        pass
    append_line(root / "audit.jsonl", f"{me} {n}")
print(won)
"""


def test_of_simultaneous_writers_exactly_one_wins(s3: str, tmp_path: Path) -> None:
    machines = [[s3, f"machine{i}"] for i in range(3)]
    won = [int(said) for said in race(_RACE, machines, {"KEEPSET_CACHE": f"{tmp_path}/m{{n}}"})]
    assert sum(won) == 8, won
    root = locate(s3)
    winners = [read_json(root / f"{n:06d}.parquet")["who"] for n in range(8)]
    assert [winners.count(f"machine{i}") for i in range(3)] == won
    lines = read_lines(root / "audit.jsonl")
    assert sorted(lines) == sorted(f"machine{i} {n}" for i in range(3) for n in range(8))
    assert [x for x in lines if x.startswith("machine1 ")] == [f"machine1 {n}" for n in range(8)]


def test_a_takedown_reaches_the_store_and_the_caches_of_other_machines(
    s3: str, tmp_path: Path, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keepset.clean.matching import Wanted
    from keepset.clean.takedown import forget_here, take_down
    from keepset.train.rows_file import RowsFile

    gone, kept = (r["sha256"] for r in case.active()[:2])
    secrets = [case.ws.blob(gone).read_bytes(), case.ws.thumb(gone).read_bytes()]
    vectors = np.arange(1, 65, dtype=np.float32).reshape(2, 32)
    root = moved(case.ws.root, s3)

    def use(machine: str) -> Workspace:
        """Another machine reads both pictures, and has computed features of them."""
        another_machine(monkeypatch, tmp_path / machine)
        ws = Workspace.open(root)
        for sha in (gone, kept):
            assert ws.blob(sha).read_bytes()
            assert ws.thumb(sha).read_bytes()
        RowsFile(ws.cache / "features" / "body", 32).append([gone, kept], vectors)
        return ws

    def left(machine: str) -> bytes:
        return b"".join(p.read_bytes() for p in (tmp_path / machine).rglob("*") if p.is_file())

    use("second")
    ws = use("first")
    take_down(ws, Wanted("sha256", gone), who="Ann")
    assert not any(s in left("first") for s in [*secrets, vectors[0].tobytes()])
    stored = [
        p.read_bytes()
        for p in (root / "blobs" / gone[:2] / gone, root / "thumbs" / gone[:2] / f"{gone}.jpg")
        if p.exists()
    ]
    assert stored == []
    assert all(s in left("second") for s in secrets)
    another_machine(monkeypatch, tmp_path / "second")
    ws = Workspace.open(root)
    assert gone in ws.purged()
    forget_here(ws)  # as every run does first
    assert not any(s in left("second") for s in [*secrets, vectors[0].tobytes()])
    assert np.array_equal(RowsFile(ws.cache / "features" / "body", 32).read([kept])[0], vectors[1])
    assert RowsFile(ws.cache / "features" / "body", 32).missing([gone, kept]) == [gone]


# -- locks -----------------------------------------------------------------------------------------

_HOLD = """
import sys
from keepset.storage import locate
from keepset.workspace import Workspace
with Workspace.open(locate(sys.argv[1])).lock("train"):
    print("held", flush=True)
    sys.stdin.read()
"""


def _holder(root: str, cache: Path) -> subprocess.Popen[str]:
    process = started(_HOLD, root, KEEPSET_CACHE=str(cache))
    assert process.stdout.readline() == "held\n"
    return process


def test_a_lock_holds_across_machines_and_outlives_none(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "STALE_S", 4.0)
    ws = Workspace.create(locate(s3), "x")
    other = _holder(s3, tmp_path / "other")
    try:
        with pytest.raises(WorkspaceBusy, match=f"process {other.pid} on "), ws.lock("train", wait=False):
            pass
        with ws.lock("download", wait=False):
            pass
    finally:
        other.kill()
        other.communicate()
    with ws.lock("train"):  # taken for dead a few seconds after its last word
        pass
    with ws.lock("train", wait=False):
        pass


def test_a_dead_process_of_this_machine_holds_nothing(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "STALE_S", 10_000.0)
    ws = Workspace.create(locate(s3), "x")
    other = _holder(s3, Path(os.environ["KEEPSET_CACHE"]))
    with pytest.raises(WorkspaceBusy), ws.lock("train", wait=False):
        pass
    other.kill()
    other.communicate()
    with ws.lock("train", wait=False):
        pass


def test_a_lease_is_renewed_and_its_loss_is_seen(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEW_S", 0.1)
    ws = Workspace.create(locate(s3), "x")
    path = ws.root / "locks" / "train.lock"
    assert isinstance(path, StoredPath)
    with ws.lock("train"):
        before = read_json(path)["nonce"]
        wait_for(lambda: read_json(path)["nonce"] != before, "the lease to be renewed", every_s=0.05)
    monkeypatch.setattr(leases, "RENEW_S", 1000.0)  # from here on only one of the two writes at a time

    def sleep_too_long() -> None:
        with ws.lock("train"):
            another_machine(monkeypatch, tmp_path / "other")
            monkeypatch.setattr(leases, "STALE_S", -1.0)
            with Workspace.open(locate(s3)).lock("train", wait=False):
                pass  # the first holder notices when it gives the lock back

    with pytest.raises(WorkspaceBusy, match="was lost"):
        sleep_too_long()


# -- journals --------------------------------------------------------------------------------------


def test_a_journal_goes_on_on_another_machine(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ws = Workspace.create(locate(s3), "x")
    with open_journal(ws, "download") as journal:
        for n in range(5):
            journal.put(f"k{n}", {"n": n})
    another_machine(monkeypatch, tmp_path / "other")
    with open_journal(ws, "download") as journal:
        assert journal.get(f"k{n}" for n in range(9)) == {f"k{n}": {"n": n} for n in range(5)}
        journal.put("k0", {"n": 100})
    another_machine(monkeypatch, tmp_path / "cache")
    with open_journal(ws, "download") as journal:  # the first machine hears of it
        assert journal.get(["k0", "k1"]) == {"k0": {"n": 100}, "k1": {"n": 1}}
    another_machine(monkeypatch, tmp_path / "third")
    with open_journal(ws, "download") as journal:
        assert journal.get(["k0"]) == {"k0": {"n": 100}}
        assert len(journal) == 5


def test_rows_are_sent_while_the_work_goes_on(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ws = Workspace.create(locate(s3), "x")
    monkeypatch.setattr("keepset.storage.journals.SEND_AFTER_ROWS", 10)
    code = (
        "import os, sys\nfrom keepset.storage.journals import open_journal\nfrom keepset.storage import locate, journals\n"
        "from keepset.workspace import Workspace\njournals.SEND_AFTER_ROWS = 10\n"
        "with open_journal(Workspace.open(locate(sys.argv[1])), 'download') as j:\n"
        "    for n in range(25): j.put(f'k{n}', {'n': n})\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    cache = tmp_path / "killed"
    ran(code, s3, KEEPSET_CACHE=str(cache), ends=-signal.SIGKILL)
    with open_journal(ws, "download") as journal:
        assert len(journal) == 20
    another_machine(monkeypatch, cache)  # the killed machine itself has lost nothing
    with open_journal(ws, "download") as journal:
        assert len(journal) == 25


def test_a_slow_store_holds_up_nobody_who_writes_the_same_journal(
    s3: str, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws, asked, go_on = Workspace.create(locate(s3), "x"), threading.Event(), threading.Event()

    def slowly(method: str, path: str) -> str:
        if method == "PUT" and "/journal/" in path:
            asked.set()
            go_on.wait(PATIENCE_S)
        return ""

    with flaky(s3_server, slowly) as (address, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        with open_journal(ws, "download") as one, open_journal(ws, "download") as other:
            one.put("k0", {"n": 0})
            sending = threading.Thread(target=one.send)
            sending.start()
            assert asked.wait(PATIENCE_S)
            other.put("k0", {"n": 1})
            other.put("k1", {"n": 1})
            assert sending.is_alive(), "the journal was locked while the store was asked"
            go_on.set()
            sending.join()
            left = other.db.execute("SELECT key FROM unsent ORDER BY key").fetchall()
            assert left == [("k0",), ("k1",)], "what was put meanwhile is still to be sent"


def test_no_error_of_the_store_is_its_own_cause(s3: str) -> None:
    root = locate(s3)
    with pytest.raises(FileNotFoundError) as caught:
        root.bucket.read("nowhere")
    assert caught.value.__cause__ is not caught.value


# -- carrying --------------------------------------------------------------------------------------


def test_many_files_are_brought_in_order(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ws = Workspace.create(locate(s3), "x")
    shas = [f"{n:02x}" * 32 for n in range(3 * AT_ONCE)]
    work = [(landing(ws.blob(s)), ws.blob(s)) for s in shas]
    for (part, _), sha in zip(work, shas, strict=True):
        part.write_text(sha)
    arrived = []
    for part, path in delivered(work, lambda item: item):
        assert not part.exists()
        arrived.append(path.name)
    assert arrived == shas
    held = ws.held_blobs()
    assert [held.size(s) for s in shas] == [64] * len(shas)
    assert held.size("ff" * 32) is None
    another_machine(monkeypatch, tmp_path / "other")
    wanted = [*shas[:50], "ff" * 32, *shas[50:]]
    found = [p.read_text() if p.exists() else "missing" for p in bring(ws.blob(s) for s in wanted)]
    assert found == [*shas[:50], "missing", *shas[50:]]


def test_on_disk_nothing_is_carried(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "ws", "x")
    sha = "ab" * 32
    assert list(bring([ws.blob(sha)])) == [ws.blob(sha)]
    assert landing(ws.blob(sha)) == ws.blob(sha)
    assert list(delivered([1, 2], lambda _: (Path("/nowhere"), ws.blob(sha)))) == [1, 2]
    assert ws.scratch == ws.root == scratch(ws.root)
    assert ws.held_blobs().size(sha) is None
    write_bytes(ws.blob(sha), b"123")
    assert ws.held_blobs().size(sha) == 3


def test_a_new_workspace_at_the_same_place_inherits_no_copies(s3: str) -> None:
    def make() -> Workspace:
        ws = Workspace.create(locate(s3), "x")
        ws.journal.mkdir(parents=True, exist_ok=True)
        return ws

    first = make()
    write_bytes(first.dataset(1), b"first")
    (first.journal / "left").write_text("x")
    for path in (first.dataset(1), first.root / "keepset.json"):
        assert isinstance(path, StoredPath)
        path.bucket.delete(path.key)  # by somebody else: this machine keeps its copy
    second = make()
    assert second.id != first.id
    assert second.revisions() == []
    assert not second.dataset(1).exists()
    assert not (second.journal / "left").exists()
    assert json.loads((second.root / "keepset.json").read_text())["id"] == second.id
