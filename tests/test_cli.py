from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from PIL import Image

from keepset.cli import main, output
from keepset.cli.doctor import Verdict, diagnose
from keepset.cli.options import who_or_default
from keepset.config import load_config
from keepset.settings import settings
from keepset.stages import pace_line
from keepset.workspace import Workspace
from tests.factories import config, dataset_workspace
from tests.review_fixtures import Case


def run(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as e:
        main([str(a) for a in args])
    out = capsys.readouterr()
    code = e.value.code
    return (code if isinstance(code, int) else 0), out.out, out.err


def test_new_writes_a_config_that_run_takes_and_never_overwrites_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capsys, "new", "my bears", "black bear", "teddy bear")
    assert (code, out.rpartition("then: ")[2].strip()) == (0, "keepset run 'my bears.toml'")
    config = load_config(tmp_path / "my bears.toml")
    assert (config.name, config.labels) == ("my bears", ("black bear", "teddy bear"))
    assert config.classes[0].searches == [("openverse", "black bear"), ("wikimedia", "black bear")]
    assert "# inaturalist" in (tmp_path / "my bears.toml").read_text()
    code, _, err = run(capsys, "new", "my bears.toml", "a", "b")
    assert (code, "is there already" in err) == (2, True)
    code, _, err = run(capsys, "new", "others", "a", "b", "--languages", "de")
    assert (code, "--contact" in err, Path("others.toml").exists()) == (2, True, False)


def test_keepset_alone_says_where_one_is_and_what_is_next(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "keepset new bears" in run(capsys)[1]
    run(capsys, "new", "bears", "a", "b")
    assert "keepset run bears.toml" in run(capsys)[1]
    ws, _, _ = dataset_workspace(tmp_path, per_class=2)
    code, out, _ = run(capsys)
    assert (code, str(ws.root) in out, "revision 1" in out) == (0, True, True)
    assert f"Next: keepset run -w {ws.root}" in out


def _folder_of_pictures(place: Path) -> Path:
    for i, name in enumerate(("cat", "dog")):
        (place / name).mkdir(parents=True)
        Image.new("RGB", (40, 40), (90 * i, 9, 9)).save(place / name / "1.png")
    return place


def test_a_folder_of_pictures_is_imported_and_its_workspace_is_beside_the_config(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pets = _folder_of_pictures(tmp_path / "My Pets")
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, "scrape", "My Pets")
    assert (code, "2 pictures listed" in out) == (0, True), err
    assert "Wrote My Pets.toml" in err
    ws = tmp_path / "My Pets-workspace"  # the name itself is the pictures' folder
    assert (ws / "keepset.json").exists()
    _folder_of_pictures(tmp_path / "more")
    (tmp_path / "more" / "cat").rename(pets / "fox")
    code, out, err = run(capsys, "scrape", "My Pets")  # again: the config that is there, with a word on what it lacks
    assert (code, "up to date" in out, "does not have these classes of" in err, "fox" in err) == (0, True, True, True)
    assert run(capsys, "status")[0] == 0  # found: the only workspace here
    assert run(capsys, "scrape", ws.name)[0] == 0  # a workspace may be named as well
    (tmp_path / "other").mkdir()
    _folder_of_pictures(tmp_path / "other" / "My Pets")
    code, _, err = run(capsys, "scrape", tmp_path / "other" / "My Pets")
    assert (code, "does not use" in err) == (2, True)
    remedy = shlex.split(err.rpartition("keepset import ")[2])
    assert run(capsys, "import", *remedy)[0] == 0


def test_the_workspace_has_the_name_of_the_config(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _folder_of_pictures(tmp_path / "pictures")
    assert run(capsys, "import", tmp_path / "pictures", tmp_path / "pets.toml")[0] == 0
    assert run(capsys, "scrape", tmp_path / "pets.toml")[0] == 0
    assert (tmp_path / "pets" / "keepset.json").exists()
    monkeypatch.setenv("KEEPSET_WORKSPACE", str(tmp_path / "elsewhere"))
    settings.cache_clear()
    assert run(capsys, "scrape", tmp_path / "pets.toml")[0] == 0
    assert (tmp_path / "elsewhere" / "keepset.json").exists()


def test_an_edited_config_that_is_not_given_is_pointed_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    _folder_of_pictures(tmp_path / "pictures")
    run(capsys, "import", "pictures", "pets.toml")
    assert run(capsys, "scrape", "pets.toml")[0] == 0
    assert "is not used" not in run(capsys, "scrape")[2]
    config = tmp_path / "pets.toml"
    config.write_text(config.read_text().replace("seed = 42", "seed = 7"))
    code, _, err = run(capsys, "scrape")
    assert (code, "pets.toml differs from the config in force" in err) == (0, True)
    remedy = shlex.split(err.rpartition("keepset run ")[2].splitlines()[0])
    assert run(capsys, "scrape", *remedy)[0] == 0
    assert "is not used" not in run(capsys, "scrape")[2]
    config.write_text(config.read_text().replace("seed = 7", "seed = 8"))
    assert "pets.toml differs" in run(capsys, "scrape")[2]
    assert run(capsys, "scrape", "pets.toml", "-w", "elsewhere")[0] == 0
    config.write_text("not TOML")
    assert "pets.toml differs" in run(capsys, "scrape", "-w", "elsewhere")[2]


def test_a_config_of_other_classes_is_not_taken_by_a_workspace(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, classes in (("pets", ("cat", "dog")), ("birds", ("owl", "jay"))):
        place = _folder_of_pictures(tmp_path / name)
        for old, new in zip(sorted(p.name for p in place.iterdir()), classes, strict=False):
            (place / old).rename(place / new)
        run(capsys, "import", name, f"{name}-run.toml")
    assert run(capsys, "scrape", "pets-run.toml")[0] == 0
    before = (tmp_path / "pets-run" / "config.json").read_bytes()
    code, _, err = run(capsys, "scrape", "birds-run.toml", "-w", "pets-run")
    assert (code, "names none of these classes" in err) == (2, True), err
    assert (tmp_path / "pets-run" / "config.json").read_bytes() == before
    remedy = shlex.split(err.rpartition("keepset run ")[2].splitlines()[0])
    assert run(capsys, "scrape", *remedy)[0] == 0


def test_of_several_workspaces_one_must_be_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        Workspace.create(tmp_path / name, name)
    code, _, err = run(capsys, "status")
    assert (code, "a, b" in err, "-w a" in err) == (3, True, True)
    assert run(capsys, "status", "-w", "a")[0] == 0


@pytest.mark.parametrize("blank", ["", "  "])
def test_a_user_without_a_name_is_known_by_number(monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    """As in a container: no USER, and a user id that no password file knows."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KEEPSET_REVIEWER", blank)
    monkeypatch.setattr("os.getuid", lambda: 987_654)
    settings.cache_clear()
    assert who_or_default("") == "uid 987654"
    assert who_or_default(" ada ") == "ada"


def test_errors_are_one_json_document_for_scripts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = run(capsys, "scrape", tmp_path / "none.toml", "-w", tmp_path / "ws", "--json")
    assert code == 2
    assert json.loads(out)["error"] == "ConfigError"
    assert err == ""


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("status -w nowhere", 3, "not a Keepset workspace"), ("run --wrong", 2, "--wrong"),
        ("download -w ws", 4, "keepset scrape"), ("run empty -w new", 2, "one folder per class"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: str,
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Workspace.create(tmp_path / "ws", "x").save_config(config(tmp_path))
    (tmp_path / "empty").mkdir()
    found, _, err = run(capsys, *words.split())
    assert (found, said in err) == (code, True), err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("place", ["/sys/keepset", "/proc/keepset", "/dev/null/keepset"])
def test_a_workspace_that_is_not_writable(capsys: pytest.CaptureFixture[str], tmp_path: Path, place: str) -> None:
    """Places where not even root may write."""
    if not Path(place).parent.exists():
        pytest.skip(f"no {Path(place).parent} on this system")
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(f"http://127.0.0.1/{name}.jpg\n")
    config = tmp_path / "c.toml"
    config.write_text('[classes]\na = ["a.txt"]\nb = ["b.txt"]\n')
    code, _, err = run(capsys, "run", config, "-w", place)
    assert code == 3
    assert "cannot be written" in err
    assert "--workspace" in err


def test_status_as_table_and_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ws, _, _ = dataset_workspace(tmp_path, per_class=4)
    code, out, _ = run(capsys, "status", "-w", ws.root, "--json")
    assert code == 0
    found = json.loads(out)
    (revision,) = found["revisions"]
    assert {"revision": 1, "images": 12, "added": 12, "cause": "split"}.items() <= revision.items()
    assert found["stages"][0]["rows"] is None
    code, out, _ = run(capsys, "status", "-w", ws.root)
    assert code == 0
    assert "none yet" in out


def test_doctor_tells_and_a_broken_check_is_a_failed_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = {c.name: c for c in diagnose(tmp_path / "ws")}
    assert checks["torch"].verdict == Verdict.OK
    assert checks["weights"].verdict == Verdict.OK
    assert checks["workspace"].verdict == Verdict.NOTE
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws" / "keepset.json").write_text("{}")
    assert {c.name: c for c in diagnose(tmp_path / "ws")}["workspace"].verdict == Verdict.FAIL


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (["bear", "bear"], "two names for one class"),
        (["bear"], "at least two classes"),
        (["\u200b", "teddy"], "at least one visible character"),
    ],
)
def test_new_writes_no_config_that_run_would_refuse(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, classes: list[str], said: str
) -> None:
    code, _, err = run(capsys, "new", tmp_path / "a", *classes)
    assert code == 2
    assert said in err
    assert not (tmp_path / "a.toml").exists()


def test_new_quotes_what_toml_would_read_otherwise(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(capsys, "new", tmp_path / 'my "bears"', 'say "hi"', "grüße: 日本")[0] == 0
    assert load_config(tmp_path / 'my "bears".toml').labels == ("grüße: 日本", 'say "hi"')


@pytest.mark.parametrize(
    ("train", "said"),
    [
        ('arch = "resnet3f"', "Did you mean resnet34"),
        ('arch = "resnet34"', "No weights are packaged for 'resnet34'"),
        ('weights = "mine.safetensors"', "no weights file"),
    ],
)
@pytest.mark.slow
def test_a_network_that_cannot_be_had_is_told_before_the_first_download(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, train: str, said: str
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    config = tmp_path / "x.toml"
    config.write_text(f'[classes]\na = {{folders = ["a"]}}\nb = {{folders = ["b"]}}\n[train]\n{train}\n')
    code, out, err = run(capsys, "run", config, "-w", tmp_path / "ws")
    assert code == 1
    assert said in err
    assert out == ""  # no stage ran


def test_help_is_broken_where_the_terminal_ends(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = run(capsys, "run", "--help")
    assert code == 0
    assert "a killed run continues where it stopped" in " ".join(out.split())
    text = [line.strip() for line in out.partition("Everything")[2].partition("╭")[0].splitlines()]
    assert all(len(line) > 40 for line in text[:2])
    assert run(capsys, "run", "-h") == (0, out, "")


def test_the_time_left_is_said_once_it_can_be_known() -> None:
    assert pace_line(1, 591, 50.0) == "0.02/s"
    assert pace_line(20, 591, 10.0) == "2/s, 5 min left"
    assert pace_line(1, 3, 30.0) == "0.033/s, 60 s left"


def test_ctrl_c_says_what_is_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(root: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("keepset.workspace.Workspace.open", interrupted)
    code, _, err = run(capsys, "status", "-w", tmp_path)
    assert code == 130
    assert "What was finished is kept" in err


def test_a_damaged_run_config_is_mended_by_giving_it_again(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ws, config, _ = dataset_workspace(tmp_path, per_class=2)
    (ws.root / "config.json").write_text("{")
    code, _, err = run(capsys, "scrape", "-w", ws.root)
    assert code == 2
    assert "config.json is damaged" in err
    assert "Give the run config again" in err
    ws.save_config(config)
    assert ws.config() == config


def test_every_image_can_be_asked_for(capsys: pytest.CaptureFixture[str], case: Case) -> None:
    code, out, _ = run(capsys, "review", "--all", "-w", case.ws.root, "--json")
    summary = json.loads(out)["results"][0]["summary"]
    assert (code, summary) == (0, {"candidates": 36, "label_issue": 4, "not_suspected": 32})
    assert "36 images, 4 proposed" in run(capsys, "review", "show", "-w", case.ws.root)[1]
    code, _, err = run(capsys, "review", "--all", "list", "-w", case.ws.root)
    assert code == 2
    assert "without 'list'" in err


def test_random_pictures_can_be_asked_for(capsys: pytest.CaptureFixture[str], case: Case) -> None:
    code, out, _ = run(capsys, "review", "--random", "9", "-w", case.ws.root)
    assert (code, "13 images to look at, 9 of them drawn at random" in out) == (0, True)
    code, _, err = run(capsys, "review", "--random", "9", "list", "-w", case.ws.root)
    assert (code, "without 'list'" in err) == (2, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KEEPSET_WEB_PORT", "abc"), ("KEEPSET_PREFECT_PORT", "70000"), ("KEEPSET_WORKERS", "0"),
        ("KEEPSET_ENGINE", "spark"), ("KEEPSET_CHECKPOINT_S", "-1"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["web", "up"])
def test_a_wrong_setting_names_its_variable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str,
    command: str,
) -> None:  # fmt: skip
    monkeypatch.setenv(name, value)
    code, _, err = run(capsys, command, "-w", tmp_path / "ws")
    assert (code, name in err, value in err) == (2, True, True)
    assert "`keepset docs config`" in err
    assert "Traceback" not in err
    settings.cache_clear()
    code, out, _ = run(capsys, "doctor", "-w", tmp_path / "ws", "--json")
    (check,) = [c for c in json.loads(out)["checks"] if c["name"] == "settings"]
    assert (code, check["verdict"], name in check["found"]) == (3, "fail", True)


def test_a_misspelt_setting_is_noticed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KEEPSET_WEBPORT", "1")
    _, out, _ = run(capsys, "doctor", "-w", tmp_path / "ws", "--json")
    (check,) = [c for c in json.loads(out)["checks"] if c["name"] == "settings"]
    assert check["verdict"] == "note"
    assert "Did you mean KEEPSET_WEB_PORT?" in check["remedy"]


def test_a_prefect_address_that_is_none_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, case: Case
) -> None:
    for wrong in ("http://[::1", "nonsense", "http://127.0.0.1:99999/api"):
        monkeypatch.setenv("PREFECT_API_URL", wrong)
        code, out, _ = run(capsys, "status", "-w", case.ws.root)
        assert code == 0
        assert wrong in out


def test_the_workspace_around_the_current_folder_is_found(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ws, _, _ = dataset_workspace(tmp_path, per_class=2)
    monkeypatch.chdir(ws.models.parent / "manifests")
    assert str(ws.root) in run(capsys, "status")[1]
    monkeypatch.setenv("KEEPSET_WORKSPACE", str(tmp_path / "elsewhere"))
    settings.cache_clear()
    assert "elsewhere is not a Keepset workspace" in run(capsys, "status")[2]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_table_breaks_a_word(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, case: Case, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    case.open_batch()
    for words in (("status",), ("review", "list"), ("review", "log"), ("review", "show"), ("doctor",)):
        _, out, _ = run(capsys, *words, "-w", case.ws.root)
        said = set(out.replace(":", " ").split())
        for whole in ("tf_efficientnet_lite0", "linear_head") if words == ("status",) else ():
            assert whole in said, out
    output.table("", ["picture", "class", "probabilities"], [["p/" + "x" * 70, "bear", "black 97%, grizzly 2%"]])
    assert "x" * 70 in capsys.readouterr().out


def test_a_table_wraps_between_words_and_becomes_blocks_where_they_do_not_fit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    output.table("T", ["id", "what to do"], [["a1", "give this user write access, or choose another"]])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 30
    assert lines[1].split() == ["id", "what", "to", "do"]
    monkeypatch.setenv("COLUMNS", "72")
    cells = [
        "x", "network", "certificates of /etc/ssl/certs/ca-certificates.crt", "pip install -c constraints.txt -e .",
    ]  # fmt: skip
    output.table("", ["", "check", "found", "what to do"], [cells])
    shown = capsys.readouterr().out
    assert set(shown.split()) >= set(" ".join(cells).split()), "nothing is cut off"
    assert max(map(len, shown.splitlines())) <= 72
    monkeypatch.setenv("COLUMNS", "30")
    output.table("T", ["id", "what to do"], [["0123456789abcdef", "unfamiliar, file_missing_in_workspace"]])
    assert capsys.readouterr().out.splitlines() == [
        "T",
        "0123456789abcdef",
        "    what to do: unfamiliar, file_missing_in_workspace",
    ]
