"""A port that cannot be had is said with what to do, and not with a number."""

from __future__ import annotations

import errno
import os
import re

import pytest

from bridge.lan.bind_refusal import bind_refusal


@pytest.mark.parametrize(
    "number, listener, words",
    [
        (errno.EADDRINUSE, "apps", ("port 18794", "is taken", "lsof -nP -i :18794", "listen.app_port")),
        (errno.EADDRINUSE, "nodes", ("port 18794", "is taken", "listen.node_port")),
        (errno.EADDRNOTAVAIL, "apps", ("no address 192.0.2.1", "listen.hosts")),
        (errno.EACCES, "apps", ("may not listen on port 18794", "listen.app_port", "1024")),
        (errno.EMFILE, "apps", ("Too many open files", "listen.hosts")),
    ],
)
def test_each_error_has_its_words(number: int, listener: str, words: tuple[str, ...]) -> None:
    refused = bind_refusal(OSError(number, os.strerror(number)), listener, "192.0.2.1", 18794)
    assert all(word in str(refused) for word in words), str(refused)
    assert not re.search(r"Errno|\[\d", str(refused))
    assert refused.errno == number


def test_an_error_without_a_number_is_said_too() -> None:
    assert "odd" in str(bind_refusal(OSError("odd"), "apps", "::1", 1))
