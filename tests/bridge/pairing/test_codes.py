"""Setup codes on disk: good once, for one key, within their time, across restarts and under a crowd."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from acl.permissions import PROFILES, Permissions
from bridge.pairing.codes import MAX_CODES, CodeStore
from bridge.pairing.native_link import NativeLink
from bridge.pairing.setup_code import CodeKind, SetupCode, code_hash
from bridge.pairing.store import StoreError
from bridge.pairing.transcript import token_key
from tests.bridge.pairing.samples import NOON
from tests.support.scale import scale

SOON = NOON + timedelta(minutes=4)
OLD_TABLE = """
CREATE TABLE codes (hash TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, permissions TEXT NOT NULL, expires_at REAL NOT NULL,
    bound_to TEXT, revoked INTEGER NOT NULL DEFAULT 0, created_at REAL NOT NULL) STRICT
"""
KEY, OTHER = "aa" * 32, "bb" * 32


def code(name: str = "c1", permissions: Permissions = PROFILES["phone"]) -> SetupCode:
    url = "wss://mac.local:18794"
    return SetupCode(name, f"token-of-{name}", url, "ab" * 32, permissions, NOON + timedelta(minutes=5))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bridge.sqlite3"


@pytest.fixture
def codes(path: Path) -> CodeStore:
    store = CodeStore(path)
    store.add(code(), NOON)
    return store


@pytest.fixture(params=[0o000, 0o022])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def execute(path: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as database, database:
        return database.execute(statement).fetchall()


class TestBind:
    def test_a_code_is_good_once_and_grants_what_it_was_made_for(self, codes: CodeStore) -> None:
        assert codes.bind(code_hash(code().token), KEY, SOON) == PROFILES["phone"]
        assert codes.bind(code_hash(code().token), KEY, SOON) is None
        assert codes.bind(code_hash(code().token), OTHER, SOON) is None

    @pytest.mark.parametrize("permissions", [*PROFILES.values(), frozenset()])
    def test_every_grant_comes_back_as_it_was(self, codes: CodeStore, permissions: Permissions) -> None:
        codes.add(code("c2", permissions), NOON)
        assert codes.bind(code_hash(code("c2").token), KEY, SOON) == permissions

    @pytest.mark.parametrize("wrong", ["", "token-of-c2", "token-of-c1 ", "TOKEN-OF-C1", "c1", "' OR 1=1 --", "\x00"])
    def test_a_wrong_one_is_good_for_nothing_and_spends_nothing(self, codes: CodeStore, wrong: str) -> None:
        assert codes.bind(code_hash(wrong), KEY, SOON) is None
        assert not codes.is_spent_by(code_hash(wrong), KEY)
        assert codes.bind(code_hash(code().token), KEY, SOON) == PROFILES["phone"]

    @pytest.mark.parametrize("late", [timedelta(minutes=5), timedelta(days=1)])
    def test_an_expired_one_is_good_for_nothing(self, codes: CodeStore, late: timedelta) -> None:
        assert codes.bind(code_hash(code().token), KEY, NOON + late) is None
        assert not codes.is_spent_by(code_hash(code().token), KEY)

    def test_a_revoked_one_is_good_for_nothing(self, codes: CodeStore, path: Path) -> None:
        execute(path, "UPDATE codes SET revoked = 1")
        assert codes.bind(code_hash(code().token), KEY, SOON) is None

    def test_only_the_key_that_used_it_has_spent_it(self, codes: CodeStore) -> None:
        assert not codes.is_spent_by(code_hash(code().token), KEY)
        codes.bind(code_hash(code().token), KEY, SOON)
        assert codes.is_spent_by(code_hash(code().token), KEY)
        assert not codes.is_spent_by(code_hash(code().token), OTHER)
        assert not codes.is_spent_by(code_hash(code().token + "x"), KEY)

    def test_the_key_that_used_it_may_finish_while_it_is_valid(self, codes: CodeStore, path: Path) -> None:
        assert codes.unfinished(code_hash(code().token), KEY, SOON) is None
        codes.bind(code_hash(code().token), KEY, SOON)
        assert codes.unfinished(code_hash(code().token), KEY, SOON) == PROFILES["phone"]
        assert codes.unfinished(code_hash(code().token), OTHER, SOON) is None
        assert codes.unfinished(code_hash("token-of-c2"), KEY, SOON) is None
        assert codes.unfinished(code_hash(code().token), KEY, NOON + timedelta(minutes=5)) is None
        execute(path, "UPDATE codes SET revoked = 1")
        assert codes.unfinished(code_hash(code().token), KEY, SOON) is None

    def test_a_restart_changes_none_of_it(self, codes: CodeStore, path: Path) -> None:
        codes.add(code("c2"), NOON)
        codes.bind(code_hash(code().token), KEY, SOON)
        again = CodeStore(path)
        assert again.bind(code_hash(code().token), OTHER, SOON) is None
        assert again.is_spent_by(code_hash(code().token), KEY)
        assert again.bind(code_hash(code("c2").token), KEY, NOON + timedelta(minutes=5)) is None
        assert (
            again.bind(code_hash(code("c2").token), KEY, NOON + timedelta(minutes=5, microseconds=-1))
            == PROFILES["phone"]
        )

    @pytest.mark.timeout(300)
    def test_of_a_hundred_at_once_exactly_one_succeeds(self, codes: CodeStore) -> None:
        """Red without `BEGIN IMMEDIATE` in `bind`: several have read it as unused before the first has written."""
        with ThreadPoolExecutor(100) as threads:
            for number in range(scale(100)):
                one = code(f"round-{number}")
                codes.add(one, NOON)
                begin = threading.Barrier(100)

                def attempt(key: int, one: SetupCode = one, begin: threading.Barrier = begin) -> Permissions | None:
                    begin.wait(30)
                    return codes.bind(code_hash(one.token), f"{key:064x}", SOON)

                won = [key for key, granted in enumerate(threads.map(attempt, range(100))) if granted is not None]
                assert len(won) == 1
                assert codes.is_spent_by(code_hash(one.token), f"{won[0]:064x}")


class TestFile:
    def test_it_is_private_whatever_the_umask(self, path: Path, umask: None) -> None:
        CodeStore(path).add(code(), NOON)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_an_open_one_is_closed(self, path: Path) -> None:
        path.touch()
        path.chmod(0o644)
        CodeStore(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_the_token_is_not_in_it(self, codes: CodeStore, path: Path) -> None:
        codes.bind(code_hash(code().token), KEY, SOON)
        assert code().token.encode() not in path.read_bytes()

    def test_an_id_or_token_in_use_is_not_taken_over(self, codes: CodeStore) -> None:
        with pytest.raises(StoreError):
            codes.add(code(permissions=PROFILES["full"]), NOON)
        assert codes.bind(code_hash(code().token), KEY, SOON) == PROFILES["phone"]

    def test_the_oldest_go_when_there_are_too_many(self, codes: CodeStore, path: Path) -> None:
        for number in range(MAX_CODES):
            codes.add(code(f"n{number}"), NOON + timedelta(milliseconds=number + 1))
        assert execute(path, "SELECT count(*) FROM codes") == [(MAX_CODES,)]
        assert codes.bind(code_hash(code().token), KEY, SOON) is None
        assert codes.bind(code_hash(code("n0").token), KEY, SOON) == PROFILES["phone"]

    def test_a_new_one_is_kept_even_when_the_clock_has_gone_back(self, codes: CodeStore) -> None:
        """Red when the time of making decides who goes: the code on the screen is none."""
        for number in range(MAX_CODES):
            codes.add(code(f"n{number}"), NOON)
        codes.add(code("c2"), NOON - timedelta(hours=1))
        assert codes.bind(code_hash(code("c2").token), KEY, SOON) == PROFILES["phone"]

    @pytest.mark.parametrize("change", ["permissions = 'fly'", "kind = 'x'", "expires_at = 1e300"])
    def test_a_row_that_says_nothing_known_is_an_error_of_ours(self, codes: CodeStore, path: Path, change: str) -> None:
        execute(path, f"UPDATE codes SET {change}")  # noqa: S608 - the test's own words
        for use in (codes.listed, lambda: codes.bind(code_hash(code().token), KEY, SOON), lambda: codes.revoke("c1")):
            with pytest.raises(StoreError, match="cannot be used"):
                use()

    @pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\x00" + b"\xff" * 4096])
    def test_a_damaged_one_is_refused_and_left_as_it_is(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        with pytest.raises(StoreError, match=r"cannot be used .*mv "):
            CodeStore(path)
        assert path.read_bytes() == content

    def test_damage_in_the_middle_of_the_work_is_an_error_of_ours(self, codes: CodeStore, path: Path) -> None:
        execute(path, "DROP TABLE codes")
        with pytest.raises(StoreError):
            codes.bind(code_hash(code().token), KEY, SOON)
        with pytest.raises(StoreError):
            codes.is_spent_by(code_hash(code().token), KEY)
        with pytest.raises(StoreError):
            codes.add(code("c2"), NOON)


def link(name: str = "11aa22bb", token: bytes = b"t" * 32) -> NativeLink:
    return NativeLink("mac.local", 18790, "cd" * 32, name, token, NOON + timedelta(minutes=5))


class TestLinks:
    def test_what_is_kept_proves_the_token_and_does_not_tell_it(self, codes: CodeStore, path: Path) -> None:
        codes.add_link(link(), PROFILES["voice"], NOON)
        kept = codes.native(link().token_id)
        assert kept is not None
        assert (kept.digest, kept.permissions, kept.kind) == (
            token_key(b"t" * 32).hex(),
            PROFILES["voice"],
            CodeKind.NATIVE,
        )
        assert kept.digest not in repr(kept)
        assert b"t" * 32 not in path.read_bytes()

    def test_it_is_consumed_as_any_code_is(self, codes: CodeStore) -> None:
        codes.add_link(link(), PROFILES["voice"], NOON)
        digest = token_key(b"t" * 32).hex()
        assert codes.bind(digest, KEY, SOON) == PROFILES["voice"]
        assert codes.bind(digest, OTHER, SOON) is None

    def test_a_setup_code_is_no_link(self, codes: CodeStore) -> None:
        assert codes.native("c1") is None
        assert codes.native("no-such") is None


class TestList:
    def test_the_newest_is_first_and_says_what_became_of_it(self, codes: CodeStore) -> None:
        codes.add_link(link(), PROFILES["voice"], NOON + timedelta(seconds=1))
        codes.bind(code_hash(code().token), KEY, SOON)
        newest, oldest = codes.listed()
        assert (newest.id, newest.kind, newest.bound_to) == ("11aa22bb", CodeKind.NATIVE, None)
        assert (oldest.id, oldest.kind, oldest.bound_to, oldest.created_at) == ("c1", CodeKind.OPENCLAW, KEY, NOON)

    def test_one_that_was_taken_back_is_good_for_nobody(self, codes: CodeStore) -> None:
        codes.bind(code_hash(code().token), KEY, SOON)
        revoked = codes.revoke("c1")
        assert revoked is not None
        assert revoked.revoked
        assert not codes.is_spent_by(code_hash(code().token), KEY), "its own phone neither"
        assert codes.unfinished(code_hash(code().token), KEY, SOON) is None
        assert codes.revoke("no-such") is None


class TestRevokedKeys:
    def test_a_code_made_before_the_revocation_is_no_invitation(self, codes: CodeStore) -> None:
        digest = code_hash(code().token)
        assert codes.bind(digest, KEY, SOON, made_after=NOON) is None
        assert codes.bind(digest, KEY, SOON, made_after=NOON - timedelta(seconds=1)) == PROFILES["phone"]
        assert codes.unfinished(digest, KEY, SOON, made_after=NOON) is None
        assert codes.unfinished(digest, KEY, SOON, made_after=NOON - timedelta(seconds=1)) == PROFILES["phone"]


def test_a_file_of_an_older_version_gains_the_column(path: Path) -> None:
    execute(path, OLD_TABLE)
    execute(path, "INSERT INTO codes VALUES ('abab', 'old', 'voice', 9e9, NULL, 0, 1)")
    assert [(one.id, one.kind) for one in CodeStore(path).listed()] == [("old", CodeKind.OPENCLAW)]
    assert CodeStore(path).bind("abab", KEY, SOON) == PROFILES["voice"]
