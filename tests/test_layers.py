"""The tree keeps its rules; and every rule is shown to catch what it is for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import layering
from tests.support.layering import PACKAGES, Source

ROOT = Path(__file__).resolve().parent.parent
Rule = Callable[[Source], list[str]]

PRODUCT_RULES: list[Rule] = [
    layering.impure_imports,
    layering.crossed_layers,
    layering.missing_docstring,
    layering.too_long,
    layering.makers_of_allow,
    layering.makers_of_permit,
    layering.bare_excuses,
]
TEST_RULES: list[Rule] = [layering.missing_docstring, layering.too_long, layering.bare_excuses]


def complaints(rule: Rule, path: str, text: str) -> list[str]:
    return rule(Source.parse(path, text))


@pytest.mark.parametrize("rule", PRODUCT_RULES, ids=lambda rule: rule.__name__)
def test_product_keeps_the_rule(rule: Rule) -> None:
    found = [line for source in layering.sources(ROOT, *PACKAGES) for line in rule(source)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("rule", TEST_RULES, ids=lambda rule: rule.__name__)
def test_tests_keep_the_rule(rule: Rule) -> None:
    found = [line for source in layering.sources(ROOT, "tests", "benchmarks") for line in rule(source)]
    assert not found, "\n".join(found)


def test_every_package_is_there() -> None:
    missing = [name for name in PACKAGES if not any(layering.sources(ROOT, name))]
    assert not missing


@pytest.mark.parametrize("line", ["import time", "from os import environ", "import asyncio.events", "import secrets"])
def test_impure_import_is_caught(line: str) -> None:
    assert complaints(layering.impure_imports, "acl/rules.py", line)
    assert complaints(layering.impure_imports, "bridge/lan/door.py", f'"""Pure: x."""\ndef f() -> None:\n    {line}\n')
    assert not complaints(layering.impure_imports, "bridge/lan/listener.py", f'"""Sockets."""\n{line}')


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("acl/rules.py", "from bridge.config import Config"),
        ("gateway_client/frames.py", "import certs.issue"),
        ("bridge/lan/door.py", "from . import session"),
        ("bridge/daemon.py", "from tests.support import scale"),
    ],
)
def test_crossed_layer_is_caught(path: str, line: str) -> None:
    assert complaints(layering.crossed_layers, path, line)


@pytest.mark.parametrize(
    ("path", "line"), [("bridge/daemon.py", "import acl.engine"), ("acl/engine.py", "from acl.model import Allow")]
)
def test_allowed_direction_is_not_caught(path: str, line: str) -> None:
    assert not complaints(layering.crossed_layers, path, line)


def test_missing_docstring_is_caught() -> None:
    assert complaints(layering.missing_docstring, "bridge/x.py", "x = 1")
    assert not complaints(layering.missing_docstring, "bridge/__init__.py", "")


def test_long_file_is_caught() -> None:
    assert complaints(layering.too_long, "bridge/x.py", "x = 1\n" * 351)
    assert not complaints(layering.too_long, "bridge/x.py", "x = 1\n" * 350)


def test_long_body_is_caught_and_docstring_not_counted() -> None:
    head = 'async def f() -> None:\n    """One.\n\n    Two.\n    """\n'
    assert complaints(layering.too_long, "bridge/x.py", head + "    x = 1\n" * 51)
    assert not complaints(layering.too_long, "bridge/x.py", head + "    x = 1\n" * 50)


@pytest.mark.parametrize("call", ["Allow('rule')", "model.Allow(rule_id='x')"])
def test_allow_made_elsewhere_is_caught(call: str) -> None:
    assert complaints(layering.makers_of_allow, "bridge/lan/session.py", f"x = {call}")
    assert complaints(layering.makers_of_allow, "acl/rules.py", f"x = {call}")
    assert not complaints(layering.makers_of_allow, "acl/engine.py", f"x = {call}")


@pytest.mark.parametrize("call", ["LeafPermit(node_id, der)", "leaf.LeafPermit(node_id='x', spki_der=b'')"])
def test_a_permit_made_elsewhere_is_caught(call: str) -> None:
    assert complaints(layering.makers_of_permit, "bridge/lan/enrolment.py", f"x = {call}")
    assert complaints(layering.makers_of_permit, "certs/leaf.py", f"x = {call}")
    assert not complaints(layering.makers_of_permit, "bridge/pairing/issuing.py", f"x = {call}")


# The marks are put together here, so that this file does not contain them as comments.
@pytest.mark.parametrize(
    "comment",
    [
        "type: " + "ignore",
        "type: " + "ignore[arg-type]",
        "type: " + "ignore # because it is so",
        "no" + "qa",
        "no" + "qa: S105",
        "no" + "qa: because it is so",
        "ruff: no" + "qa: S105",
        "pragma: " + "no cover",
        "pragma: " + "no branch",
    ],
)
def test_bare_excuse_is_caught(comment: str) -> None:
    assert complaints(layering.bare_excuses, "bridge/x.py", f"x = 1  # {comment}\n")


@pytest.mark.parametrize(
    "comment",
    [
        "type: " + "ignore[arg-type]  # the stub lacks this overload",
        "no" + "qa: S105, S106 - a label, not a secret",
        "pragma: " + "no cover - only on Windows",
        "an ordinary comment",
    ],
)
def test_excuse_with_code_and_reason_is_not_caught(comment: str) -> None:
    assert not complaints(layering.bare_excuses, "bridge/x.py", f"x = 1  # {comment}\n")
