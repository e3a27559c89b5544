"""What every certificate that the bridge signs for itself must be."""

from cryptography import x509


def require_self_signed(certificate: x509.Certificate) -> None:
    """Fail unless it is of version 3 and signed by its own key with SHA-256."""
    certificate.verify_directly_issued_by(certificate)
    assert certificate.version is x509.Version.v3
    algorithm = certificate.signature_hash_algorithm
    assert algorithm is not None
    assert algorithm.name == "sha256"
