"""A node's certificate: written field by field from the key alone, and read back with suspicion."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store
from hypothesis import given
from hypothesis import strategies as st

from certs.authority import build_authority_certificate
from certs.issue import key_usage, new_bridge_key
from certs.keys import KeyRefused, NodePrivateKey, node_id_of, spki_der
from certs.leaf import MAX_LEAF_BYTES, NODE_URN, LeafPermit, LeafRefused, issue_leaf, read_leaf
from certs.pins import spki_hash

NOW = datetime(2026, 11, 21, 8, 30, 15, 123456, tzinfo=UTC)
CA_KEY = new_bridge_key()
CA = build_authority_certificate(CA_KEY, now=NOW)
KEYS: list[NodePrivateKey] = [ec.generate_private_key(ec.SECP256R1()), Ed25519PrivateKey.generate()]
both = pytest.mark.parametrize("key", KEYS, ids=["P-256", "Ed25519"])
Extensions = list[x509.ExtensionType]


def permit_of(key: NodePrivateKey) -> LeafPermit:
    return LeafPermit(node_id_of(key.public_key()), spki_der(key.public_key()))


def leaf_of(key: NodePrivateKey) -> x509.Certificate:
    return issue_leaf(permit_of(key), CA_KEY, CA, now=NOW)


LEAF = leaf_of(KEYS[0])
DER = LEAF.public_bytes(Encoding.DER)
SERIAL_AT = 15  # after two headers of a sequence, the version and the header of the number
negative = pytest.mark.filterwarnings("ignore:Parsed a serial number")  # `cryptography` reads it, and says so


def names_of(key: NodePrivateKey) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([
        x509.UniformResourceIdentifier(f"urn:clawdis-bridge:node:{node_id_of(key.public_key())}"),
        x509.UniformResourceIdentifier(f"urn:clawdis-bridge:spki:sha256:{spki_hash(key.public_key())}"),
    ])  # fmt: skip


def good_extensions() -> Extensions:
    return [
        x509.BasicConstraints(ca=False, path_length=None),
        key_usage(data=True),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]),
        names_of(KEYS[0]),
    ]


def signed(extensions: Extensions, key: NodePrivateKey | rsa.RSAPrivateKey = KEYS[0]) -> bytes:
    """Return a certificate that the authority signed, with these extensions."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node")])
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(CA_KEY, hashes.SHA256()).public_bytes(Encoding.DER)


class TestIssuing:
    @both
    def test_it_is_for_the_key_and_signed_by_the_authority(self, key: NodePrivateKey) -> None:
        leaf = leaf_of(key)
        der = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert der == spki_der(key.public_key())
        leaf.verify_directly_issued_by(CA)
        assert leaf.version is x509.Version.v3
        assert leaf.issuer == CA.subject

    @both
    def test_an_independent_verifier_takes_it_for_a_client(self, key: NodePrivateKey) -> None:
        verifier = PolicyBuilder().store(Store([CA])).time(NOW).build_client_verifier()
        verified = verifier.verify(leaf_of(key), [])
        assert verified.subjects == list(names_of(key))

    def test_it_is_back_dated_by_a_day_and_lasts_ninety_days(self) -> None:
        assert LEAF.not_valid_before_utc == datetime(2026, 11, 20, 8, 30, 15, tzinfo=UTC)
        assert LEAF.not_valid_after_utc == datetime(2027, 2, 19, 8, 30, 15, tzinfo=UTC)

    @both
    def test_the_names_are_the_node_s_and_the_key_s(self, key: NodePrivateKey) -> None:
        leaf = leaf_of(key)
        common = [name.value for name in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        assert common == [node_id_of(key.public_key())]
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        assert extension.value == names_of(key)
        assert not extension.critical

    def test_it_is_a_client_that_signs_nobody(self) -> None:
        constraints = LEAF.extensions.get_extension_for_class(x509.BasicConstraints)
        assert (constraints.critical, constraints.value.ca) == (True, False)
        usage = LEAF.extensions.get_extension_for_class(x509.KeyUsage)
        assert (usage.critical, usage.value) == (True, key_usage(data=True))
        purposes = LEAF.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        assert list(purposes.value) == [ExtendedKeyUsageOID.CLIENT_AUTH]

    def test_it_points_at_the_authority_s_key(self) -> None:
        pointer = LEAF.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        target = CA.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        assert pointer.key_identifier == target.digest

    def test_the_extensions_are_exactly_these(self) -> None:
        names = sorted(extension.oid._name for extension in LEAF.extensions)
        assert names == [
            "authorityKeyIdentifier",
            "basicConstraints",
            "extendedKeyUsage",
            "keyUsage",
            "subjectAltName",
            "subjectKeyIdentifier",
        ]

    def test_every_certificate_has_a_serial_of_its_own(self) -> None:
        serials = {leaf_of(KEYS[0]).serial_number for _ in range(50)}
        assert len(serials) == 50
        assert all(0 < serial < 1 << 159 for serial in serials)
        assert max(serials).bit_length() > 128

    def test_a_permit_for_another_key_is_refused(self) -> None:
        permit = LeafPermit(node_id_of(KEYS[1].public_key()), spki_der(KEYS[0].public_key()))
        with pytest.raises(ValueError, match="not the id of its key"):
            issue_leaf(permit, CA_KEY, CA, now=NOW)

    def test_a_key_that_is_no_node_s_is_refused(self) -> None:
        der = (
            rsa.generate_private_key(65537, 2048)
            .public_key()
            .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )
        with pytest.raises(KeyRefused):
            issue_leaf(LeafPermit("0" * 64, der), CA_KEY, CA, now=NOW)

    def test_the_authority_gives_its_own_key_no_certificate(self) -> None:
        with pytest.raises(ValueError, match="authority's own"):
            issue_leaf(permit_of(CA_KEY), CA_KEY, CA, now=NOW)

    def test_a_key_that_is_not_the_authority_certificate_s_does_not_sign(self) -> None:
        with pytest.raises(ValueError, match="not for its key"):
            issue_leaf(permit_of(KEYS[0]), new_bridge_key(), CA, now=NOW)

    def test_no_certificate_outlives_the_authority(self) -> None:
        last = CA.not_valid_after_utc - timedelta(days=90)
        assert issue_leaf(permit_of(KEYS[0]), CA_KEY, CA, now=last).not_valid_after_utc == CA.not_valid_after_utc
        with pytest.raises(ValueError, match="ends on 2046-11-21"):
            issue_leaf(permit_of(KEYS[0]), CA_KEY, CA, now=last + timedelta(seconds=1))

    def test_a_time_that_is_not_utc_is_refused(self) -> None:
        with pytest.raises(ValueError, match="UTC"):
            issue_leaf(permit_of(KEYS[0]), CA_KEY, CA, now=NOW.replace(tzinfo=None))


class TestReading:
    @both
    def test_it_says_whose_it_is_and_for_how_long(self, key: NodePrivateKey) -> None:
        leaf = leaf_of(key)
        read = read_leaf(leaf.public_bytes(Encoding.DER))
        assert read.node_id == node_id_of(key.public_key())
        assert read.spki == spki_hash(key.public_key())
        assert int(read.serial, 16) == leaf.serial_number
        assert (read.not_before, read.not_after) == (leaf.not_valid_before_utc, leaf.not_valid_after_utc)
        assert read.renew_from == datetime(2027, 1, 20, 8, 30, 15, tzinfo=UTC)

    def test_the_forger_of_these_tests_can_make_a_good_one(self) -> None:
        assert read_leaf(signed(good_extensions())).node_id == node_id_of(KEYS[0].public_key())

    @pytest.mark.parametrize("missing", range(4))
    def test_a_missing_extension_is_refused(self, missing: int) -> None:
        extensions = good_extensions()
        del extensions[missing]
        with pytest.raises(LeafRefused, match="lacks"):
            read_leaf(signed(extensions))

    @pytest.mark.parametrize(
        "place, other, why",
        [
            (0, x509.BasicConstraints(ca=True, path_length=0), "an authority's"),
            (1, key_usage(), "for signing handshakes only"),
            (1, key_usage(data=True, certificates=True), "for signing handshakes only"),
            (2, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), "for a client only"),
            (2, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), "for a client only"),
            (
                2,
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]),
                "for a client only",
            ),
            (3, names_of(KEYS[1]), "not those of its key"),
            (3, x509.SubjectAlternativeName(list(names_of(KEYS[0]))[:1]), "not those of its key"),
            (3, x509.SubjectAlternativeName(list(names_of(KEYS[0]))[1:]), "not those of its key"),
            (3, x509.SubjectAlternativeName([*names_of(KEYS[0]), *names_of(KEYS[1])]), "not those of its key"),
            (
                3,
                x509.SubjectAlternativeName([x509.DNSName(str(name.value)) for name in names_of(KEYS[0])]),
                "not those of its key",
            ),
        ],
    )
    def test_what_tls_would_let_through_is_refused(self, place: int, other: x509.ExtensionType, why: str) -> None:
        extensions = good_extensions()
        extensions[place] = other
        with pytest.raises(LeafRefused, match=why):
            read_leaf(signed(extensions))

    def test_the_names_of_another_node_do_not_make_it_that_node(self) -> None:
        other = ec.generate_private_key(ec.SECP256R1())
        with pytest.raises(LeafRefused, match="names are not those of its key"):
            read_leaf(signed(good_extensions(), other))

    def test_another_kind_of_key_is_refused(self) -> None:
        with pytest.raises(LeafRefused, match="P-256, or Ed25519"):
            read_leaf(signed(good_extensions(), rsa.generate_private_key(65537, 2048)))

    def test_a_long_text_is_not_parsed(self) -> None:
        assert len(DER) < MAX_LEAF_BYTES / 2
        with pytest.raises(LeafRefused, match=f"at most {MAX_LEAF_BYTES}"):
            read_leaf(DER + bytes(MAX_LEAF_BYTES))

    @given(st.binary(max_size=600))
    def test_any_bytes_are_refused(self, data: bytes) -> None:
        with pytest.raises(LeafRefused):
            read_leaf(data)

    @pytest.mark.parametrize("tag", [0xA3, 0xA5])
    def test_a_name_of_a_form_that_nobody_reads_is_refused(self, tag: int) -> None:
        """x400Address and ediPartyName (RFC 5280 section 4.2.1.6), for which `cryptography` has an error of its own."""
        at = DER.index(NODE_URN.encode()) - 2
        with pytest.raises(LeafRefused, match="cannot be used"):
            read_leaf(DER[:at] + bytes([tag]) + DER[at + 1 :])

    @negative
    def test_a_negative_serial_number_is_refused(self) -> None:
        with pytest.raises(LeafRefused, match="serial number"):
            read_leaf(DER[:SERIAL_AT] + b"\x80" + DER[SERIAL_AT + 1 :])

    @negative
    @given(st.lists(st.tuples(st.integers(0, len(DER) - 1), st.integers(0, 255)), min_size=1, max_size=3))
    def test_a_damaged_certificate_is_refused_or_names_the_same_node(self, edits: list[tuple[int, int]]) -> None:
        damaged = bytearray(DER)
        for position, value in edits:
            damaged[position] = value
        try:
            read = read_leaf(bytes(damaged))  # the signature is not looked at here: TLS has done that
        except LeafRefused:
            return
        assert read.node_id == node_id_of(KEYS[0].public_key())
