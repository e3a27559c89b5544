"""Files as a bridge finds them, and as a person mends them."""

from __future__ import annotations

import subprocess
from pathlib import Path


def lay(path: Path, content: bytes) -> Path:
    """Write a file that only its owner can open; return its path."""
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path


def follow(message: str) -> None:
    """Run the lines and the commands that a refusal tells, as a person would copy them."""
    for line in message.splitlines():
        command = line if line.startswith(("mv ", "(")) else line.rpartition(": ")[2]
        if command.startswith(("mv ", "rm ", "(")):
            subprocess.run(["/bin/sh", "-c", command], check=True)
