"""Reading a run config: from a TOML file, from plain data, or as a workspace has kept it. All is checked before use."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from keepset.config.sections import ClassConfig, RunConfig, TrainConfig, is_saved
from keepset.errors import ConfigError
from keepset.machine.programs import spell
from keepset.storage.localfiles import absolute, config_path, path_of, shown
from keepset.wrong_values import explained

__all__ = ["check_config", "load_config", "parse_config", "saved_config", "saved_train"]


def load_config(path: Path) -> RunConfig:
    """Read and check a TOML run config. Raises ``ConfigError`` naming the key and the remedy."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except IsADirectoryError as e:
        raise ConfigError(
            f"{path} is a folder, not a run config.", f"Run the pictures in it: {spell('keepset', 'run', path)}"
        ) from e
    except FileNotFoundError as e:
        raise ConfigError(
            f"There is no config file {path}.",
            f"Write one: {spell('keepset', 'new', path, 'cat', 'dog')}   (with your classes)",
        ) from e
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError(
            f"The config file {path} cannot be read: {e}.", "A run config is a text file (TOML, UTF-8)."
        ) from e
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise ConfigError(f"{path} is not valid TOML: {e}.", _toml_help(text, e)) from e
    return parse_config(raw, base=path.resolve().parent, where=str(path))


def _toml_help(text: str, e: tomllib.TOMLDecodeError) -> str:
    """What to do about a line of TOML, by what people stumble over most."""
    found = re.search(r"line (\d+)", str(e))
    lines = text.splitlines()
    line = lines[int(found[1]) - 1].strip() if found and int(found[1]) <= len(lines) else ""
    if "\\" in line:
        return f"In double quotes a backslash must be written twice; or use single quotes. The line: {line}"
    if line.startswith("["):
        return f'A name with spaces, dots or accents needs quotes, as in [classes."St. Bernard"]. The line: {line}'
    return f"Correct that line: {line}" if line else "Correct that line."


def parse_config(raw: dict[str, Any], *, base: Path, where: str = "the config") -> RunConfig:
    """Check a config given as plain data; relative paths are taken from ``base``.

    ``classes`` may be a table of tables (``[classes.black]``) or a list with names.
    Raises ``ConfigError``, also for a local source that is not there.
    """
    config = check_config(raw, base=base, where=where)
    _sources_exist(config, where)
    return config


def check_config(raw: dict[str, Any], *, base: Path, where: str) -> RunConfig:
    """As ``parse_config``, whether the local sources are there or not."""
    data = dict(raw)
    if isinstance(data.get("classes"), dict):
        data["classes"] = [
            {"name": name, **(body if isinstance(body, dict) else {"lists": body})}
            for name, body in data["classes"].items()
        ]
    try:
        return RunConfig.model_validate(_absolute(data, base))
    except ValidationError as e:
        raise ConfigError(f"{where} is not a valid run config:\n{_explain(e, data)}", _CONFIG_HELP) from e


def saved_config(raw: dict[str, Any], *, where: str) -> RunConfig:
    """A config that a workspace has kept, with every default of its day: keys that have gone since are passed over.

    Raises ``ConfigError`` for values that this version does not take.
    """
    known = {k: v for k, v in raw.items() if k in _keys_at(())}
    for name, section in known.items():
        if name != "classes" and isinstance(section, dict):
            known[name] = _of_today(section, name)
    try:
        return RunConfig.model_validate(known)
    except ValidationError as e:
        raise ConfigError(
            f"{where} does not fit this version of Keepset:\n{_explain(e, raw)}",
            "Correct these lines in the run config, then give that file to `keepset run` again.",
        ) from e


def saved_train(raw: dict[str, Any]) -> TrainConfig:
    """The section ``train`` that a model has kept; keys that have gone since are passed over."""
    return TrainConfig.model_validate(_of_today(raw, "train"))


def _of_today(section: dict[str, Any], name: str) -> dict[str, Any]:
    known = _keys_at((name,))
    return {k: v for k, v in section.items() if k in known}


_CONFIG_HELP = "Correct these lines, then run again. All keys: `keepset docs config`"


def _absolute(data: dict[str, Any], base: Path) -> dict[str, Any]:
    """With every path absolute: ``~`` expanded, links as they are (``keepset.storage.localfiles``)."""
    if "split" in data:
        data = data | {"split": _with_paths(data["split"], ("valid_folders", "test_folders"), base)}
    if isinstance(classes := data.get("classes"), list | tuple):
        keys = ("lists", "folders", "tables", "pages")
        data = data | {"classes": [_with_paths(c, keys, base) for c in classes]}
    return data


def _with_paths(section: Any, keys: tuple[str, ...], base: Path) -> Any:
    if not isinstance(section, dict):
        return section

    def path(key: str, given: Any) -> Any:
        if not isinstance(given, str) or (key == "pages" and not is_saved(given)):
            return given
        return config_path(absolute(os.path.expanduser(path_of(given)), base))  # noqa: PTH111 - it never raises

    lists = {k: section[k] for k in keys if isinstance(section.get(k), list | tuple)}
    return section | {k: [path(k, given) for given in of] for k, of in lists.items()}


def _explain(e: ValidationError, data: dict[str, Any]) -> str:
    return "\n".join(f"  - {_explain_one(dict(err), data)}" for err in e.errors(include_url=False))


def _explain_one(err: dict[str, Any], data: dict[str, Any]) -> str:
    where = ".".join(_as_written(err["loc"], data))
    if err["type"] == "extra_forbidden":
        guess = difflib.get_close_matches(str(err["loc"][-1]), _keys_at(err["loc"][:-1]), n=1)
        hint = f"; did you mean '{guess[0]}'?" if guess else ""
        if err["loc"][0] == "classes" and isinstance(err["input"], dict):
            hint = f'; a class name with a dot needs quotes: [classes."{where.removeprefix("classes.")}"]'
        return f"unknown key '{where}'{hint}"
    if err["type"] == "missing":
        return f"'{where}' is missing"
    return f"{where}: {explained(err)}" if where else explained(err)


def _as_written(loc: tuple[Any, ...], data: dict[str, Any]) -> Iterator[str]:
    """The key as the file has it: a class by its name, not by its number."""
    for i, part in enumerate(loc):
        if i == 1 and loc[0] == "classes" and isinstance(part, int):
            given = data["classes"][part]
            yield str(given.get("name", part)) if isinstance(given, dict) else str(part)
        else:
            yield str(part)


def _keys_at(loc: tuple[Any, ...]) -> list[str]:
    model: type[BaseModel] = RunConfig
    for part in loc:
        if part == "classes":
            model = ClassConfig
        elif isinstance(part, str):
            field = next((f for n, f in model.model_fields.items() if part in (n, f.alias)), None)
            if field is None or not isinstance(field.annotation, type):
                return []
            model = field.annotation
    return [f.alias or n for n, f in model.model_fields.items()]


def _sources_exist(config: RunConfig, where: str) -> None:
    """All that is missing at once: whoever wrote the file mends it in one go. Raises ``ConfigError``."""
    given = (*config.split.valid_folders, *config.split.test_folders)
    missing = [
        f"[split] names the folder {_written(p)}, which is not a folder" for p in given if not path_of(p).is_dir()
    ]
    for c in config.classes:
        for paths, kind, what, as_what in (
            (c.lists, Path.is_file, "URL list", "a file"),
            (c.tables, Path.is_file, "table", "a file"),
            (c.folders, Path.is_dir, "folder", "a folder"),
            (tuple(filter(is_saved, c.pages)), Path.is_file, "saved page", "a file"),
        ):
            wrong = [p for p in paths if not kind(path_of(p))]
            missing += [f"class '{c.name}' names the {what} {_written(p)}, which is not {as_what}" for p in wrong]
    if missing:
        said = f" {missing[0]}." if len(missing) == 1 else "".join(f"\n  - {m}" for m in missing)
        raise ConfigError(f"{where}:{said}", "Correct the path (relative to the config file), or remove it.")


def _written(path: str) -> str:
    """A path for a message; a backslash that TOML has read as a tab or the like is pointed out."""
    if path.isprintable():
        return shown(path)
    return f"{shown(path)!r} (in TOML a backslash is written twice, or within single quotes)"
