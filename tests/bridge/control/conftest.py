"""The control server and its home, for every test of this folder."""

from tests.doubles.control_daemon import daemon, home, operations

__all__ = ["daemon", "home", "operations"]
