r"""Pure: the format of a backup: named members in one encrypted file.

    magic           22 bytes  "clawdis-bridge backup\n"
    version         1 byte    1
    log2 N, r, p    1 byte each: the cost of scrypt (RFC 7914)
    salt            16 bytes
    nonce           12 bytes
    ciphertext      AES-256-GCM (NIST SP 800-38D) of the payload, all of the above authenticated with it
    checksum        32 bytes  SHA-256 of everything before it

The payload is a 4-byte big-endian length, a manifest of that length (JSON: when, by which version, name and size of
each member) and the members' bytes in that order. Nothing is compressed, so nothing can unfold beyond its own size.

The checksum has no key. It tells a damaged file from a wrong passphrase as long as nobody meant harm; what protects
against harm is the authenticated encryption.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import re
import struct
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

MAGIC = b"clawdis-bridge backup\n"
VERSION = 1
SALT_BYTES = 16
NONCE_BYTES = 12
KEY_BYTES = 32  # AES-256
TAG_BYTES = 16
CHECKSUM_BYTES = 32
MAX_MEMBERS = 16384  # 4096 nodes with one key in use and two to be removed at the gateway, and a handful of files
MAX_MANIFEST_BYTES = 4 * 1024 * 1024  # bytes: 16384 members at up to 150 bytes each are 2.4 MB
# Bytes: the store (16 MiB), the database (64 MiB), 16384 keys of some 400 bytes (7 MB), and room. While one is read,
# three times as much is in memory.
MAX_ARCHIVE_BYTES = 128 * 1024 * 1024

_HEADER = struct.Struct(f">{len(MAGIC)}sBBBB{SALT_BYTES}s{NONCE_BYTES}s")
_LENGTH = struct.Struct(">I")
_SHORTEST = _HEADER.size + TAG_BYTES + CHECKSUM_BYTES
# Every zone can say a moment between these; the calendar ends beyond.
_EARLIEST, _LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
_NAME = re.compile(r"(?:keys/)?[a-z0-9][a-z0-9._-]{0,95}")


class ArchiveRefused(Exception):
    """Bytes that are no backup, or no backup for this passphrase; or members that cannot go into one."""


class WrongPassphrase(ArchiveRefused):
    """The file is undamaged and does not open: another passphrase, or a file that was changed on purpose."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one guess at the passphrase costs: 128 · r · 2^log2_n bytes of memory, p times (RFC 7914 section 2).

    As shipped 128 MiB and about half a second. A file names its own cost, so a reader accepts 16 to 256 MiB with r = 8
    and p = 1 and nothing else: a hostile file cannot make it take more.
    """

    log2_n: int = 17
    r: int = 8
    p: int = 1

    def __post_init__(self) -> None:
        if not 14 <= self.log2_n <= 18 or (self.r, self.p) != (8, 1):
            raise ArchiveRefused("its key takes another amount of work than any backup of this program")


SHIPPED_COST = Cost()


class Member(BaseModel):
    """One line of the manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    size: int = Field(ge=0, le=MAX_ARCHIVE_BYTES)


class Manifest(BaseModel):
    """What the payload holds."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, alias_generator=to_camel, populate_by_name=True)

    created_at: AwareDatetime = Field(ge=_EARLIEST, le=_LATEST)
    made_by: str = Field(max_length=64)
    members: tuple[Member, ...] = Field(max_length=MAX_MEMBERS)


@dataclass(frozen=True, slots=True)
class Archive:
    """The content of a backup.

    Attributes:
        created_at: when it was made, aware UTC.
        made_by: the version of the program that made it.
        members: bytes by name: `name` or `keys/name`, lower case.
    """

    created_at: AwareDatetime
    made_by: str
    members: Mapping[str, bytes] = field(repr=False)


def pack(archive: Archive, passphrase: str, *, salt: bytes, nonce: bytes, cost: Cost = SHIPPED_COST) -> bytes:
    """Returns the file.

    Args:
        archive: what goes in.
        passphrase: text; how its accents were typed makes no difference.
        salt: 16 random bytes.
        nonce: 12 random bytes.
        cost: of one guess.

    Raises:
        ArchiveRefused: a name that no backup may hold, too many members, or too many bytes.
    """
    sizes = tuple(Member(name=name, size=len(data)) for name, data in archive.members.items())
    if len(sizes) > MAX_MEMBERS:
        raise ArchiveRefused(f"there are more than {MAX_MEMBERS} files")
    manifest = Manifest(created_at=archive.created_at, made_by=archive.made_by, members=sizes)
    _require_names(manifest)
    text = manifest.model_dump_json(by_alias=True).encode("utf-8")
    payload = b"".join([_LENGTH.pack(len(text)), text, *archive.members.values()])
    if len(payload) + _SHORTEST > MAX_ARCHIVE_BYTES:
        raise ArchiveRefused(f"the files together are longer than {MAX_ARCHIVE_BYTES} bytes")
    header = _HEADER.pack(MAGIC, VERSION, cost.log2_n, cost.r, cost.p, salt, nonce)
    sealed = header + AESGCM(_key(passphrase, salt, cost)).encrypt(nonce, payload, header)
    return sealed + hashlib.sha256(sealed).digest()


def unpack(data: bytes, passphrase: str) -> Archive:
    """Returns the content of the file.

    Raises:
        WrongPassphrase: see there.
        ArchiveRefused: no backup, a damaged or shortened one, or one of a version that this program cannot read.
    """
    header, sealed = _checked(data)
    _, _, log2_n, r, p, salt, nonce = _HEADER.unpack(header)
    key = _key(passphrase, salt, Cost(log2_n, r, p))
    try:
        payload = AESGCM(key).decrypt(nonce, sealed, header)
    except InvalidTag:
        raise WrongPassphrase(
            "the passphrase is another one; or someone has changed the file on purpose, its checksum included"
        ) from None
    return _read_payload(payload)


def _checked(data: bytes) -> tuple[bytes, bytes]:
    """Header and ciphertext of a file that is whole; nothing costly has been done by then."""
    if not data.startswith(MAGIC):
        raise ArchiveRefused("it is no backup of clawdis-bridge")
    if len(data) > MAX_ARCHIVE_BYTES:
        raise ArchiveRefused(f"it is longer than {MAX_ARCHIVE_BYTES} bytes, the longest backup there can be")
    if len(data) < _SHORTEST:
        raise ArchiveRefused("it is damaged: its end is missing")
    if data[len(MAGIC)] != VERSION:
        raise ArchiveRefused(f"it has version {data[len(MAGIC)]} or is damaged; this program reads version {VERSION}")
    sealed, checksum = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
    if not hmac.compare_digest(hashlib.sha256(sealed).digest(), checksum):
        raise ArchiveRefused("it is damaged or shortened: its checksum does not fit")
    return sealed[: _HEADER.size], sealed[_HEADER.size :]


def _key(passphrase: str, salt: bytes, cost: Cost) -> bytes:
    text = unicodedata.normalize("NFC", passphrase).encode("utf-8")
    try:
        return Scrypt(salt=salt, length=KEY_BYTES, n=1 << cost.log2_n, r=cost.r, p=cost.p).derive(text)
    except MemoryError:
        need = 128 * cost.r << cost.log2_n
        raise ArchiveRefused(f"there is too little memory: its key takes {need >> 20} MiB") from None


def _read_payload(payload: bytes) -> Archive:
    """The members of an authentic payload; checked all the same, because whoever made it may be wrong."""
    try:
        (length,) = _LENGTH.unpack_from(payload)
        if length > MAX_MANIFEST_BYTES:
            raise ArchiveRefused("its list of members is too long")
        content = _LENGTH.size + length
        manifest = Manifest.model_validate_json(payload[_LENGTH.size : content])
    except (struct.error, ValidationError):
        raise ArchiveRefused("its list of members cannot be read") from None
    _require_names(manifest)
    ends = list(itertools.accumulate((one.size for one in manifest.members), initial=content))
    if ends[-1] != len(payload):
        raise ArchiveRefused("its members are longer or shorter than its list says")
    members = {
        one.name: payload[begin:end]
        for one, (begin, end) in zip(manifest.members, itertools.pairwise(ends), strict=True)
    }
    return Archive(manifest.created_at, manifest.made_by, members)


def _require_names(manifest: Manifest) -> None:
    """Raises ArchiveRefused unless every name stays in its folder and is there once."""
    names = [one.name for one in manifest.members]
    wrong = next((name for name in names if not _NAME.fullmatch(name)), None)
    if wrong is not None:
        raise ArchiveRefused(f"a member has the name {wrong[:100]!r}, which no backup may hold")
    if len(set(names)) != len(names):
        raise ArchiveRefused("two members have one name")
