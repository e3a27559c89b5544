"""`run`: a wrong configuration is told before anything is started."""

from __future__ import annotations

from pathlib import Path

from tests.bridge.cli.program import Program


def test_a_wrong_configuration_is_told_with_its_key_and_what_to_do(program: Program, home: Path) -> None:
    (home / "bridge.toml").write_text("[listen]\nnode_prt = 1\napp_port = 'x'\n")
    result = program("run")
    assert result.status == 1
    lines = result.err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"Error: {home / 'bridge.toml'}: listen.") for line in lines)
    assert "Did you mean 'node_port'?" in result.err
    assert not (home / "bridge.sock").exists()
