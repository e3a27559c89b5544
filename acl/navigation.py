"""Pure: may a screen be sent to this address (design §§9, 18)?

An address is read as a browser reads it (WHATWG URL standard), and what is allowed is handed on in that reading's own
spelling, so that nothing is left for the device to read differently. What the standard would silently mend (blanks and
controls that it strips, slashes that it adds) is refused before.

Checked are the words: a literal address, and a name. Where a name leads is known to the device alone, and a name may
lead elsewhere a moment later: that the address it reaches is not a private one is the device's duty.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from urllib.parse import unquote

import ada_url

from acl.model import Navigation

MAX_URL_CHARS = 16_384  # longer than any address that a browser's bar takes whole; bounds what a log or a store sees
MAX_HOST_CHARS = 253  # RFC 1035 section 2.3.4, without the dot at the end
NAVIGATING = frozenset({"screen.navigate", "canvas.navigate", "canvas.present"})
"""Commands that send a screen to an address."""
WEB_PORTS = frozenset({"", "80", "443"})  # an empty one is the scheme's own
LOWEST_FREE_PORT = 1_024  # below are services of the system, which understand more than HTTP

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(?![/\\])")
_CANVAS = re.compile(r"canvas://[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}(?=[/?#]|\Z)", re.IGNORECASE)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_PRIVATE_SUFFIXES = frozenset(
    {"localhost", "local", "localdomain", "internal", "intranet", "lan", "home", "corp", "private"}
)
"""Last labels that no public name has (RFC 6761, RFC 6762, ICANN's reserved ones, and what routers hand out)."""
# Protocol assignments and the relays of 6to4 (RFC 6890, RFC 7526): releases of Python differ about the former.
_SPECIAL_IPV4 = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))
# What every release of Python should call special and does not: protocols (with Teredo), documentation, and 6to4, which
# carries an IPv4 address and is out of use (RFC 7526).
_SPECIAL_IPV6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
_PUBLIC_IPV6 = IPv6Network("2000::/3")  # the only part that is given out: RFC 4291 section 2.4
# Scripts that are written together in one word (UTS 39, "highly restrictive"), as the names of their letters begin.
_TOGETHER = (
    frozenset({"LATIN", "CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"}),
    frozenset({"LATIN", "CJK", "HANGUL"}),
    frozenset({"LATIN", "CJK", "IDEOGRAPHIC", "BOPOMOFO"}),
)


class Fault(StrEnum):
    """Why an address may not be navigated to."""

    LENGTH = "length"
    """Empty, or longer than `MAX_URL_CHARS`, as it came or as it is handed on."""
    CHARACTERS = "characters"
    """Controls, invisible characters, or blanks around it."""
    SCHEME = "scheme"
    """Neither https, nor http where that is allowed, nor a canvas."""
    FORM = "form"
    """Not a full address: no host, a percent sign or a backslash in it, or nothing that a browser could read."""
    USERINFO = "userinfo"
    """A user name or a password before the host."""
    HOST = "host"
    """A dot at the end, an empty or an impossible label, or one that mixes scripts."""
    PORT = "port"
    """Port 0, or one of a service that is not the web, at a host that is not listed."""
    PRIVATE = "private"
    """A loopback, private or link-local address, or a name of the local network."""
    UNLISTED = "unlisted"
    """There is a list of hosts, and this is none of them."""
    CANVAS = "canvas"
    """A canvas address that is none, or that leads out of the canvas."""


FAULT_WORDS: dict[Fault, str] = {
    Fault.LENGTH: f"an address has 1 to {MAX_URL_CHARS} characters",
    Fault.CHARACTERS: "control characters, invisible characters and blanks around an address are refused",
    Fault.SCHEME: "only https and canvas addresses (http with allow_http in [screen.navigate] of policy.toml)",
    Fault.FORM: "not a full address with a host",
    Fault.USERINFO: "an address with a user name or a password is refused",
    Fault.HOST: "the host is malformed, ends in a dot or mixes scripts",
    Fault.PORT: "ports below 1024 other than 80 and 443 are for hosts listed in [screen.navigate] of policy.toml",
    Fault.PRIVATE: "loopback, private and link-local targets need allow_private in [screen.navigate] of policy.toml",
    Fault.UNLISTED: "the host is not listed in [screen.navigate] of policy.toml",
    Fault.CANVAS: "not an address inside a canvas",
}
"""What is said of each to whoever asked; none of it repeats the address."""


@dataclass(frozen=True, slots=True)
class Target:
    """An address that may be navigated to.

    Attributes:
        url: in the one spelling that is handed on.
        host: its host, an A-label or a literal address; of a canvas the session.
    """

    url: str = field(repr=False)
    host: str


def check(url: str, navigation: Navigation) -> Target | Fault:
    """Decides about an address. Checking the result's `url` again gives the same result.

    Args:
        url: as it was given.
        navigation: the owner's rules.
    """
    if not 0 < len(url) <= MAX_URL_CHARS:
        return Fault.LENGTH
    target = _target(url, navigation)
    return Fault.LENGTH if isinstance(target, Target) and len(target.url) > MAX_URL_CHARS else target


def destination(command: str | None, url: str | None) -> str | None:
    """Returns where a command would send a screen; None: nowhere, or to an older app's own page, which needs no leave.

    Args:
        command: any command.
        url: the address in its parameters; None: there is none.
    """
    is_own_page = url in {"", "/"} and command != "screen.navigate"
    return url if command in NAVIGATING and not is_own_page else None


def _target(url: str, navigation: Navigation) -> Target | Fault:
    if url != url.strip() or any(unicodedata.category(char) in _UNSEEN for char in url):
        return Fault.CHARACTERS
    scheme = _SCHEME.match(url)
    if scheme is None:
        return Fault.FORM if url.lower().startswith(("https:", "http:", "//")) else Fault.SCHEME
    match scheme[1].lower():
        case "canvas":
            return _canvas(url)
        case "https":
            return _web(url, scheme.end(), navigation)
        case "http" if navigation.allow_http:
            return _web(url, scheme.end(), navigation)
        case _:
            return Fault.SCHEME


def _canvas(url: str) -> Target | Fault:
    session = _CANVAS.match(url)
    if session is None:
        return Fault.CANVAS
    path = unquote(re.split(r"[?#]", url[session.end() :])[0])  # as it stands: reading it would resolve the dots
    if "%" in path or "\\" in path or any(segment in {".", ".."} for segment in path.split("/")):
        return Fault.CANVAS
    if any(unicodedata.category(char) in _UNSEEN for char in path):
        return Fault.CANVAS
    parsed = _read(url)
    return Fault.CANVAS if parsed is None else Target(parsed.href, parsed.hostname)


def _read(url: str) -> ada_url.URL | None:
    try:
        return ada_url.URL(url)
    except ValueError:
        return None


def _web(url: str, start: int, navigation: Navigation) -> Target | Fault:
    before_query = re.split(r"[?#]", url[start:])[0]
    if "\\" in before_query or "%" in (authority := before_query.split("/")[0]):
        return Fault.FORM
    if "@" in authority:
        return Fault.USERINFO
    parsed = _read(url)
    if parsed is None or not parsed.hostname:
        return Fault.FORM
    host = parsed.hostname
    fault = _host_fault(host, literal=parsed.host_type != ada_url.HostType.DEFAULT)
    fault = fault or _port_fault(parsed.port, host, navigation)
    if fault is None and not navigation.allow_private and is_private(host):
        fault = Fault.PRIVATE
    if fault is None and navigation.hosts and not _listed(host, navigation.hosts):
        fault = Fault.UNLISTED
    return fault or Target(parsed.href, host)


def _host_fault(host: str, *, literal: bool) -> Fault | None:
    if literal:
        return None
    labels = host.split(".")
    if len(host) > MAX_HOST_CHARS or not all(_LABEL.fullmatch(label) and _is_readable(label) for label in labels):
        return Fault.HOST
    return None


def _is_readable(label: str) -> bool:
    """Whether a label is what a person can read: an A-label that means something, in letters that belong together."""
    if not label.startswith("xn--"):
        return True
    shown = ada_url.idna_to_unicode(label)
    if shown == label or ada_url.idna_to_ascii(shown) != label.encode():
        return False
    scripts = {unicodedata.name(char, "?").split(" ")[0] for char in shown if char.isalpha()}
    return len(scripts) <= 1 or any(scripts <= together for together in _TOGETHER)


def _port_fault(port: str, host: str, navigation: Navigation) -> Fault | None:
    if port in WEB_PORTS or int(port) >= LOWEST_FREE_PORT:
        return None
    return None if host in navigation.hosts and port != "0" else Fault.PORT


def _listed(host: str, patterns: tuple[str, ...]) -> bool:
    return any(host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern for pattern in patterns)


def is_private(host: str) -> bool:
    """Whether a host as the standard spells it (A-labels, literal addresses normalised) is of the local network.

    That holds for every literal address outside the ranges that are routed to everybody, for 6to4 addresses, for names
    of one label, and for names below a suffix that no public name has.
    """
    if host.startswith("["):
        return not _is_public6(IPv6Address(host[1:-1]))
    try:
        return not _is_public4(IPv4Address(host))
    except ValueError:
        labels = host.split(".")
        return len(labels) == 1 or labels[-1] in _PRIVATE_SUFFIXES or labels[-2:] == ["home", "arpa"]


def _is_public4(address: IPv4Address) -> bool:
    if any(address in network for network in _SPECIAL_IPV4):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _is_public6(address: IPv6Address) -> bool:
    # What else carries an IPv4 address (mapped, compatible, translated by NAT64) lies outside 2000::/3.
    special = any(address in network for network in _SPECIAL_IPV6)
    return address in _PUBLIC_IPV6 and address.is_global and not special


def host_of(url: str) -> str:
    """Returns the host of a web or canvas address, for a trace: never user, path or query; empty when it has none."""
    parsed = _read(url) if len(url) <= MAX_URL_CHARS and url.isprintable() else None
    known = parsed is not None and parsed.protocol in {"https:", "http:", "canvas:"}
    return parsed.hostname[:MAX_HOST_CHARS] if parsed is not None and known else ""


def host_pattern(written: str) -> str | None:
    """Returns an entry of `hosts` in the spelling in which it is compared with addresses; None: it can match no host.

    Args:
        written: a host, or `*.example.com`, which means every name below `example.com` and not that name itself. It is
            a pattern as it stands when it is what is returned: A-labels in lower case, or a literal address.
    """
    name = written.removeprefix("*.")
    parsed = _read(f"https://{name}/")
    if parsed is None or not name or parsed.port or parsed.username or parsed.pathname != "/":
        return None
    literal = parsed.host_type != ada_url.HostType.DEFAULT
    if _host_fault(parsed.hostname, literal=literal) or (literal and name != written):
        return None
    return written[: len(written) - len(name)] + parsed.hostname
