"""The rules of the tree, read from source with `ast`: who may import whom, and how long things may be.

Every rule is a function from one source file to complaints, so that it can be shown to fail.
"""

from __future__ import annotations

import ast
import dataclasses
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("bridge", "gateway_client", "acl", "certs", "launchd")
LEAVES = frozenset(PACKAGES) - {"bridge"}
IMPURE = frozenset({
    "asyncio", "socket", "ssl", "aiohttp", "os", "pathlib", "time", "random", "secrets", "logging", "structlog",
    "subprocess", "sqlite3", "websockets",
})  # fmt: skip
FILE_LINES = 350
BODY_LINES = 50
MAKER_OF_ALLOW = "acl/engine.py"
MAKER_OF_PERMIT = "bridge/pairing/issuing.py"

REASON = r"\W{1,6}\w.{4,}"  # a separator, then some words
EXCUSES = {
    "type: ignore": re.compile(r"#\s*type:\s*ignore\[[\w, -]+\]" + REASON),
    "noqa": re.compile(r"#\s*(ruff:\s*)?noqa:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*" + REASON),
    "pragma: no cover": re.compile(r"#\s*pragma:\s*no cover" + REASON),
}
EXCUSE_MARK = re.compile(r"#\s*(?:ruff:\s*)?(type:\s*ignore|noqa|pragma:\s*no\s*(?:cover|branch))")


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """One file of the tree.

    Attributes:
        path: relative to the repository, with `/`.
        text: its content.
        tree: its syntax tree.
    """

    path: str
    text: str
    tree: ast.Module

    @classmethod
    def parse(cls, path: str, text: str) -> Source:
        """Build from text; the path need not exist."""
        return cls(path, text, ast.parse(text))

    @property
    def package(self) -> str:
        """First part of the path."""
        return self.path.split("/", 1)[0]

    @property
    def docstring(self) -> str:
        """The module's docstring, empty when there is none."""
        return ast.get_docstring(self.tree) or ""

    @property
    def pure(self) -> bool:
        """Whether the module promises to know no I/O, clock, chance or environment."""
        return self.package == "acl" or self.docstring.startswith("Pure:")


def sources(root: Path, *folders: str) -> Iterator[Source]:
    """Yield every Python file below the folders of the repository, in order."""
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            yield Source.parse(path.relative_to(root).as_posix(), path.read_text())


def imports(source: Source) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of everything a file imports, at any depth of its code."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{name}.{alias.name}" if name else alias.name) for alias in node.names)


def impure_imports(source: Source) -> list[str]:
    """Complain about a pure module that imports the world."""
    if not source.pure:
        return []
    return [
        _at(source, line, f"a pure module imports {name}") for line, name in imports(source) if _top(name) in IMPURE
    ]


def crossed_layers(source: Source) -> list[str]:
    """Complain about a leaf package that imports `bridge` or another leaf, and about relative imports."""
    wrong = []
    for line, name in imports(source):
        if name.startswith("."):
            wrong.append(_at(source, line, "relative import"))
        elif source.package in LEAVES and _top(name) in PACKAGES and _top(name) != source.package:
            wrong.append(_at(source, line, f"{source.package} imports {name}; only bridge may import the others"))
        elif source.package in PACKAGES and _top(name) in {"tests", "benchmarks"}:
            wrong.append(_at(source, line, f"the product imports {name}"))
    return wrong


def missing_docstring(source: Source) -> list[str]:
    """Complain about a module without docstring; an empty `__init__.py` needs none."""
    return [] if source.docstring or not source.text.strip() else [_at(source, 1, "module without docstring")]


def too_long(source: Source) -> list[str]:
    """Complain about files over 350 lines and function bodies over 50 (docstring not counted)."""
    lines = len(source.text.splitlines())
    wrong = [_at(source, lines, f"{lines} lines, at most {FILE_LINES}")] if lines > FILE_LINES else []
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and body_lines(node) > BODY_LINES:
            wrong.append(_at(source, node.lineno, f"{node.name} has {body_lines(node)} lines, at most {BODY_LINES}"))
    return wrong


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the number of lines of a function's body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) and len(function.body) > 1 else function.body
    return (body[-1].end_lineno or body[-1].lineno) - body[0].lineno + 1


def makers_of_allow(source: Source) -> list[str]:
    """Complain about a call of `Allow(...)` outside `acl/engine.py`: an Allow is the proof that the engine decided."""
    if source.path == MAKER_OF_ALLOW:
        return []
    return _makers(source, "Allow")


def makers_of_permit(source: Source) -> list[str]:
    """Complain about a call of `LeafPermit(...)` outside the enrolment: it is the proof that the store was written."""
    if source.path == MAKER_OF_PERMIT:
        return []
    return _makers(source, "LeafPermit")


def bare_excuses(source: Source) -> list[str]:
    """Complain about `type: ignore`, `noqa` and `pragma: no cover` without code or reason on the same line."""
    wrong = []
    for line, comment in _comments(source.text):
        for mark in EXCUSE_MARK.finditer(comment):
            kind = " ".join(mark.group(1).replace(":", ": ").split())
            pattern = EXCUSES.get(kind)
            if pattern is None or not pattern.match(comment, mark.start()):
                wrong.append(_at(source, line, f"{kind} needs a code and a reason on the same line"))
    return wrong


def _makers(source: Source, name: str) -> list[str]:
    calls = (node for node in ast.walk(source.tree) if isinstance(node, ast.Call))
    return [_at(source, node.lineno, f"constructs {name}") for node in calls if _called(node) == name]


def _comments(text: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def _called(node: ast.Call) -> str:
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _top(name: str) -> str:
    return name.split(".", 1)[0]


def _at(source: Source, line: int, what: str) -> str:
    return f"{source.path}:{line}: {what}"
