"""A restore puts the whole of a backup in place or changes nothing, and brings back nobody who was revoked."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from bridge.backup.collect import collect
from bridge.backup.errors import BackupError
from bridge.backup.exchange import ExchangeUnsupported, exchange
from bridge.backup.restore import restore
from bridge.daemon_lock import daemon_lock
from bridge.pairing.store import FILE_NAME
from certs.passphrase_choice import ChosenPassphrase
from certs.private_files import PrivateFileError
from certs.store import KeyFolder
from tests.bridge.backup.homes import archive_of, beside, content, make_home, nodes
from tests.bridge.pairing.samples import NOON, identity, record
from tests.certs.keychains import MemoryKeychain

ROOT = Path(__file__).parents[3]
KEY, OTHER = identity(1).device_id, identity(2).device_id
LATER = NOON + timedelta(hours=1)
ASIDE = "home.replaced-2026-11-21T12-00-00Z"


class TestRestored:
    def test_all_of_it_is_there_private_and_usable(self, home: Path, members: dict[str, bytes], tmp_path: Path) -> None:
        done = restore(home, archive_of(members), replace=False, now=NOON)
        assert done.kept_aside is None
        assert beside(home) == ["home"]
        now_keys, then_keys = KeyFolder(home / "keys"), KeyFolder(tmp_path / "old" / "keys")
        assert now_keys.load().pin == then_keys.load().pin
        assert now_keys.load_client_authority().der == then_keys.load_client_authority().der
        assert now_keys.next_spki == then_keys.next_spki is not None
        assert nodes(home) == nodes(tmp_path / "old") == {one.node_id: one for one in done.staged.nodes}
        now, then = content(home), content(tmp_path / "old")
        del now["bridge.sqlite3"], then["bridge.sqlite3"]
        assert now == then
        for path in (home, *home.rglob("*")):
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path

    def test_the_passphrase_moves_from_one_keychain_to_another(self, home: Path, tmp_path: Path) -> None:
        one, other = MemoryKeychain(), MemoryKeychain()
        identity = make_home(tmp_path / "mac", record(1), keychain=one)
        held = archive_of(collect(tmp_path / "mac", one).members)
        done = restore(home, held, replace=False, now=NOON, keychain=other)
        assert done.staged.passphrase_place == "keyring"
        assert list(other.entries.values()) == list(one.entries.values()) == [identity.passphrase.decode()]
        assert not [path for path in home.rglob("*") if path.is_file() and identity.passphrase in path.read_bytes()]
        assert KeyFolder(home / "keys", ChosenPassphrase(home / "keys", other)).load().pin == identity.pin

    def test_a_bridge_that_is_put_aside_keeps_its_entry_of_the_keychain(self, home: Path, tmp_path: Path) -> None:
        keychain = MemoryKeychain()
        former = make_home(home, keychain=keychain)
        identity = make_home(tmp_path / "mac", record(1))
        held = archive_of(collect(tmp_path / "mac").members)
        aside = restore(home, held, replace=True, now=NOON, keychain=keychain).kept_aside
        assert aside is not None
        for folder, pin in ((home, identity.pin), (aside, former.pin)):
            assert KeyFolder(folder / "keys", ChosenPassphrase(folder / "keys", keychain)).load().pin == pin

    @pytest.mark.parametrize("name", ["keys/bridge.pin", "keys/client-ca.pin", "names.json", FILE_NAME])
    def test_a_backup_that_does_not_load_gives_the_keychain_nothing(
        self, home: Path, members: dict[str, bytes], name: str
    ) -> None:
        keychain, held = MemoryKeychain(), archive_of({**members, name: b"0" * 64})
        with pytest.raises(BackupError, match="does not load"):
            restore(home, held, replace=True, now=NOON, keychain=keychain)
        assert keychain.entries == {}

    def test_a_backup_of_a_restored_home_is_the_same_backup(self, home: Path, members: dict[str, bytes]) -> None:
        restore(home, archive_of(members), replace=False, now=NOON)
        again = collect(home).members
        assert {name: data for name, data in again.items() if name != "bridge.sqlite3"} == {
            name: data for name, data in members.items() if name != "bridge.sqlite3"
        }

    def test_a_bridge_that_is_there_stays_unless_it_is_to_be_replaced(
        self, home: Path, members: dict[str, bytes]
    ) -> None:
        """With `require_no_identity` taken out the second identity replaces the first unasked: red."""
        present = make_home(home, record(3))
        before = content(home)
        with pytest.raises(BackupError, match="identity of a bridge already") as refused:
            restore(home, archive_of(members), replace=False, now=NOON)
        assert refused.value.fix is not None
        assert "--replace" in refused.value.fix
        assert content(home) == before
        assert beside(home) == ["home"]

        for aside in (ASIDE, f"{ASIDE}-2"):
            done = restore(home, archive_of(members), replace=True, now=NOON)
            assert done.kept_aside == home.parent / aside
        assert content(home.parent / ASIDE) == before
        assert KeyFolder(home.parent / ASIDE / "keys").load().pin == present.pin
        assert set(nodes(home)) == {KEY, OTHER}
        assert beside(home) == ["home", ASIDE, f"{ASIDE}-2"]

    @pytest.mark.parametrize("trace", [FILE_NAME, "keys/bridge.pin", "keys/node-0123456789abcdef.pem"])
    def test_any_trace_of_an_identity_counts(self, home: Path, members: dict[str, bytes], trace: str) -> None:
        (home / "keys").mkdir(parents=True, mode=0o700)
        (home / trace).symlink_to("nowhere")
        with pytest.raises(BackupError, match="identity of a bridge already"):
            restore(home, archive_of(members), replace=False, now=NOON)

    def test_a_configuration_alone_is_put_aside(self, home: Path, members: dict[str, bytes]) -> None:
        home.mkdir(mode=0o700)
        (home / "bridge.toml").write_text("# mine\n")
        done = restore(home, archive_of(members), replace=False, now=NOON)
        assert done.kept_aside == home.parent / ASIDE
        assert content(home.parent / ASIDE) == {"bridge.toml": b"# mine\n"}

    def test_what_may_not_fit_another_machine_is_told(self, home: Path, members: dict[str, bytes]) -> None:
        members["bridge.toml"] = b'[listen]\nhosts = ["192.168.1.7"]\n[gateway]\ntoken_file = "/Users/anna/token"\n'
        notes = restore(home, archive_of(members), replace=False, now=NOON).staged.notes
        assert ["192.168.1.7" in note or "/Users/anna/token" in note for note in notes] == [True, True]
        members["bridge.toml"] = b"[listen]\nnonsense = 1\n"
        notes = restore(home, archive_of(members), replace=True, now=NOON).staged.notes
        assert [note for note in notes if "will not start" in note and "nonsense" in note]

    def test_a_policy_that_does_not_load_here_is_told(self, home: Path, members: dict[str, bytes]) -> None:
        """Red when the policy of a backup is laid out without a look: the bridge would only say so at its start."""
        members["policy.toml"] = b"[agent]\nsessions = ['main']\n"
        assert not restore(home, archive_of(members), replace=False, now=NOON).staged.notes
        members["policy.toml"] = b"[agnet]\n"
        (note,) = restore(home, archive_of(members), replace=True, now=NOON).staged.notes
        assert "will not start" in note
        assert "Did you mean 'agent'?" in note

    def test_what_a_cut_off_restore_left_is_told_and_kept(self, home: Path, members: dict[str, bytes]) -> None:
        left = home.parent / ".home.restore-0011223344556677"
        left.mkdir()
        assert restore(home, archive_of(members), replace=False, now=NOON).left_over == (left,)
        assert left.exists()


WRONG = {
    "no key": {"keys/bridge.pem": b""},
    "another pin": {"keys/bridge.pin": b"0" * 64},
    "another passphrase": {"keys/passphrase": b"k" * 43},
    "no passphrase": {"keys/passphrase": b"k"},
    "a damaged store": {FILE_NAME: b"{}}"},
    "a newer store": {FILE_NAME: b'{"version": 9, "nodes": []}'},
    "a damaged database": {"bridge.sqlite3": b"damaged " * 1000},
    "no names": {"names.json": b"[]"},
    "a damaged authority": {"keys/client-ca.pem": b""},
    "another authority": {"keys/client-ca.pin": b"0" * 64},
    "a damaged next key": {"keys/bridge-next.pem": b""},
}


class TestRefused:
    @pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
    @pytest.mark.parametrize("present", [True, False])
    def test_what_does_not_load_is_not_put_in_place(
        self, home: Path, members: dict[str, bytes], change: dict[str, bytes], present: bool
    ) -> None:
        if present:
            make_home(home, record(3))
        before = content(home)
        with pytest.raises(BackupError, match="does not load"):
            restore(home, archive_of({**members, **change}), replace=True, now=NOON)
        assert content(home) == before
        assert beside(home) == ["home"]

    def test_a_file_that_no_home_has_is_not_written(self, home: Path, members: dict[str, bytes]) -> None:
        with pytest.raises(BackupError, match="does not know"):
            restore(home, archive_of({**members, "authorized_keys": b"x"}), replace=False, now=NOON)
        assert beside(home) == []

    def test_a_running_bridge_is_not_replaced(self, home: Path, members: dict[str, bytes]) -> None:
        """With `daemon_lock` taken out, the daemon would go on with the files that were put aside: red."""
        make_home(home)
        before = content(home)
        with daemon_lock(home), pytest.raises(BackupError, match="A bridge is running"):
            restore(home, archive_of(members), replace=True, now=NOON)
        assert content(home) == before
        restore(home, archive_of(members), replace=True, now=NOON)

    @pytest.mark.parametrize("fault", ["link", "open", "a file", "lock is a link"])
    def test_a_home_that_cannot_be_trusted_is_not_used(
        self, home: Path, members: dict[str, bytes], tmp_path: Path, fault: str
    ) -> None:
        victim = tmp_path / "victim"
        victim.mkdir(mode=0o700)
        match fault:
            case "link":
                home.symlink_to(victim)
            case "open":
                home.mkdir()
                home.chmod(0o777)
            case "a file":
                home.touch()
            case _:
                home.mkdir(mode=0o700)
                (home / "lock").symlink_to(victim / "lock")
        with pytest.raises((PrivateFileError, BackupError)):
            restore(home, archive_of(members), replace=True, now=NOON)
        assert beside(home) == ["home"]
        assert list(victim.iterdir()) == []

    @pytest.mark.skipif(os.geteuid() != 0, reason="only on machines where tests run as root")
    def test_a_home_of_someone_else_is_not_used(self, home: Path, members: dict[str, bytes]) -> None:
        home.mkdir(mode=0o700)
        os.chown(home, 12345, 12345)
        with pytest.raises(PrivateFileError, match="belongs to user 12345"):
            restore(home, archive_of(members), replace=True, now=NOON)

    @pytest.mark.parametrize("room", [0, 100, 1000, 4096, 12288])
    def test_a_full_disk_changes_nothing(
        self, home: Path, members: dict[str, bytes], tmp_path: Path, room: int
    ) -> None:
        make_home(home, record(3))
        for name, data in members.items():
            path = tmp_path / "members" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        before = content(home)
        program = (
            "import resource, sys; from pathlib import Path\n"
            "from bridge.backup.restore import restore\n"
            "from bridge.backup.errors import BackupError\n"
            "from tests.bridge.backup.homes import archive_of, content\n"
            "from tests.bridge.pairing.samples import NOON\n"
            "held = archive_of(content(Path(sys.argv[1])))\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)\n"
            "try: restore(Path(sys.argv[2]), held, replace=True, now=NOON)\n"
            "except BackupError as error: sys.exit(f'{error.message} {error.fix}')\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "members"), str(home), str(room)],
            cwd=ROOT, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert "Nothing has changed" in done.stderr
        assert content(home) == before
        assert beside(home) == ["home"]


def unsupported(one: Path, other: Path) -> None:
    raise ExchangeUnsupported


class TestSwap:
    def test_where_folders_cannot_be_swapped_an_empty_home_is_filled(
        self, home: Path, members: dict[str, bytes]
    ) -> None:
        restore(home, archive_of(members), replace=False, now=NOON, swap=unsupported)
        assert set(nodes(home)) == {KEY, OTHER}
        assert beside(home) == ["home"]

    def test_where_folders_cannot_be_swapped_a_bridge_is_not_replaced(
        self, home: Path, members: dict[str, bytes]
    ) -> None:
        """With `forget` taken out every try leaves an entry in the keychain: red."""
        keychain = MemoryKeychain()
        present = make_home(home, record(3), keychain=keychain)
        before = content(home)
        with pytest.raises(BackupError, match="cannot swap two folders"):
            restore(home, archive_of(members), replace=True, now=NOON, swap=unsupported, keychain=keychain)
        assert content(home) == before
        assert list(keychain.entries.values()) == [present.passphrase.decode()]
        assert beside(home) == ["home"]

    def test_an_interruption_right_after_the_swap_loses_neither(self, home: Path, members: dict[str, bytes]) -> None:
        """With the comparison of inodes taken out of `staging_folder` the former home is removed: red."""
        make_home(home, record(3))
        before = content(home)

        def interrupted(one: Path, other: Path) -> None:
            exchange(one, other)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            restore(home, archive_of(members), replace=True, now=NOON, swap=interrupted)
        assert set(nodes(home)) == {KEY, OTHER}
        (former,) = (each for each in home.parent.iterdir() if each != home)
        assert content(former) == before

    def test_an_interruption_before_the_swap_changes_nothing(self, home: Path, members: dict[str, bytes]) -> None:
        make_home(home, record(3))
        before = content(home)

        def interrupted(one: Path, other: Path) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            restore(home, archive_of(members), replace=True, now=NOON, swap=interrupted)
        assert content(home) == before
        assert beside(home) == ["home"]
