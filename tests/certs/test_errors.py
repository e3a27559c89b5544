"""The one error of untrusted keys."""

from pathlib import Path

import pytest

from certs.errors import IdentityError, as_identity_error, from_backup, lost_authority, lost_identity
from certs.private_files import PrivateFileError

KEY = Path("/keys/bridge.pem")


def test_the_message_says_what_why_and_what_to_do() -> None:
    error = IdentityError("/keys/bridge.pem", "it is missing", "Restore it: cp backup /keys")
    assert str(error) == "/keys/bridge.pem: it is missing. Restore it: cp backup /keys"
    assert (error.what, error.why, error.mend) == ("/keys/bridge.pem", "it is missing", "Restore it: cp backup /keys")


def test_a_file_error_becomes_an_identity_error_with_the_same_words_and_its_cause() -> None:
    cause = PrivateFileError(Path("/keys/x"), "it is a symbolic link", "See: ls -l /keys/x")
    with pytest.raises(IdentityError) as caught, as_identity_error():
        raise cause
    assert str(caught.value) == str(cause)
    assert caught.value.__cause__ is cause


@pytest.mark.parametrize("other", [FileNotFoundError("x"), ValueError("x"), KeyboardInterrupt()])
def test_every_other_error_passes_unchanged(other: BaseException) -> None:
    with pytest.raises(type(other)) as caught, as_identity_error():
        raise other
    assert caught.value is other


def test_the_advice_can_be_pasted_into_a_shell() -> None:
    advice = from_backup(Path("/Users/anna/Library/Application Support/x"))
    quoted = "'/Users/anna/Library/Application Support/x'"
    assert advice.endswith(f"mv {quoted} {quoted}.bad")


@pytest.mark.parametrize("advice", [from_backup(KEY), lost_identity(KEY.parent, KEY), lost_authority(KEY.parent, KEY)])
def test_every_advice_names_the_command_that_opens_a_backup(advice: str) -> None:
    """A backup is one encrypted file: no single key can be taken out of it by hand."""
    assert "clawdis-bridge restore FILE --replace" in advice
