"""`gateway`: each test runs once against the embedded gateway and once against the real one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.conformance.target import Target, embedded, real
from tests.gateway import install

BOTH = [pytest.param("embedded"), pytest.param("real", marks=pytest.mark.real)]
NOT_INSTALLED = "the real gateway is not installed (run `make test` with the npm registry in reach)"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def embedded_target() -> AsyncIterator[Target]:
    """One that pairs loopback devices silently, of the demo."""
    async with embedded() as target:
        yield target


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def real_target() -> AsyncIterator[Target]:
    """The real one; started once for all files of a process, since that takes long."""
    if install.installed() is None:
        pytest.skip(NOT_INSTALLED)
    async with real() as target:
        yield target


@pytest.fixture(scope="session", params=BOTH)
def gateway(request: pytest.FixtureRequest) -> Target:
    """A gateway that pairs loopback devices silently; shared, so every test brings its own device keys."""
    target: Target = request.getfixturevalue(f"{request.param}_target")
    return target


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=BOTH)
async def strict_gateway(request: pytest.FixtureRequest) -> AsyncIterator[Target]:
    """A gateway that pairs nobody by itself; a module's last test may stop it."""
    if request.param == "real" and install.installed() is None:
        pytest.skip(NOT_INSTALLED)
    make = real(auto_approve_local=False, with_model=False)
    async with make if request.param == "real" else embedded(auto_approve_local=False) as target:
        yield target
