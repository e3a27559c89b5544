"""Keychains in memory: one that works, and one for each way to fail."""

from __future__ import annotations

from keyring.errors import KeyringLocked, PasswordDeleteError


class MemoryKeychain:
    """A keychain: its state is what it holds, and whether it is locked."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], str] = {}
        self.locked = False
        self.reads = 0

    def get_password(self, service: str, username: str) -> str | None:
        self.reads += 1
        if self.locked:
            raise KeyringLocked("the planted reason")
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.locked:
            raise KeyringLocked("the planted reason")
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.entries.pop((service, username), None) is None:
            raise PasswordDeleteError("no such entry")


class RefusesToWrite(MemoryKeychain):
    """It raises what no keychain is documented to raise."""

    def set_password(self, service: str, username: str, password: str) -> None:
        raise RuntimeError("no bus")


class Forgets(MemoryKeychain):
    """It takes everything and holds nothing."""

    def set_password(self, service: str, username: str, password: str) -> None:
        return


class ReturnsAnother(MemoryKeychain):
    """It gives back what nobody gave it."""

    def get_password(self, service: str, username: str) -> str | None:
        return None if super().get_password(service, username) is None else "x" * 43


class LocksAfterWriting(MemoryKeychain):
    """It takes the passphrase and does not give it back."""

    def set_password(self, service: str, username: str, password: str) -> None:
        super().set_password(service, username, password)
        self.locked = True
