"""What pydantic finds wrong with a value, in plain English and without its own prefixes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["explained"]

_WANTED = {
    "int": "must be a whole number",
    "float": "must be a number",
    "bool": "must be true or false",
    "string": "must be text (in quotes)",
    "tuple": "must be a list (in square brackets)",
    "list": "must be a list (in square brackets)",
    "dict": "must be a table of keys and values",
    "model": "must be a table of keys and values",
    "path": "must be a path",
    "url": "must be a web address",
}
"""By the first word of the error's type: ``int_parsing``, ``int_type``, ``int_from_float`` and so on."""

_BOUNDS = {
    "greater_than_equal": "must be at least {ge:g}",
    "greater_than": "must be greater than {gt:g}",
    "less_than_equal": "must be at most {le:g}",
    "less_than": "must be less than {lt:g}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "too_short": "needs at least {min_length}",
    "too_long": "takes at most {max_length}",
    "string_too_short": "must not be empty",
    "string_too_long": "must be at most {max_length} characters long",
    "finite_number": "must be a finite number",
}


def explained(error: Mapping[str, Any]) -> str:
    """One of ``ValidationError.errors()`` as the end of a sentence that begins with the name of the value."""
    kind, facts = str(error["type"]), error.get("ctx", {})
    if kind in ("value_error", "assertion_error"):  # a validator of ours: its own words
        return str(facts.get("error", error["msg"]))
    if kind in _BOUNDS:
        return _BOUNDS[kind].format(**facts)
    if (first := kind.partition("_")[0]) in _WANTED:
        return _WANTED[first]
    message = str(error["msg"]).removeprefix("Input ")
    return message[:1].lower() + message[1:]
