"""Pure: TOML documents that people write by hand, read strictly: unknown keys are errors with the nearest name.

A document is a pydantic model whose tables derive from `Table`. What is wrong is said in the words of the file, all of
it at once as long as that can be read, and without repeating a value: one of them might be a secret in the wrong place.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

D = TypeVar("D", bound=BaseModel)
Location = tuple[int | str, ...]
MAX_PROBLEMS = 32  # told of one file: a screen full; another kind of file would have one for each of its lines
_MAX_SHOWN = 64  # characters of one key in a message
_SHOWABLE_ID = re.compile(r"[a-z][a-z0-9-]{0,63}")


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing that is wrong with the configuration."""

    key: str
    """The key with its table, e.g. `listen.app_port`; empty when it is the file as a whole."""
    why: str
    """What is wrong. Values are not repeated: one of them might be a secret in the wrong place."""
    mend: str
    """What to do."""


class ConfigError(Exception):
    """A configuration that cannot be used; nothing of it is.

    Attributes:
        file: the file's name, as the caller gave it.
        problems: everything that is wrong, at least one.
    """

    def __init__(self, file: str, problems: Sequence[ConfigProblem]) -> None:
        """Keep the parts; the message has one line per problem."""
        lines = [": ".join(part for part in (file, each.key, each.why) if part) + f". {each.mend}" for each in problems]
        super().__init__("\n".join(lines))
        self.file = file
        self.problems = tuple(problems)


class Table(BaseModel):
    """One table of a file: typed strictly, unknown keys refused, unchangeable, described by its docstrings."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


def parse_document(text: str, model: type[D], *, file: str) -> D:
    """The document in a text.

    Args:
        text: TOML.
        model: what the document is.
        file: the file's name, for messages only.

    Raises:
        ConfigError: no TOML, an unknown key or table, a value of the wrong type or outside its range.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(file, [ConfigProblem("", f"it is not TOML: {error}", "Correct that line.")]) from error
    except ValueError:  # Python reads no whole number of thousands of digits, and tomllib lets that through
        raise ConfigError(file, [ConfigProblem("", "a number in it is too long", "Write a shorter one.")]) from None
    except RecursionError:
        mend = "Take out the nested brackets."
        raise ConfigError(file, [ConfigProblem("", "it is nested too deeply", mend)]) from None
    try:
        return model.model_validate(document)
    except ValidationError as error:
        found = error.errors(include_input=False)
        problems = [_problem(model, document, item["loc"], item["type"], item["msg"]) for item in found[:MAX_PROBLEMS]]
    if more := len(found) - len(problems):
        problems.append(ConfigProblem("", f"there are {more} more mistakes in it", "Correct these first."))
    raise ConfigError(file, problems)  # outside the except clause: pydantic's error would repeat the values


def nearest(word: str, valid: Iterable[str]) -> str:
    """Advice for a word that is none of the valid ones: the nearest of them, or all while they are few."""
    known = list(valid)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if near:
        return f"Did you mean '{near[0]}'?"
    return f"Valid here: {', '.join(known)}." if len(known) <= 24 else "See: clawdis-bridge acl show"


def key_of(location: Location, document: object = None) -> str:
    """The name of a place in the file: `table.key`, and for a table of an array its id or number: `rules[my-id].when`.

    Args:
        location: keys and positions from the root.
        document: the file's content, for the ids.
    """
    out, here = "", document
    for part in location:
        here = _inside(here, part)
        if isinstance(part, int):
            out += f"[{_name_of(here, part)}]"
        else:
            out += f".{_shown(part)}" if out else _shown(part)
    return out


def _shown(key: str) -> str:
    """A key as it may stand in a message: whoever wrote the file may have had an accident, or no good intentions."""
    safe = "".join(char if char.isprintable() else "?" for char in key)
    return safe if len(safe) <= _MAX_SHOWN else f"{safe[:_MAX_SHOWN]}..."


def _inside(document: object, part: int | str) -> object:
    if isinstance(document, Mapping):
        return document.get(part)
    if isinstance(document, Sequence) and isinstance(part, int) and part < len(document):
        return document[part]
    return None


def _name_of(entry: object, position: int) -> str:
    own = entry.get("id") if isinstance(entry, Mapping) else None
    return own if isinstance(own, str) and _SHOWABLE_ID.fullmatch(own) else f"#{position + 1}"


def _problem(model: type[BaseModel], document: object, location: Location, kind: str, message: str) -> ConfigProblem:
    """One pydantic error in our words."""
    key = key_of(location, document)
    if kind == "extra_forbidden":
        *tables, unknown = location
        return ConfigProblem(key, "there is no such key", nearest(str(unknown)[:_MAX_SHOWN], _fields(model, tables)))
    if kind == "missing":
        return ConfigProblem(key, "it is missing", "Add it.")
    if kind in ("model_type", "dict_type"):
        return ConfigProblem(key, "it must be a table", _as_table(location))
    why = _WORDS.get(kind) or message.removeprefix("Value error, ").replace("Input should", "it should")
    why, _, mend = why.partition("\n")
    return ConfigProblem(key, why, mend or "Change it, or remove the line to get the default.")


def _as_table(location: Location) -> str:
    """How a table is written there: within an array it has no header of its own name."""
    last = location[-1]
    if isinstance(last, int):
        return f"Write [[{key_of(location[:-1])}]] on a line of its own, its keys below."
    if any(isinstance(part, int) for part in location):
        return f"Write it in braces: {_shown(last)} = {{ ... }}"
    return f"Write [{key_of(location)}] on a line of its own, its keys below."


_WORDS = {
    "tuple_type": 'it must be a list, in brackets: ["..."]',
    "string_type": "it must be text, in quotes",
    "bool_type": "it must be true or false, without quotes",
    "int_type": "it must be a whole number, without quotes",
    "string_pattern_mismatch": "it has characters that such a name does not have",
}
"""What pydantic says in terms of Python, in terms of the file."""


def _fields(model: type[BaseModel], tables: Sequence[int | str]) -> list[str]:
    """The keys that are valid in a table."""
    annotation: Any = model
    for part in tables:
        inner = _model_in(annotation)
        if inner is not None:
            annotation = inner.model_fields[str(part)].annotation if str(part) in inner.model_fields else None
        else:  # a mapping by name, or an array: what is in it is described by the last of its types
            described = [each for each in get_args(annotation) if each is not Ellipsis]
            annotation = described[-1] if described else None
    found = _model_in(annotation)
    return list(found.model_fields) if found is not None else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
