"""Fingerprints and their spellings."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from certs.pins import normalise_pin, pin_of_der, same_pin, spki_hash

DIGITS = hashlib.sha256(b"certificate").hexdigest()
PAIRS = ":".join(DIGITS[i : i + 2] for i in range(0, 64, 2))

hex_pins = st.binary(min_size=32, max_size=32).map(bytes.hex)


def test_the_pin_is_the_sha256_of_the_der() -> None:
    assert pin_of_der(b"certificate") == DIGITS


def test_the_spki_hash_of_a_known_ed25519_key() -> None:
    # RFC 8410 section 10.1: the SPKI of an Ed25519 key is a 12-byte prefix and the raw key.
    raw = Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key()
    der = bytes.fromhex("302a300506032b6570032100") + raw.public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert spki_hash(raw) == hashlib.sha256(der).hexdigest()


@pytest.mark.parametrize(
    "spelling",
    [
        DIGITS,
        DIGITS.upper(),
        PAIRS,
        PAIRS.upper(),
        f"sha256:{DIGITS}",
        f"SHA256:{PAIRS.upper()}",
        f"SHA-256:{DIGITS}",
        f"  {DIGITS}\n",
    ],
)
def test_every_spelling_of_a_pin_comes_to_the_same_digits(spelling: str) -> None:
    assert normalise_pin(spelling) == DIGITS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256:",
        DIGITS[:-1],
        DIGITS + "0",
        DIGITS[:-1] + "g",
        PAIRS[:-3],
        PAIRS + ":",
        PAIRS.replace(":", "", 1),
        PAIRS.replace(":", "-"),
        f"sha1:{DIGITS}",
        f"sha256:sha256:{DIGITS}",
        f"{DIGITS[:32]} {DIGITS[32:]}",
        f"{DIGITS}\n{DIGITS}",
        # Arabic-Indic digits are digits to Python's int, not to a pin; the long s becomes an S in upper case.
        "\u0660" * 64,
        f"\u017fha256:{DIGITS}",
        "0" * 1_000_000,
    ],
)
def test_anything_else_is_no_pin(text: str) -> None:
    with pytest.raises(ValueError, match="a pin is 64 hexadecimal digits") as caught:
        normalise_pin(text)
    assert DIGITS not in str(caught.value)


@given(st.text(max_size=140))
def test_normalising_gives_64_digits_or_a_value_error(text: str) -> None:
    try:
        pin = normalise_pin(text)
    except ValueError:
        return
    assert len(pin) == 64
    assert set(pin) <= set("0123456789abcdef")
    assert normalise_pin(pin) == pin


@given(hex_pins, hex_pins)
def test_two_pins_are_the_same_only_when_their_digits_are(one: str, other: str) -> None:
    assert same_pin(one, f"sha256:{one.upper()}")
    assert same_pin(one, other) == (one == other)


@given(hex_pins, st.integers(min_value=0, max_value=255))
def test_one_flipped_bit_makes_another_pin(pin: str, bit: int) -> None:
    flipped = f"{int(pin, 16) ^ (1 << bit):064x}"
    assert not same_pin(pin, flipped)


@pytest.mark.parametrize("text", ["", "none", DIGITS[:-1]])
def test_a_text_that_is_no_pin_equals_nothing(text: str) -> None:
    assert not same_pin(text, text)
    assert not same_pin(DIGITS, text)
    assert not same_pin(text, DIGITS)
