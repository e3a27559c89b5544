"""The client authority's certificate, field by field, and what it must not be able to do."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from certs.authority import ClientAuthority, build_authority_certificate
from certs.issue import key_usage, new_bridge_key
from certs.keys import node_id_of
from tests.certs.self_signed import require_self_signed

NOW = datetime(2026, 11, 21, 8, 30, 15, 123456, tzinfo=UTC)
KEY = new_bridge_key()
CERTIFICATE = build_authority_certificate(KEY, now=NOW)


def test_it_is_self_signed_with_sha256() -> None:
    require_self_signed(CERTIFICATE)


def test_it_is_back_dated_by_a_day_and_lasts_twenty_years() -> None:
    assert CERTIFICATE.not_valid_before_utc == datetime(2026, 11, 20, 8, 30, 15, tzinfo=UTC)
    assert CERTIFICATE.not_valid_after_utc == datetime(2046, 11, 21, 8, 30, 15, tzinfo=UTC)


def test_two_bridges_have_authorities_of_two_names() -> None:
    names = [name.value for name in CERTIFICATE.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    assert names == [f"Clawdis Bridge client authority {node_id_of(KEY.public_key())[:8]}"]
    assert build_authority_certificate(new_bridge_key(), now=NOW).subject != CERTIFICATE.subject


def test_it_signs_end_entities_and_nothing_else() -> None:
    constraints = CERTIFICATE.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value.ca
    assert constraints.value.path_length == 0
    usage = CERTIFICATE.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value == key_usage(certificates=True)
    assert usage.value.key_cert_sign


def test_the_extensions_are_exactly_these() -> None:
    names = sorted(extension.oid._name for extension in CERTIFICATE.extensions)
    assert names == ["basicConstraints", "keyUsage", "subjectKeyIdentifier"]


@pytest.mark.parametrize("now", [NOW.replace(tzinfo=None), NOW.astimezone(timezone(timedelta(hours=1)))])
def test_a_time_that_is_not_utc_is_refused(now: datetime) -> None:
    with pytest.raises(ValueError, match="UTC"):
        build_authority_certificate(KEY, now=now)


def test_a_key_on_another_curve_is_refused() -> None:
    with pytest.raises(ValueError, match="secp384r1"):
        build_authority_certificate(ec.generate_private_key(ec.SECP384R1()), now=NOW)


def test_the_key_is_not_printed() -> None:
    authority = ClientAuthority(CERTIFICATE, KEY)
    assert repr(authority) == "ClientAuthority(created=False)"
    assert authority.der == CERTIFICATE.public_bytes(Encoding.DER)
