"""The names phones know the bridge by, chosen once and kept in `names.json` (design §8)."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from bridge.discovery_records import DiscoveryNames, choose_names
from certs.private_files import PrivateFileError, read_private, write_private

NAMES_FILE = "names.json"
MAX_BYTES = 4096


def load_names(home: Path, bridge_name: str) -> DiscoveryNames:
    """Returns the names, chosen now when there are none yet.

    Args:
        home: the bridge's folder.
        bridge_name: `bridge.name`; only used when the names are chosen.

    Raises:
        PrivateFileError: the file cannot be read, written or understood.
    """
    path = home / NAMES_FILE
    try:
        stored = json.loads(read_private(path, MAX_BYTES))
        return DiscoveryNames(str(stored["instance"]), str(stored["host"]))
    except FileNotFoundError:
        names = choose_names(bridge_name, secrets.token_hex(4))
        document = {"instance": names.instance, "host": names.host}
        write_private(path, json.dumps(document, ensure_ascii=False).encode("utf-8"))
        return names
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        mend = "Put it back from a backup: paired phones know the bridge by these names"
        raise PrivateFileError(path, f"it does not hold the bridge's names ({exc})", mend) from exc
