"""Private files: modes, links, crashes, a full disk, the lock."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from certs.private_files import (
    PrivateFileError,
    locked_folder,
    private_folder,
    read_own,
    read_private,
    remove_private,
    write_private,
)

ROOT = Path(__file__).parents[2]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    private_folder(path)
    return path


@pytest.fixture(params=[0o000, 0o022, 0o777])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield int(request.param)
    os.umask(before)


class TestFolder:
    def test_it_and_its_missing_parents_are_0700_whatever_the_umask(self, tmp_path: Path, umask: int) -> None:
        path = tmp_path / "a" / "b" / "c"
        assert private_folder(path) is None
        assert [mode_of(each) for each in (path, path.parent, path.parent.parent)] == [0o700] * 3

    def test_an_existing_one_is_left_alone(self, folder: Path) -> None:
        (folder / "file").touch()
        assert private_folder(folder) is None
        assert [each.name for each in folder.iterdir()] == ["file"]

    def test_one_that_others_can_read_is_closed_with_a_note(self, folder: Path) -> None:
        folder.chmod(0o755)
        note = private_folder(folder)
        assert note == f"{folder} had mode 0755; it now has 0700"
        assert mode_of(folder) == 0o700

    @pytest.mark.parametrize("mode", [0o720, 0o702, 0o777, 0o1777])
    def test_one_that_others_can_write_is_refused_and_not_repaired(self, folder: Path, mode: int) -> None:
        folder.chmod(mode)
        with pytest.raises(PrivateFileError, match="other users can write in it") as caught:
            private_folder(folder)
        assert caught.value.mend.endswith(f"chmod 700 {folder}")
        assert mode_of(folder) == mode

    def test_a_link_to_a_folder_is_refused(self, tmp_path: Path, folder: Path) -> None:
        link = tmp_path / "link"
        link.symlink_to(folder)
        with pytest.raises(PrivateFileError):
            private_folder(link)

    def test_a_file_in_its_place_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(PrivateFileError):
            private_folder(tmp_path / "file")
        with pytest.raises(PrivateFileError):
            private_folder(tmp_path / "file" / "below")

    @pytest.mark.skipif(os.geteuid() != 0, reason="only on machines where tests run as root")
    def test_another_owners_folder_is_refused(self, folder: Path) -> None:
        os.chown(folder, 65534, 65534)
        with pytest.raises(PrivateFileError, match="belongs to user 65534"):
            private_folder(folder)


class TestWriteAndRead:
    def test_what_is_written_is_read_back(self, folder: Path) -> None:
        write_private(folder / "file", b"\0one")
        assert read_private(folder / "file", 4) == b"\0one"
        write_private(folder / "file", b"")
        assert read_private(folder / "file", 4) == b""

    def test_a_file_is_0600_whatever_the_umask(self, folder: Path, umask: int) -> None:
        write_private(folder / "file", b"x")
        assert mode_of(folder / "file") == 0o600

    def test_nothing_else_is_left_in_the_folder(self, folder: Path) -> None:
        for number in range(3):
            write_private(folder / "file", b"%d" % number)
        assert [each.name for each in folder.iterdir()] == ["file"]

    def test_a_missing_file_or_folder_is_told_apart_from_a_bad_one(self, folder: Path) -> None:
        with pytest.raises(FileNotFoundError):
            read_private(folder / "file", 10)
        with pytest.raises(FileNotFoundError):
            read_private(folder / "none" / "file", 10)

    def test_a_file_that_is_too_long_is_refused_not_cut(self, folder: Path) -> None:
        write_private(folder / "file", b"12345")
        with pytest.raises(PrivateFileError, match="longer than 4 bytes"):
            read_private(folder / "file", 4)

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o666])
    def test_a_file_that_others_can_open_is_refused_with_the_command(self, folder: Path, mode: int) -> None:
        write_private(folder / "file", b"x")
        (folder / "file").chmod(mode)
        with pytest.raises(PrivateFileError, match=f"mode {mode:04o}") as caught:
            read_private(folder / "file", 10)
        assert caught.value.mend.endswith(f"chmod 600 {folder / 'file'}")

    def test_a_path_with_blanks_is_quoted_in_the_command(self, tmp_path: Path) -> None:
        folder = tmp_path / "Application Support"
        private_folder(folder)
        write_private(folder / "file", b"x")
        (folder / "file").chmod(0o644)
        with pytest.raises(PrivateFileError, match=r"chmod 600 '/.*/Application Support/file'$"):
            read_private(folder / "file", 10)

    def test_a_folder_that_others_can_write_is_neither_read_nor_written(self, folder: Path) -> None:
        write_private(folder / "file", b"x")
        folder.chmod(0o770)
        with pytest.raises(PrivateFileError, match="other users can write in it"):
            read_private(folder / "file", 10)
        with pytest.raises(PrivateFileError, match="other users can write in it"):
            write_private(folder / "file", b"y")
        folder.chmod(0o700)
        assert read_private(folder / "file", 10) == b"x"

    @pytest.mark.skipif(os.geteuid() != 0, reason="only on machines where tests run as root")
    def test_another_owners_file_is_refused(self, folder: Path) -> None:
        write_private(folder / "file", b"x")
        os.chown(folder / "file", 65534, 65534)
        with pytest.raises(PrivateFileError, match="belongs to user 65534"):
            read_private(folder / "file", 10)


class TestLinks:
    def test_a_link_is_not_read(self, folder: Path) -> None:
        write_private(folder / "victim", b"secret")
        (folder / "file").symlink_to("victim")
        with pytest.raises(PrivateFileError, match="symbolic link"):
            read_private(folder / "file", 10)

    def test_a_dangling_link_is_not_a_missing_file(self, folder: Path) -> None:
        (folder / "file").symlink_to("nowhere")
        with pytest.raises(PrivateFileError, match="symbolic link"):
            read_private(folder / "file", 10)

    def test_a_file_with_a_second_name_is_not_read(self, folder: Path, tmp_path: Path) -> None:
        write_private(folder / "file", b"x")
        (tmp_path / "other").hardlink_to(folder / "file")
        with pytest.raises(PrivateFileError, match="2 names"):
            read_private(folder / "file", 10)

    def test_a_pipe_is_refused_at_once(self, folder: Path) -> None:
        os.mkfifo(folder / "file", 0o600)
        with pytest.raises(PrivateFileError, match="no regular file"):
            read_private(folder / "file", 10)

    @pytest.mark.parametrize("link", ["symbolic", "hard"])
    def test_a_write_replaces_a_link_and_leaves_its_victim(self, folder: Path, tmp_path: Path, link: str) -> None:
        victim = tmp_path / "victim"
        victim.write_bytes(b"untouched")
        if link == "symbolic":
            (folder / "file").symlink_to(victim)
        else:
            (folder / "file").hardlink_to(victim)
        write_private(folder / "file", b"new")
        assert victim.read_bytes() == b"untouched"
        assert read_private(folder / "file", 10) == b"new"

    def test_a_folder_in_the_files_place_makes_the_write_fail_cleanly(self, folder: Path) -> None:
        (folder / "file").mkdir()
        with pytest.raises(PrivateFileError, match="could not be written"):
            write_private(folder / "file", b"new")
        assert [each.name for each in folder.iterdir()] == ["file"]


class TestFailure:
    def test_a_full_disk_leaves_the_old_file_and_no_other(self, folder: Path) -> None:
        write_private(folder / "file", b"old")
        program = (
            "import resource, sys; from pathlib import Path\n"
            "from certs.private_files import PrivateFileError, write_private\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))\n"
            "try: write_private(Path(sys.argv[1]), b'x' * 4096)\n"
            "except PrivateFileError as error: print(error)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(folder / "file")],
            cwd=ROOT, capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
        assert "could not be written" in done.stdout
        assert "df -h" in done.stdout
        assert read_private(folder / "file", 10) == b"old"
        assert [each.name for each in folder.iterdir()] == ["file"]

    def test_a_killed_writer_leaves_one_whole_file(self, folder: Path) -> None:
        program = (
            "import sys; from pathlib import Path\n"
            "from certs.private_files import write_private\n"
            "file = Path(sys.argv[1])\n"
            "write_private(file, b'a' * 9000)\n"
            "print('writing', flush=True)\n"
            "while True:\n"
            "    for byte in b'ba': write_private(file, bytes([byte]) * 9000)\n"
        )
        for _ in range(5):
            with subprocess.Popen(
                [sys.executable, "-c", program, str(folder / "file")], cwd=ROOT, stdout=subprocess.PIPE
            ) as writer:
                assert writer.stdout is not None
                assert writer.stdout.readline() == b"writing\n"
                writer.send_signal(signal.SIGKILL)
            content = read_private(folder / "file", 9000)
            assert content in (b"a" * 9000, b"b" * 9000)


class TestRemove:
    def test_it_says_whether_there_was_a_file(self, folder: Path) -> None:
        write_private(folder / "file", b"x")
        assert remove_private(folder / "file")
        assert not remove_private(folder / "file")
        assert list(folder.iterdir()) == []

    def test_a_link_goes_and_its_victim_stays(self, folder: Path) -> None:
        write_private(folder / "victim", b"x")
        (folder / "file").symlink_to("victim")
        assert remove_private(folder / "file")
        assert read_private(folder / "victim", 10) == b"x"

    def test_what_cannot_be_removed_is_an_error(self, folder: Path) -> None:
        (folder / "file").mkdir()
        with pytest.raises(PrivateFileError):
            remove_private(folder / "file")


class TestLock:
    def test_a_second_holder_is_refused_until_the_first_is_done(self, folder: Path) -> None:
        with locked_folder(folder):
            with pytest.raises(PrivateFileError, match="another process"), locked_folder(folder):
                pytest.fail("both held the lock")
            write_private(folder / "file", b"x")
        with locked_folder(folder):
            assert [each.name for each in folder.iterdir()] == ["file"]

    def test_an_error_inside_passes_and_frees_the_lock(self, folder: Path) -> None:
        with pytest.raises(ZeroDivisionError), locked_folder(folder):
            raise ZeroDivisionError
        with locked_folder(folder):
            write_private(folder / "file", b"x")

    def test_a_missing_folder_cannot_be_locked(self, folder: Path) -> None:
        with pytest.raises(PrivateFileError), locked_folder(folder / "none"):
            pytest.fail("locked nothing")


class TestOwn:
    @pytest.mark.parametrize("mode", [0o600, 0o644, 0o400])
    def test_a_file_that_only_we_write_is_read_though_others_may_read_it(self, folder: Path, mode: int) -> None:
        (folder / "file").write_bytes(b"x")
        (folder / "file").chmod(mode)
        assert read_own(folder / "file", 1) == b"x"

    @pytest.mark.parametrize("mode", [0o620, 0o602])
    def test_one_that_others_write_is_refused(self, folder: Path, mode: int) -> None:
        (folder / "file").write_bytes(b"x")
        (folder / "file").chmod(mode)
        with pytest.raises(PrivateFileError, match="other users can write it"):
            read_own(folder / "file", 1)

    def test_a_link_and_a_long_file_are_refused(self, folder: Path) -> None:
        (folder / "file").write_bytes(b"xy")
        (folder / "file").chmod(0o600)
        with pytest.raises(PrivateFileError, match="longer than 1 bytes"):
            read_own(folder / "file", 1)
        (folder / "link").symlink_to(folder / "file")
        with pytest.raises(PrivateFileError, match="symbolic link"):
            read_own(folder / "link", 2)
