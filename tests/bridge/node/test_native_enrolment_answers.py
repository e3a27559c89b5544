"""What a bridge may answer to a native enrolment: read strictly, bounded, and believed only when it fits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from bridge.node.pairing_answers import MAX_ANSWER_BYTES
from bridge.node.pairing_errors import (
    BadAnswer,
    Expired,
    Refused,
)
from tests.bridge.node.stages import KINDS, DoubleStage, Node, approved, end_of, new_key, refusal
from tests.doubles.pairing_bridge import Doc, PairingBridge, refused
from tests.doubles.pairing_crypto import b64


def without(*names: str) -> Callable[[Doc], object]:
    return lambda answer: [answer.pop(name) for name in names]


def saying(**members: Any) -> Callable[[Doc], object]:
    return lambda answer: answer.update(members)


class TestAnswers:
    @pytest.mark.parametrize(
        "twist",
        [
            without("id"), without("nonce"), without("bridge"), without("device"), without("permissions"),
            saying(id=""), saying(id=7), saying(id="../x"), saying(id="a/b"), saying(id="a" * 129), saying(id="a?b"),
            saying(nonce=""), saying(nonce="A" * 42), saying(nonce="A" * 43), saying(nonce="A" * 44), saying(nonce=1),
            saying(bridge={}), saying(bridge={"spki": "AB" * 32}), saying(bridge={"spki": 1}), saying(device={}),
            saying(device={"displayName": "x" * 65}), saying(device={"displayName": 1}),
            saying(permissions="screen"), saying(permissions=[1]), saying(permissions=["a,b"]),
            saying(permissions=[""]), saying(permissions=["a"] * 65), saying(permissions=["\x1b[31m"]),
        ],
    )  # fmt: skip
    async def test_an_opening_that_makes_no_sense_ends_it_before_the_reveal(
        self, double: PairingBridge, twist: Callable[[Doc], object]
    ) -> None:
        double.twists["opened"] = twist
        node = Node(double)
        assert isinstance(await refusal(node), BadAnswer)
        assert double.paths == ["/pair/v1/enroll"]
        assert node.codes == []

    async def test_our_own_nonce_sent_back_ends_it(self, double: PairingBridge) -> None:
        double.twists["opened"] = saying(nonce=b64(bytes(range(32))))
        node = Node(double, draw=lambda length: bytes(range(length)))
        assert isinstance(await refusal(node), BadAnswer)
        assert double.paths == ["/pair/v1/enroll"]

    async def test_members_it_does_not_know_are_ignored(self, double: PairingBridge) -> None:
        double.twists["opened"] = saying(more={"a": [1]})
        double.twists["standing"] = saying(more="x")
        await approved(Node(double), DoubleStage(double))

    @pytest.mark.parametrize(
        "twist",
        [
            without("certificate"), without("nodeId"), without("status"), saying(status="paired"), saying(status=None),
            saying(nodeId="ab" * 32), saying(nodeId=1), saying(nextSpki="x"), saying(nextSpki="AB" * 32),
            saying(certificate=""), saying(certificate="x"), saying(certificate=1), saying(certificate="x" * 9000),
            saying(certificate="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            saying(permissions=[1]), lambda answer: answer.update(certificate=2 * answer["certificate"]),
        ],
    )  # fmt: skip
    async def test_an_approval_that_makes_no_sense_is_none(
        self, double: PairingBridge, twist: Callable[[Doc], object]
    ) -> None:
        double.twists["standing"] = lambda answer: twist(answer) if "certificate" in answer else None
        link = await DoubleStage(double).invite()
        assert isinstance(await refusal(Node(double, link=link)), BadAnswer)

    @pytest.mark.parametrize("kind", KINDS)
    async def test_a_certificate_for_another_key_is_refused(self, double: PairingBridge, kind: str) -> None:
        """Guard out, `read_certificate` without its comparison of keys: the ceremony ends well."""
        other = new_key(kind)
        double.twists["standing"] = lambda answer: answer.update(certificate=double.issue(other.public_key()))
        link = await DoubleStage(double).invite()
        error = await refusal(Node(double, link=link))
        assert isinstance(error, BadAnswer)
        assert "another key" in error.why

    @pytest.mark.parametrize("lifetime", [(-2, -1), (1, 2)])
    async def test_a_certificate_that_is_not_valid_now_is_refused(
        self, double: PairingBridge, lifetime: tuple[int, int]
    ) -> None:
        double.lifetime = (timedelta(days=lifetime[0]), timedelta(days=lifetime[1]))
        link = await DoubleStage(double).invite()
        error = await refusal(Node(double, link=link))
        assert isinstance(error, BadAnswer)
        assert "clock" in error.why

    async def test_the_clock_is_the_one_it_was_given(self, double: PairingBridge) -> None:
        link = await DoubleStage(double).invite()
        late = datetime.now(UTC) + timedelta(days=91)
        assert isinstance(await refusal(Node(double, link=link, now=lambda: late)), BadAnswer)

    async def test_the_next_key_is_taken_from_the_approval(self, double: PairingBridge) -> None:
        double.next_key = ec.generate_private_key(ec.SECP256R1())
        enrolled = await approved(Node(double), DoubleStage(double))
        assert enrolled.next_spki == enrolled.identity.next_spki == double.next_spki

    async def test_the_present_key_is_no_next_one(self, double: PairingBridge) -> None:
        double.next_key = double.key
        assert (await approved(Node(double), DoubleStage(double))).next_spki is None


class TestRefusals:
    async def test_an_error_keeps_its_code_words_and_time(self, double: PairingBridge) -> None:
        double.answers["/pair/v1/enroll"] = lambda: refused(429, "RATE_LIMITED", "too many", retryAfterMs=1500)
        error = await refusal(Node(double))
        assert isinstance(error, Refused)
        assert (error.status, error.code, error.message, error.retry_after_s) == (429, "RATE_LIMITED", "too many", 1.5)
        assert len(double.seen) == 1  # it never tries again by itself

    @pytest.mark.parametrize(
        "answer",
        [
            web.Response(status=404), web.Response(status=500, text="<html>"), web.json_response([], status=400),
            web.json_response({"error": "x"}, status=400), web.json_response({"error": {"code": "x"}}, status=400),
        ],
    )  # fmt: skip
    async def test_one_without_reason_is_named_by_its_status(self, double: PairingBridge, answer: web.Response) -> None:
        double.answers["/pair/v1/enroll"] = lambda: web.Response(status=answer.status, body=answer.body)
        error = await refusal(Node(double))
        assert isinstance(error, Refused)
        assert (error.status, error.code) == (answer.status, f"HTTP_{answer.status}")

    @pytest.mark.parametrize("status", [200, 204, 202, 301, 307])
    async def test_another_status_is_no_answer_and_no_way_elsewhere(self, double: PairingBridge, status: int) -> None:
        double.answers["/pair/v1/enroll"] = lambda: web.Response(status=status, headers={"Location": "/elsewhere"})
        assert isinstance(await refusal(Node(double)), BadAnswer)
        assert double.paths == ["/pair/v1/enroll"]

    async def test_a_refused_reveal_shows_no_code(self, double: PairingBridge) -> None:
        double.twists["opened"] = lambda answer: setattr(double.ceremonies[answer["id"]], "commit", b"")
        node = Node(double)
        error = await refusal(node)
        assert isinstance(error, Refused)
        assert error.status == 409
        assert node.codes == []

    async def test_a_request_that_is_gone_ends_it(self, double: PairingBridge) -> None:
        async def forget() -> None:
            double.ceremonies.clear()

        assert isinstance(await end_of(Node(double), forget), Refused)

    async def test_one_that_the_bridge_gave_up_has_expired(self, double: PairingBridge) -> None:
        assert isinstance(await end_of(Node(double), double.expire), Expired)

    async def test_a_spent_link_is_refused(self, double: PairingBridge) -> None:
        link = await DoubleStage(double).invite()
        await Node(double, link=link).enrolment.enrol()
        assert isinstance(await refusal(Node(double, link=link)), Refused)


class TestBounds:
    async def test_an_answer_of_the_limit_is_read_and_one_byte_more_is_not(self, double: PairingBridge) -> None:
        """Guard out, `_read` without its limit: the second answer is read whole."""
        for size, words in ((MAX_ANSWER_BYTES, "no JSON"), (MAX_ANSWER_BYTES + 1, "more than")):
            double.answers["/pair/v1/enroll"] = lambda size=size: web.Response(status=201, body=b" " * size)  # type: ignore[misc]  # a default binds the loop's value
            error = await refusal(Node(double))
            assert isinstance(error, BadAnswer)
            assert words in error.why

    @pytest.mark.parametrize("body", [b"", b"{", b"[[[[[[[[[[1]]]]]]]]]]", b'{"id":1,"id":2}', b"\xff", b"NaN"])
    async def test_json_is_read_strictly(self, double: PairingBridge, body: bytes) -> None:
        double.answers["/pair/v1/enroll"] = lambda: web.Response(status=201, body=body)
        assert isinstance(await refusal(Node(double)), BadAnswer)

    async def test_a_compressed_answer_is_not_opened(self, double: PairingBridge) -> None:
        """Guard out, `auto_decompress` on: the bomb is opened as far as the limit."""

        def bomb() -> web.Response:
            made = web.Response(status=201, body=b" " * 10_000_000)
            made.enable_compression(web.ContentCoding.gzip)
            return made

        double.answers["/pair/v1/enroll"] = bomb
        error = await refusal(Node(double))
        assert isinstance(error, BadAnswer)
        assert "no JSON" in error.why

    async def test_it_says_no_more_of_itself_than_it_must(self, double: PairingBridge) -> None:
        def opened(answer: Doc) -> None:
            double.cookie = "a=b"

        double.twists["opened"] = opened
        await approved(Node(double), DoubleStage(double))
        names = {name.lower() for headers in double.headers for name in headers}
        assert names <= {"host", "accept", "content-length", "content-type", "x-bridge-proof"}
