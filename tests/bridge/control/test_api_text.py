"""The one route whose answer is text: metrics."""

from __future__ import annotations

from pathlib import Path

from bridge.errors import BridgeError
from tests.bridge.control.test_api import served, told
from tests.doubles.operations import FakeOperations


async def test_metrics_are_text_as_prometheus_reads_it(home: Path, operations: FakeOperations) -> None:
    async with served(home, operations) as client, client.get("/v1/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert response.headers["Cache-Control"] == "no-store"
        assert await response.text() == await operations.metrics()


async def test_a_failure_is_json_as_everywhere(home: Path, operations: FakeOperations) -> None:
    operations.break_with(BridgeError("STORE", "The store is gone."))
    async with served(home, operations) as client, client.get("/v1/metrics") as response:
        assert await told(response) == (500, "STORE")
