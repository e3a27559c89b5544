"""Documents that people write by hand: every mistake named by its place, none of its values repeated."""

from typing import Annotated

import pytest
from pydantic import Field

from bridge.strict_toml import MAX_PROBLEMS, ConfigError, Table, key_of, nearest, parse_document


class Inmost(Table):
    """A table in a table of an array."""


class Inner(Table):
    """A table of an array."""

    id: str
    colour: str = "red"
    inner: Inmost = Inmost()


class Outer(Table):
    """A document."""

    name: str = ""
    named: dict[str, Inner] = Field(default_factory=dict)
    rows: Annotated[tuple[Inner, ...], Field(strict=False)] = ()


def problems(text: str) -> list[tuple[str, str, str]]:
    with pytest.raises(ConfigError) as refused:
        parse_document(text, Outer, file="x.toml")
    return [(each.key, each.why, each.mend) for each in refused.value.problems]


@pytest.mark.parametrize(
    "text, key, why, mend",
    [
        ("name_ = 'x'", "name_", "there is no such key", "Did you mean 'name'?"),
        ("zzz = 'x'", "zzz", "there is no such key", "Valid here: name, named, rows."),
        ("[named.one]\nid = 'a'\ncolor = 'x'", "named.one.color", "there is no such key", "Did you mean 'colour'?"),
        (
            "[[rows]]\nid = 'my-row'\ncolor = 'x'",
            "rows[my-row].color",
            "there is no such key",
            "Did you mean 'colour'?",
        ),
        ("[[rows]]\nid = 'My row'\ncolor = 'x'", "rows[#1].color", "there is no such key", "Did you mean 'colour'?"),
        ("[[rows]]\ncolour = 'x'", "rows[#1].id", "it is missing", "Add it."),
        ("rows = 5", "rows", 'it must be a list, in brackets: ["..."]', "Change it"),
        ("named = 5", "named", "it must be a table", "Write [named] on a line of its own"),
        ("named = {a = 5}", "named.a", "it must be a table", "Write [named.a] on a line of its own"),
        ("rows = [5]", "rows[#1]", "it must be a table", "Write [[rows]] on a line of its own"),
        ("[[rows]]\nid = 'a'\ninner = 5", "rows[a].inner", "it must be a table", "Write it in braces: inner = { ... }"),
        ("name = 5", "name", "it must be text, in quotes", "Change it"),
        ("= 5", "", "it is not TOML", "Correct that line."),
        ("name = " + "1" * 5_000, "", "a number in it is too long", "Write a shorter one."),
        ("name = " + "[" * 5_000, "", "nested too deeply", "Take out the nested brackets."),
    ],
)
def test_a_mistake_is_named_by_its_place_and_with_what_mends_it(text: str, key: str, why: str, mend: str) -> None:
    ((found, reason, advice),) = problems(text)
    assert found == key
    assert why in reason
    assert advice.startswith(mend)


def test_every_mistake_is_told_at_once_and_no_value_is_repeated() -> None:
    found = problems("name = 1\n[named.a]\nid = 7\nsecret = 'hunter2'\n[[rows]]\nid = 'row'\ncolour = 1234567")
    assert [key for key, _, _ in found] == ["name", "named.a.id", "named.a.secret", "rows[row].colour"]
    assert not any(value in str(found) for value in ("hunter2", "1234567"))


def test_of_a_file_of_another_kind_the_first_mistakes_are_told_and_how_many_more_there_are() -> None:
    """Red when each is told: 50,000 would be in the log's line and in the answer, which is longer than one may be."""
    found = problems("".join(f"key{number} = 1\n" for number in range(5 * MAX_PROBLEMS)))
    assert len(found) == MAX_PROBLEMS + 1
    assert found[-1] == ("", f"there are {4 * MAX_PROBLEMS} more mistakes in it", "Correct these first.")
    assert len(problems("".join(f"key{number} = 1\n" for number in range(MAX_PROBLEMS)))) == MAX_PROBLEMS


def test_a_key_with_control_characters_is_shown_without_them_and_cut() -> None:
    ((key, _, _),) = problems('"\\u001b[2J\\u202e' + "x" * 100 + '" = 1')
    assert key == "?[2J?" + "x" * 59 + "..."
    assert key_of((0,)) == "[#1]"


def test_advice_names_the_nearest_word_or_where_to_look() -> None:
    assert nearest("screen.evl", ["screen.eval", "screen.show"]) == "Did you mean 'screen.eval'?"
    assert nearest("?", ["b", "a"]) == "Valid here: b, a."
    assert nearest("?", [str(number) * 9 for number in range(30)]) == "See: clawdis-bridge acl show"
