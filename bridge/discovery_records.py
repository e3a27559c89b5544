"""Pure: what the bridge says about itself by Bonjour.

DNS-SD instance names and TXT records (RFC 6763). Everything here is readable and forgeable by the whole LAN: it
helps a phone to find the bridge, and names no user, path or other service.
"""

import re
import unicodedata
from dataclasses import dataclass

from certs.pins import normalise_pin

APP_SERVICE = "_openclaw-gw._tcp.local."
NODE_SERVICE = "_clawdis-bridge._tcp.local."
SUFFIX = " (Clawdis Bridge)"
MAX_LABEL_BYTES = 63  # UTF-8; RFC 1035 section 2.3.4, RFC 6763 section 4.1.1

_FALLBACK = "Clawdis"  # for a name of which nothing is left
_RANDOM_HEX = re.compile(r"[0-9a-f]{8}")
_HOST = re.compile(r"clawdis-bridge-[0-9a-f]{8}\.local")
# A dot separates labels and a backslash begins an escape in every textual form of a name that readers parse.
_NOT_IN_A_LABEL = str.maketrans({".": " ", "\\": " "})


@dataclass(frozen=True, slots=True)
class DiscoveryNames:
    """The names that phones remember the bridge by: chosen once, kept by the caller, never changed."""

    instance: str
    """The service instance, at most 63 bytes of UTF-8, ending in " (Clawdis Bridge)"."""
    host: str
    """The bridge's own host name, `clawdis-bridge-<8 hex>.local`."""

    def __post_init__(self) -> None:
        """Refuse names that were not made by `choose_names`.

        Raises:
            ValueError: e.g. after the file that keeps them was edited.
        """
        name = self.instance.removesuffix(SUFFIX)
        if name == self.instance or _clean(name) != name:
            raise ValueError(f"{self.instance!r} is no instance name of a bridge")
        if not _HOST.fullmatch(self.host):
            raise ValueError(f"{self.host!r} is no host name of a bridge")

    @property
    def display_name(self) -> str:
        """The instance without its ending: what a phone lists."""
        return self.instance.removesuffix(SUFFIX)


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """One service as it goes on the air."""

    service: str
    """The type with its domain, ending in `.local.`."""
    instance: str
    """The instance label."""
    host: str
    """The SRV target, without a final dot."""
    port: int
    """The TCP port, 1 to 65535."""
    txt: dict[str, str]
    """The TXT keys in the order in which they are sent."""

    @property
    def full_name(self) -> str:
        """The service instance name, e.g. `Mac (Clawdis Bridge)._openclaw-gw._tcp.local.`."""
        return f"{self.instance}.{self.service}"


def choose_names(bridge_name: str, random_hex: str) -> DiscoveryNames:
    """Names for a bridge that has none yet.

    Args:
        bridge_name: any text; what cannot be in a label is removed, what does not fit is cut between characters.
        random_hex: 8 lower-case hexadecimal digits from a random source.

    Raises:
        ValueError: `random_hex` is something else.
    """
    if not _RANDOM_HEX.fullmatch(random_hex):
        raise ValueError("random_hex must be 8 lower-case hexadecimal digits")
    return DiscoveryNames(instance=_clean(bridge_name) + SUFFIX, host=f"clawdis-bridge-{random_hex}.local")


def build_records(
    names: DiscoveryNames, pin: str, *, app_port: int | None, node_port: int | None
) -> list[ServiceRecord]:
    """The services of a listening bridge, one for each port that is not None.

    Args:
        names: the names kept for this bridge.
        pin: SHA-256 of the bridge's certificate, in any spelling.
        app_port: the port taken for apps; None: not listening.
        node_port: the port taken for native nodes; None: not listening.

    Raises:
        ValueError: a port outside 1 to 65535, or no pin.
    """
    ports = ((APP_SERVICE, app_port), (NODE_SERVICE, node_port))
    return [
        ServiceRecord(service, names.instance, names.host, _real_port(port), _txt(names, normalise_pin(pin), port))
        for service, port in ports
        if port is not None
    ]


def _txt(names: DiscoveryNames, pin: str, port: int) -> dict[str, str]:
    """The keys that the clients read; some 250 bytes in all.

    `txtvers` comes first (RFC 6763 section 6.7), and the free text last: one reader splits the line at blanks.
    """
    return {
        "txtvers": "1",
        "role": "gateway",
        "transport": "gateway",
        "gatewayPort": str(port),
        "lanHost": names.host,
        "gatewayTls": "1",
        "gatewayTlsSha256": pin,
        "displayName": names.display_name,
    }


def _real_port(port: int) -> int:
    if not 1 <= port <= 65535:
        raise ValueError(f"{port} is no port that a phone can connect to")
    return port


def _clean(name: str) -> str:
    """The part of a name that may stand before the ending, in composed form (RFC 6763 section 4.1.1, RFC 5198)."""
    spaced = "".join(" " if character.isspace() else character for character in name.translate(_NOT_IN_A_LABEL))
    visible = "".join(character for character in spaced if not unicodedata.category(character).startswith("C"))
    composed = " ".join(unicodedata.normalize("NFC", visible).split())
    return _cut(composed, MAX_LABEL_BYTES - len(SUFFIX)) or _FALLBACK


def _cut(text: str, max_bytes: int) -> str:
    """The longest beginning of `text` that fits, without half a character or a base that lost its marks."""
    size = 0
    for position, character in enumerate(text):
        size += len(character.encode("utf-8"))
        if size > max_bytes:
            end = position
            while end > 0 and unicodedata.combining(text[end]):
                end -= 1  # the marks that do not fit go with the letter they stand on
            return text[:end].rstrip()
    return text
