"""`acl.engine.decide` is the only maker of `Allow`: read from the tree, not from a promise."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("acl", "bridge", "certs", "gateway_client", "launchd")
MAKER = "acl/engine.py"


def makers(source: str) -> Iterator[int]:
    """Yield the lines in which `Allow` is called, subclassed, renamed or handed to something that might call it."""
    tree = ast.parse(source)
    harmless: set[int] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="isinstance"), args=[_, kind]):
                harmless |= {id(part) for part in ast.walk(kind)}
            case ast.MatchClass(cls=cls):
                harmless |= {id(part) for part in ast.walk(cls)}
            case ast.AnnAssign(annotation=annotation) | ast.arg(annotation=ast.expr() as annotation):
                harmless |= {id(part) for part in ast.walk(annotation)}
            case ast.FunctionDef(returns=ast.expr() as returns) | ast.AsyncFunctionDef(returns=ast.expr() as returns):
                harmless |= {id(part) for part in ast.walk(returns)}
            case ast.BinOp(op=ast.BitOr()) | ast.Subscript() if not any(
                isinstance(p, ast.Call) for p in ast.walk(node)
            ):
                harmless |= {id(part) for part in ast.walk(node)}  # a type: `Allow | Deny`, `Callable[[Allow], ...]`
    for node in ast.walk(tree):
        named = isinstance(node, ast.Name) and node.id == "Allow" and id(node) not in harmless
        dotted = isinstance(node, ast.Attribute) and node.attr == "Allow" and id(node) not in harmless
        renamed = isinstance(node, ast.alias) and node.name == "Allow" and node.asname is not None
        if named or dotted or renamed:
            yield getattr(node, "lineno", 0)


def test_nothing_else_in_the_tree_makes_an_allow() -> None:
    found = {
        str(path.relative_to(ROOT)): lines
        for package in PACKAGES
        for path in sorted(Path(ROOT, package).rglob("*.py"))
        if (lines := list(makers(path.read_text(encoding="utf-8"))))
    }
    assert list(found) == [MAKER]
    assert len(found[MAKER]) == 1


def test_the_ways_around_are_seen() -> None:
    for way in (
        "Allow('r', c)", "model.Allow('r', c)", "class A(Allow): pass", "from acl.model import Allow as A",
        "make = Allow", "replace_with(Allow)", "object.__new__(Allow)", "functools.partial(Allow, 'r')",
        "rows[Allow('r', c)]",
    ):  # fmt: skip
        assert list(makers(way)), way
    for use in ("isinstance(x, Allow)", "def f(a: Allow) -> Allow: ...", "D = Allow | Deny", "x: dict[str, Allow]"):
        assert not list(makers(use)), use
