"""What is written about the package agrees with what the package says."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from pydantic import BaseModel

from bridge.cli.app import app
from bridge.config import Config
from tests.gateway import install

ROOT = Path(__file__).resolve().parent.parent
DECISION = ROOT / "docs" / "decisions" / "0002-dependencies.md"
LOCKS = ("requirements.lock", "requirements-dev.lock")
COMMANDS = ("make demo", "make test", "clawdis-bridge run", "clawdis-bridge pair --qr")


def project() -> dict[str, Any]:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return {**document["project"], "build": document["build-system"]["requires"]}


def names(requirements: list[str]) -> set[str]:
    found = (re.match(r"[A-Za-z0-9._-]+", requirement) for requirement in requirements)
    return {match.group() for match in found if match}


def all_names() -> set[str]:
    extras = project()["optional-dependencies"].values()
    return names(project()["dependencies"] + project()["build"] + [name for extra in extras for name in extra])


def explained() -> dict[str, list[str]]:
    rows = re.findall(r"^\| `([^`]+)` \|(.*)\|$", DECISION.read_text(), re.MULTILINE)
    return {name: [cell.strip() for cell in rest.split("|")] for name, rest in rows}


def locked(lock: str) -> dict[str, str]:
    """Return normalised name and block of every pin in a lock file."""
    blocks = re.split(r"^(?=[a-z0-9])", (ROOT / lock).read_text(), flags=re.MULTILINE)
    return {block.split("==")[0]: block for block in blocks if "==" in block.split("\n", 1)[0]}


def test_every_dependency_is_explained_and_nothing_else() -> None:
    assert set(explained()) == all_names()


def test_every_explanation_has_a_reason_and_an_alternative() -> None:
    thin = [name for name, cells in explained().items() if len(cells) != 2 or not all(cells)]
    assert not thin


def test_no_aiohttp_is_taken_that_keeps_empty_messages_without_end() -> None:
    """Nor one that cannot hold a peer back (`hold` in bridge/lan/quiet.py): 3.14.4 is the first that does both."""
    (aiohttp,) = [one for one in map(Requirement, project()["dependencies"]) if one.name == "aiohttp"]
    assert [name for name in ("3.12", "3.13.5", "3.14.3") if name in aiohttp.specifier] == []
    assert "3.14.4" in aiohttp.specifier


def test_lower_bounds_are_given() -> None:
    bare = [line for line in project()["dependencies"] if ">=" not in line]
    assert not bare


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_pin_everything_with_hashes(lock: str) -> None:
    pins = locked(lock)
    wanted = project()["dependencies"] + project()["build"]
    if "dev" in lock:
        wanted = wanted + project()["optional-dependencies"]["dev"]
    assert {name.lower() for name in names(wanted)} <= set(pins)
    assert not [name for name, block in pins.items() if "--hash=sha256:" not in block]


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_name_no_other_place_than_the_index(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert not re.search(r"file:|://|^-|/opt/", text, re.MULTILINE)


def test_development_pins_are_the_runtime_pins() -> None:
    runtime, development = (locked(lock) for lock in LOCKS)
    different = [name for name, block in runtime.items() if development.get(name) != block]
    assert not different


def test_gateway_is_pinned_exactly_and_with_integrity() -> None:
    manifest = json.loads(install.MANIFEST.read_text())
    assert manifest["dependencies"] == {"@openclaw/gateway-protocol": "2026.9.1", "openclaw": "2026.9.6"}
    packages = json.loads(install.LOCK_FILE.read_text())["packages"]
    bare = [name for name, entry in packages.items() if name and "integrity" not in entry and not entry.get("inBundle")]
    assert not bare


@pytest.mark.parametrize("command", COMMANDS)
def test_readme_tells_the_commands(command: str) -> None:
    assert command in (ROOT / "README.md").read_text()


def test_the_threat_table_names_tests_that_exist() -> None:
    named = set(re.findall(r"`(tests/[^`]+)`", (ROOT / "docs" / "threats.md").read_text()))
    assert len(named) > 10
    assert not [pattern for pattern in sorted(named) if not list(ROOT.glob(pattern))]


def test_every_configuration_key_is_in_the_operators_guide() -> None:
    guide = (ROOT / "docs" / "operators-guide.md").read_text()
    keys = [f"{table}.{key}" for table, model in tables().items() for key in model.model_fields]
    assert not [key for key in keys if f"`{key}`" not in guide]


def test_every_answer_of_native_pairing_is_in_the_protocols_table() -> None:
    sources = [ROOT / "bridge" / "pairing" / "enrolment_answers.py", ROOT / "bridge" / "lan" / "pair_pages.py"]
    made = {each for file in sources for each in re.findall(r'EnrolmentRefused\((\d+), "([A-Z_]+)"', file.read_text())}
    table = (ROOT / "docs" / "node-protocol.md").read_text()
    assert len(made) > 12
    assert set(re.findall(r"^\| (\d+) \| `([A-Z_]+)` \|", table, re.MULTILINE)) == made


def test_every_command_is_in_the_operators_guide() -> None:
    guide = (ROOT / "docs" / "operators-guide.md").read_text()
    missing = [name for name in commands() if f"`{name}" not in guide]
    assert len(commands()) > 20
    assert not missing


def commands() -> list[str]:
    names = [each.name or "" for each in app.registered_commands]
    for group in app.registered_groups:
        inner = group.typer_instance.registered_commands if group.typer_instance is not None else []
        names += [f"{group.name} {each.name or (each.callback.__name__ if each.callback else '')}" for each in inner]
    return names


def tables() -> dict[str, type[BaseModel]]:
    found = {name: field.annotation for name, field in Config.model_fields.items()}
    return {name: model for name, model in found.items() if isinstance(model, type) and issubclass(model, BaseModel)}
