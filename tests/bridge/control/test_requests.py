"""What the API takes, and above all what it does not."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from bridge.control.requests import (
    MAX_TTL_S,
    MIN_TTL_S,
    ApproveBody,
    Body,
    ChangeNodeBody,
    ExplainBody,
    NoBody,
    PairBody,
    RevokeBody,
    RotateBody,
    first_problem,
    require_id,
)
from bridge.errors import UnknownId

ALL = (ApproveBody, ChangeNodeBody, ExplainBody, NoBody, PairBody, RevokeBody, RotateBody)
LEAST: dict[type[Body], str] = {
    ChangeNodeBody: '"name":"x"',
    ExplainBody: '"node":"abcd","method":"m"',
    RevokeBody: '"all":true',
}


@pytest.mark.parametrize("model", ALL)
def test_every_body_refuses_unknown_keys_and_anything_but_an_object(model: type[Body]) -> None:
    least = LEAST.get(model, "")
    model.model_validate_json("{" + least + "}")
    with pytest.raises(ValidationError, match="Extra inputs"):
        model.model_validate_json("{" + least + ("," if least else "") + '"surprise":1}')
    for other in ("[]", "null", '"x"', "", "{", "1"):
        with pytest.raises(ValidationError):
            model.model_validate_json(other)


@pytest.mark.parametrize(
    "model, text",
    [
        (ApproveBody, '{"permissions":"screen"}'),
        (ApproveBody, '{"permissions":["root"]}'),
        (ApproveBody, '{"permissions":["Screen"]}'),
        (ApproveBody, '{"permissions":[1]}'),
        (ApproveBody, '{"name":""}'),
        (ApproveBody, '{"name":"   "}'),
        (ApproveBody, json.dumps({"name": "n" * 65})),
        (ApproveBody, '{"code":"12345"}'),
        (ApproveBody, '{"code":"1234567"}'),
        (ApproveBody, '{"code":"123 456"}'),
        (ApproveBody, '{"code":"12345a"}'),
        (ApproveBody, '{"code":123456}'),
        (ApproveBody, '{"code":"\u0661\u0662\u0663\u0664\u0665\u0666"}'),
        (ApproveBody, '{"code":"123456\\n"}'),
        (RotateBody, '{"commit":"true"}'),
        (RotateBody, '{"commit":1}'),
        (ChangeNodeBody, "{}"),
        (ChangeNodeBody, '{"name":null}'),
        (RevokeBody, "{}"),
        (RevokeBody, '{"ids":[]}'),
        (RevokeBody, '{"ids":["a"],"all":true}'),
        (RevokeBody, '{"all":false}'),
        (RevokeBody, '{"all":true,"others":"abcd"}'),
        (RevokeBody, '{"others":"../x"}'),
        (RevokeBody, json.dumps({"ids": ["abcd"] * 257})),
        (PairBody, '{"permissions":["voice"],"profile":"phone"}'),
        (PairBody, '{"ttlS":"300"}'),
        (PairBody, '{"ttlS":300.5}'),
        (PairBody, json.dumps({"ttlS": MIN_TTL_S - 1})),
        (PairBody, json.dumps({"ttlS": MAX_TTL_S + 1})),
        (PairBody, '{"address":"example.com"}'),
        (PairBody, '{"address":"fe80::1%en0"}'),
        (PairBody, '{"profile":""}'),
        (ExplainBody, '{"node":"abcd"}'),
        (ExplainBody, '{"node":"abcd","method":""}'),
    ],
)
def test_what_makes_no_sense_is_refused(model: type[Body], text: str) -> None:
    with pytest.raises(ValidationError):
        model.model_validate_json(text)


def test_a_good_body_is_read() -> None:
    body = PairBody.model_validate_json('{"permissions":["voice","screen","voice"],"ttlS":60,"address":"FE80::1"}')
    assert (body.permissions, body.ttl_s, body.address) == (["voice", "screen"], 60, "fe80::1")
    assert ApproveBody.model_validate_json('{"name":" Anna "}').name == "Anna"
    assert ApproveBody.model_validate_json('{"permissions":[]}').permissions == []
    assert PairBody().ttl_s == 300
    assert ApproveBody.model_validate_json('{"code":"012345"}').code == "012345"
    assert "012345" not in repr(ApproveBody(code="012345"))
    assert (RotateBody().commit, RotateBody.model_validate_json('{"commit":true}').commit) == (False, True)


def test_the_problem_is_named_without_the_value() -> None:
    with pytest.raises(ValidationError) as caught:
        PairBody.model_validate_json('{"ttlS":"hunter2"}')
    assert first_problem(caught.value) == "ttlS: Input should be a valid integer"
    with pytest.raises(ValidationError) as caught:
        RevokeBody.model_validate_json("{}")
    assert first_problem(caught.value) == "exactly one of ids, all and others must be given"


@pytest.mark.parametrize("text", ["a", "7f3a", "req:1", "A.b_c-d:e", "x" * 128])
def test_ids_have_a_shape(text: str) -> None:
    assert require_id(text) == text


@pytest.mark.parametrize("text", ["", ".", "..", "-a", "a/b", "a b", "a\n", "\u00e4", "x" * 129, "--all"])
def test_other_text_is_no_id(text: str) -> None:
    with pytest.raises(UnknownId):
        require_id(text)
