"""The bridge certificate, field by field, and what is not signed."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.issue import build_bridge_certificate, new_bridge_key
from certs.pins import certificate_pin, spki_hash
from tests.certs.self_signed import require_self_signed

NOW = datetime(2026, 11, 21, 8, 30, 15, 123456, tzinfo=UTC)
HOST = "clawdis-bridge-0a1b2c3d.local"
KEY = new_bridge_key()
CERTIFICATE = build_bridge_certificate(KEY, HOST, now=NOW)


def test_a_new_key_is_p256_and_fresh() -> None:
    assert isinstance(KEY.curve, ec.SECP256R1)
    assert spki_hash(new_bridge_key().public_key()) != spki_hash(KEY.public_key())


def test_the_certificate_is_for_the_key_and_signed_by_it() -> None:
    assert spki_hash(CERTIFICATE.public_key()) == spki_hash(KEY.public_key())
    require_self_signed(CERTIFICATE)


def test_it_is_back_dated_by_a_day_and_lasts_ten_years() -> None:
    assert CERTIFICATE.not_valid_before_utc == datetime(2026, 11, 20, 8, 30, 15, tzinfo=UTC)
    assert CERTIFICATE.not_valid_after_utc == datetime(2036, 11, 20, 8, 30, 15, tzinfo=UTC)


def test_the_subject_is_the_host_and_the_issuer_the_same() -> None:
    names = CERTIFICATE.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert [name.value for name in names] == [HOST]
    assert CERTIFICATE.issuer == CERTIFICATE.subject


def test_the_alternative_names_are_the_host_localhost_and_the_key_and_no_address() -> None:
    extension = CERTIFICATE.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert extension.value.get_values_for_type(x509.DNSName) == [HOST, "localhost"]
    assert extension.value.get_values_for_type(x509.UniformResourceIdentifier) == [
        f"urn:clawdis-bridge:spki:sha256:{spki_hash(KEY.public_key())}"
    ]
    assert len(list(extension.value)) == 3
    assert not extension.critical


def test_it_is_an_end_entity_that_cannot_sign_others() -> None:
    constraints = CERTIFICATE.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca
    usage = CERTIFICATE.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    assert not usage.value.crl_sign
    assert not usage.value.key_agreement


def test_it_serves_and_does_nothing_else() -> None:
    usage = CERTIFICATE.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert list(usage.value) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_the_extensions_are_exactly_these() -> None:
    names = sorted(extension.oid._name for extension in CERTIFICATE.extensions)
    assert names == ["basicConstraints", "extendedKeyUsage", "keyUsage", "subjectAltName", "subjectKeyIdentifier"]


def test_two_certificates_of_one_key_have_other_serials_and_pins() -> None:
    again = build_bridge_certificate(KEY, HOST, now=NOW)
    assert again.serial_number != CERTIFICATE.serial_number
    assert certificate_pin(again) != certificate_pin(CERTIFICATE)
    assert 0 < again.serial_number < 1 << 159


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost",
        "bridge",
        ".local",
        "-bridge.local",
        "bridge-.local",
        "Bridge.local",
        "bridge.local.",
        "a.b.local",
        "bridge.local\n",
        "bri dge.local",
        "brücke.local",
        "*.local",
        "192.0.2.2",
        f"{'a' * 59}.local",
    ],
)
def test_a_host_that_is_no_local_name_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="is no host name"):
        build_bridge_certificate(KEY, host, now=NOW)


def test_the_longest_host_is_taken() -> None:
    host = f"{'a' * 58}.local"
    certificate = build_bridge_certificate(KEY, host, now=NOW)
    assert certificate.subject.rfc4514_string() == f"CN={host}"


@pytest.mark.parametrize("now", [NOW.replace(tzinfo=None), NOW.astimezone(timezone(timedelta(hours=1)))])
def test_a_time_that_is_not_utc_is_refused(now: datetime) -> None:
    with pytest.raises(ValueError, match="UTC"):
        build_bridge_certificate(KEY, HOST, now=now)


def test_a_key_on_another_curve_is_refused() -> None:
    with pytest.raises(ValueError, match="secp384r1"):
        build_bridge_certificate(ec.generate_private_key(ec.SECP384R1()), HOST, now=NOW)
