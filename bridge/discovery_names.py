"""The names phones know the bridge by, chosen once and kept in `names.json` (design §8)."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from cryptography import x509

from bridge.discovery_records import DiscoveryNames, choose_names
from certs.private_files import PrivateFileError, read_private, write_private

NAMES_FILE = "names.json"
MAX_BYTES = 4096
MAX_CERTIFICATE_BYTES = 16_384  # of the file that holds key and certificate; it has some 1,400
_IDENTITY = Path("keys", "bridge.pem")
# What a bridge leaves behind once it has started: its names are chosen before any of these is made.
_TRACES = (_IDENTITY, Path("keys", "bridge.pin"), Path("paired-nodes.json"))


def load_names(home: Path, bridge_name: str) -> DiscoveryNames:
    """Returns the names, chosen now when there are none yet and the bridge has not started before.

    Args:
        home: the bridge's folder.
        bridge_name: `bridge.name`; only used when the names are chosen.

    Raises:
        PrivateFileError: the file cannot be read, written or understood, or it is gone.
    """
    path = home / NAMES_FILE
    try:
        stored = json.loads(read_private(path, MAX_BYTES))
        return DiscoveryNames(str(stored["instance"]), str(stored["host"]))
    except FileNotFoundError:
        if any((home / trace).exists() for trace in _TRACES):
            raise _lost(home, bridge_name) from None
        names = choose_names(bridge_name, secrets.token_hex(4))
        document = {"instance": names.instance, "host": names.host}
        write_private(path, json.dumps(document, ensure_ascii=False).encode("utf-8"))
        return names
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        mend = "Put it back from a backup: paired phones know the bridge by these names"
        raise PrivateFileError(path, f"it does not hold the bridge's names ({exc})", mend) from exc


def _lost(home: Path, bridge_name: str) -> PrivateFileError:
    path = home / NAMES_FILE
    instance = choose_names(bridge_name, "0" * 8).instance
    document = json.dumps({"instance": instance, "host": _host_of_certificate(home)}, ensure_ascii=False)
    mend = (
        "Put it back from a backup (clawdis-bridge restore FILE). Without one, write into it what phones know it by,"
        f" mode 0600: {document}"
    )
    return PrivateFileError(path, "it is gone, and phones would not find this bridge under new names", mend)


def _host_of_certificate(home: Path) -> str:
    """The host name that the bridge's certificate was made for: the only other place that has it."""
    try:
        certificate = x509.load_pem_x509_certificate(read_private(home / _IDENTITY, MAX_CERTIFICATE_BYTES))
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = names.get_values_for_type(x509.DNSName)
    except (FileNotFoundError, PrivateFileError, ValueError, x509.ExtensionNotFound):
        found = []
    return next((name for name in found if name != "localhost"), "clawdis-bridge-<8 hex digits>.local")
