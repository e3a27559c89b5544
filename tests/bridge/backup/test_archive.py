"""The format of a backup: it comes back whole for the right passphrase, and is refused for whatever else."""

from __future__ import annotations

import hashlib
import json
import random
import struct
import subprocess
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.backup.archive import (
    MAGIC,
    MAX_ARCHIVE_BYTES,
    MAX_MANIFEST_BYTES,
    MAX_MEMBERS,
    Archive,
    ArchiveRefused,
    Cost,
    WrongPassphrase,
    pack,
    unpack,
)
from tests.bridge.backup.homes import PHRASE, QUICK, archive_of, packed
from tests.bridge.pairing.samples import NOON
from tests.support import scale

ROOT = Path(__file__).parents[3]
MEMBERS = {"bridge.toml": b"x" * 300, "keys/bridge.pem": b"\x00\xff" * 50, "names.json": b""}
PACKED = packed(MEMBERS)
HEADER = len(MAGIC) + 1 + 3 + 16 + 12


def sealed_anew(data: bytes) -> bytes:
    """A file whose checksum fits again after a change."""
    return data[:-32] + hashlib.sha256(data[:-32]).digest()


def with_payload(payload: bytes) -> bytes:
    """An authentic file of any payload, made without the product's code."""
    header = MAGIC + bytes([1, 14, 8, 1]) + b"s" * 16 + b"n" * 12
    key = Scrypt(salt=b"s" * 16, length=32, n=2**14, r=8, p=1).derive(PHRASE.encode())
    whole = header + AESGCM(key).encrypt(b"n" * 12, payload, header)
    return whole + hashlib.sha256(whole).digest()


def payload_of(members: Sequence[Mapping[str, object]], content: bytes, **changes: object) -> bytes:
    manifest = {"createdAt": "2026-11-21T12:00:00Z", "madeBy": "0.1.0", "members": members, **changes}
    text = json.dumps(manifest).encode()
    return struct.pack(">I", len(text)) + text + content


class TestRoundTrip:
    def test_what_goes_in_comes_out(self) -> None:
        assert unpack(PACKED, PHRASE) == archive_of(MEMBERS)

    def test_it_is_the_format_that_the_module_describes(self) -> None:
        ours = with_payload(
            payload_of(
                [{"name": name, "size": len(data)} for name, data in MEMBERS.items()], b"".join(MEMBERS.values())
            )
        )
        assert unpack(ours, PHRASE) == archive_of(MEMBERS)

    @settings(max_examples=scale.scale(100))  # each derives two keys
    @given(
        st.dictionaries(st.from_regex(r"(keys/)?[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True), st.binary(max_size=200))
    )
    def test_any_members(self, members: dict[str, bytes]) -> None:
        assert unpack(packed(members), PHRASE).members == members

    def test_the_accents_of_a_passphrase_may_be_typed_either_way(self) -> None:
        one, other = (unicodedata.normalize(form, "gr\u00fcne \u00c4pfel") for form in ("NFC", "NFD"))
        assert one != other
        assert unpack(packed(MEMBERS, one), other).members == MEMBERS

    def test_as_shipped_a_guess_costs_128_mib(self) -> None:
        data = pack(archive_of(MEMBERS), PHRASE, salt=b"s" * 16, nonce=b"n" * 12)
        assert data[len(MAGIC) : len(MAGIC) + 4] == bytes([1, 17, 8, 1])
        assert unpack(data, PHRASE).members == MEMBERS

    def test_nothing_of_it_is_readable_and_nothing_is_shown(self) -> None:
        secret = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
        assert secret not in packed({"keys/bridge.pem": secret})
        assert "PRIVATE" not in repr(archive_of({"keys/bridge.pem": secret}))


class TestRefusals:
    @pytest.mark.parametrize("passphrase", ["", PHRASE + " ", PHRASE.upper(), "\U0001f40e" * 200])
    def test_another_passphrase_is_told_from_a_damaged_file(self, passphrase: str) -> None:
        with pytest.raises(WrongPassphrase, match="passphrase is another one"):
            unpack(PACKED, passphrase)

    def test_cut_at_any_byte(self) -> None:
        for length in range(len(PACKED)):
            with pytest.raises(ArchiveRefused) as refused:
                unpack(PACKED[:length], PHRASE)
            assert not isinstance(refused.value, WrongPassphrase)

    def test_lengthened(self) -> None:
        for more in (b"\0", PACKED, b"\0" * 4096):
            with pytest.raises(ArchiveRefused, match="checksum"):
                unpack(PACKED + more, PHRASE)

    def test_every_flipped_bit(self) -> None:
        """Without the checksum (its comparison taken out) the tag still refuses, but names the passphrase: red."""
        for at in range(len(PACKED)):
            for bit in range(8):
                changed = PACKED[:at] + bytes([PACKED[at] ^ 1 << bit]) + PACKED[at + 1 :]
                with pytest.raises(ArchiveRefused) as refused:
                    unpack(changed, PHRASE)
                assert not isinstance(refused.value, WrongPassphrase)

    def test_changed_on_purpose_with_a_checksum_that_fits(self) -> None:
        """Without the header as associated data a changed cost or salt would be refused all the same; the tag is what
        counts: with `decrypt` replaced by cutting the tag off, this is red."""
        chance = random.Random(scale.seed())  # noqa: S311 - the chance of a test
        for _ in range(scale.scale(500)):
            at, bit = chance.randrange(HEADER - 28, len(PACKED) - 32), 1 << chance.randrange(8)
            changed = sealed_anew(PACKED[:at] + bytes([PACKED[at] ^ bit]) + PACKED[at + 1 :])
            with pytest.raises(WrongPassphrase, match="changed the file on purpose"):
                unpack(changed, PHRASE)

    @pytest.mark.parametrize("data", [b"", b"PK\x03\x04" * 100, b"{}", MAGIC[:-1], b"\0" * 4096])
    def test_another_kind_of_file(self, data: bytes) -> None:
        with pytest.raises(ArchiveRefused, match="no backup of clawdis-bridge"):
            unpack(data, PHRASE)

    def test_a_newer_version(self) -> None:
        newer = sealed_anew(PACKED[: len(MAGIC)] + b"\x02" + PACKED[len(MAGIC) + 1 :])
        with pytest.raises(ArchiveRefused, match="version 2"):
            unpack(newer, PHRASE)

    @pytest.mark.parametrize(
        "cost", [(13, 8, 1), (19, 8, 1), (63, 8, 1), (255, 255, 255), (17, 9, 1), (14, 8, 2), (0, 0, 0)]
    )
    def test_a_hostile_file_cannot_choose_what_it_costs(self, cost: tuple[int, int, int]) -> None:
        """Without the bound in `Cost` the machine would be asked for up to 2^255 blocks: red (or dead)."""
        at = len(MAGIC) + 1
        hostile = sealed_anew(PACKED[:at] + bytes(cost) + PACKED[at + 3 :])
        with pytest.raises(ArchiveRefused, match="another amount of work"):
            unpack(hostile, PHRASE)

    def test_a_machine_without_the_memory_says_so(self) -> None:
        program = (
            "import resource, sys\n"
            "from bridge.backup.archive import ArchiveRefused, unpack\n"
            "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
            "resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20),) * 2)\n"
            "try: unpack(sys.stdin.buffer.read(), 'x')\n"
            "except ArchiveRefused as error: print(error)\n"
        )
        data = pack(archive_of(MEMBERS), PHRASE, salt=b"s" * 16, nonce=b"n" * 12)
        done = subprocess.run(
            [sys.executable, "-c", program], input=data, cwd=ROOT, capture_output=True, timeout=30, check=True
        )
        assert done.stdout == b"there is too little memory: its key takes 128 MiB\n"

    def test_longer_than_any_backup(self) -> None:
        with pytest.raises(ArchiveRefused, match="longer than"):
            unpack(MAGIC + bytes(MAX_ARCHIVE_BYTES), PHRASE)

    @given(st.binary(max_size=300))
    def test_any_bytes_are_refused_and_nothing_else_is_raised(self, data: bytes) -> None:
        for each in (data, MAGIC + data, sealed_anew(MAGIC + b"\x01" + data + b"\0" * 128)):
            with pytest.raises(ArchiveRefused):
                unpack(each, PHRASE)


HOSTILE_NAMES = [
    "../paired-nodes.json", "keys/../../x", "/etc/passwd", "keys/", "keys", "", ".", "..", "keys/..", "keys//x", "a/b",
    "keys/a/b", "Keys/x", "bridge.TOML", "-rf", ".bridge.pem.new", "a\\b", "a\0b", "a\nb", "a\n", "gr\u00fcn", "~",
    "x" * 200,
]  # fmt: skip


class TestAuthenticButWrong:
    """Whoever knows the passphrase may still have made it wrong."""

    @pytest.mark.parametrize("name", [name for name in HOSTILE_NAMES if name != "keys"])
    def test_a_name_that_could_leave_the_folder(self, name: str) -> None:
        """With `_require_names` taken out of `_read_payload` these reach the caller: red."""
        with pytest.raises(ArchiveRefused, match="name"):
            unpack(with_payload(payload_of([{"name": name, "size": 1}], b"x")), PHRASE)
        with pytest.raises(ArchiveRefused, match="name"):
            packed({name: b"x"})

    def test_two_members_of_one_name(self) -> None:
        with pytest.raises(ArchiveRefused, match="one name"):
            unpack(with_payload(payload_of([{"name": "a", "size": 1}] * 2, b"xy")), PHRASE)

    @pytest.mark.parametrize("size", [0, 2, 2**20, 2**27])
    def test_sizes_that_the_file_does_not_have(self, size: int) -> None:
        with pytest.raises(ArchiveRefused, match="longer or shorter"):
            unpack(with_payload(payload_of([{"name": "a", "size": size}], b"x")), PHRASE)

    @pytest.mark.parametrize("size", [-1, 2**27 + 1, 2**63, 10**400, 1.0, "1", None, True])
    def test_sizes_that_are_none(self, size: object) -> None:
        with pytest.raises(ArchiveRefused, match="cannot be read"):
            unpack(with_payload(payload_of([{"name": "a", "size": size}], b"x")), PHRASE)

    @pytest.mark.parametrize(
        "payload",
        [
            b"",
            b"\0\0\0",
            b"\0\0\0\x05{}",
            struct.pack(">I", 2) + b"[]",
            struct.pack(">I", MAX_MANIFEST_BYTES + 1) + payload_of([], b"")[4:].ljust(MAX_MANIFEST_BYTES + 1),
            struct.pack(">I", 200_000) + b"[" * 200_000,
            payload_of([], b"", createdAt="2026-11-21T12:00:00"),
            payload_of([], b"", extra=1),
            payload_of([{"name": "a", "size": 0, "mode": 0o777}], b""),
        ],
        ids=range(9),
    )
    def test_a_list_of_members_that_is_none(self, payload: bytes) -> None:
        with pytest.raises(ArchiveRefused):
            unpack(with_payload(payload), PHRASE)

    @pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
    def test_a_moment_that_no_other_zone_can_say(self, moment: str) -> None:
        """With the bounds taken out the restore is done, and then its report is a traceback: red."""
        with pytest.raises(ArchiveRefused, match="cannot be read"):
            unpack(with_payload(payload_of([], b"", createdAt=moment)), PHRASE)

    def test_a_flood_of_members(self) -> None:
        many = [{"name": f"k{number}", "size": 0} for number in range(MAX_MEMBERS + 1)]
        with pytest.raises(ArchiveRefused, match="cannot be read"):
            unpack(with_payload(payload_of(many, b"")), PHRASE)
        with pytest.raises(ArchiveRefused, match="more than"):
            packed({str(each["name"]): b"" for each in many})
        kept = {str(each["name"]): b"" for each in many[:-1]}
        assert len(unpack(packed(kept), PHRASE).members) == MAX_MEMBERS

    def test_more_bytes_than_any_backup(self) -> None:
        with pytest.raises(ArchiveRefused, match="longer than"):
            packed({"bridge.sqlite3": bytes(MAX_ARCHIVE_BYTES)})


def test_a_cost_is_checked_when_it_is_chosen() -> None:
    with pytest.raises(ArchiveRefused):
        Cost(log2_n=20)
    assert QUICK.log2_n == 14


def test_an_archive_keeps_when_and_by_what_it_was_made() -> None:
    opened = unpack(pack(Archive(NOON, "9.9", {}), PHRASE, salt=b"s" * 16, nonce=b"n" * 12, cost=QUICK), PHRASE)
    assert (opened.created_at, opened.made_by) == (NOON, "9.9")
