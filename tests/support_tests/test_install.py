"""The installer of the real gateway, without a network: what it says and returns, and that it leaves nothing half."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gateway import install

ROOT = Path(__file__).resolve().parent.parent.parent
NO_REGISTRY = "http://127.0.0.1:9"


def run(cache: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run the installer with an empty npm cache and a registry that is not there."""
    kept = {name: value for name, value in os.environ.items() if name != "CI"}
    npm = {"NPM_CONFIG_REGISTRY": NO_REGISTRY, "NPM_CONFIG_CACHE": str(cache / "npm")}
    command = [sys.executable, "-m", "tests.gateway.install"]
    environment = {**kept, **npm, "XDG_CACHE_HOME": str(cache), **extra}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=110)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_without_registry_it_says_what_is_skipped_and_leaves_nothing(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("The npm registry cannot be reached: the tests marked `real` will be skipped.") == 1
    assert done.stderr == ""
    assert [path.suffix for path in (tmp_path / "clawdis-bridge").iterdir()] == [".lock"]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_without_registry_ci_fails(tmp_path: Path) -> None:
    done = run(tmp_path, CI="1")
    assert done.returncode == 1
    assert "CI cannot go on without it" in done.stdout


def test_only_a_finished_installation_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = install.cache_folder()
    folder.mkdir(parents=True)
    assert folder.name.startswith("gateway-")
    assert install.installed() is None
    (folder / install.MARKER).write_text("ok\n")
    assert install.installed() == folder
    assert install.install() == folder
    assert install.main() == 0
