import json

import pytest
from hypothesis import given, strategies as st

from nixeryd.setup import json_text
from nixeryd.setup.errors import ParseError

spaces = st.text(alphabet=" \t\n\r", max_size=4)
strings = st.one_of(
    st.text(max_size=8),
    st.sampled_from(['"', "\\", '\\"]}', "{[", ",", "mirrors", "\u00e9\U0001f433"]),
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), strings
)


@st.composite
def written(draw, value):
    """Some way to write a value down: any blanks, any escapes."""
    blank = draw(spaces)
    if isinstance(value, list):
        items = [f"{draw(spaces)}{draw(written(one))}{draw(spaces)}" for one in value]
        return f"[{','.join(items) or blank}]"
    if isinstance(value, dict):
        members = [
            f"{draw(spaces)}{json.dumps(key, ensure_ascii=draw(st.booleans()))}"
            f"{draw(spaces)}:{draw(spaces)}{draw(written(one))}{draw(spaces)}"
            for key, one in value.items()
        ]
        return f"{{{','.join(members) or blank}}}"
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return "1e400"
    return json.dumps(value, ensure_ascii=draw(st.booleans()))


values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(strings, inner, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def documents(draw):
    data = draw(st.dictionaries(strings, values, max_size=4))
    if draw(st.booleans()):
        data["mirrors"] = draw(st.lists(values, max_size=3))
    elif "mirrors" in data:
        del data["mirrors"]
    return draw(spaces) + draw(written(data)) + draw(spaces)


def is_one_insertion(old, new):
    """Whether cutting one piece out of `new` gives `old`."""
    ahead = next(
        (n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), len(old)
    )
    rest = old[ahead:]
    return len(new) > len(old) and new.endswith(rest)


@given(documents())
def test_an_item_comes_in_by_one_insertion_and_nothing_else_changes(text):
    old = json.loads(text)
    new = json_text.put_first(text, "mirrors", "http://é/")
    assert is_one_insertion(text, new)
    want = {**old, "mirrors": ["http://é/", *old.get("mirrors", [])]}
    assert list(json.loads(new).items()) == list(want.items())


@given(documents())
def test_a_document_is_read_as_the_real_parser_reads_it(text):
    assert list(json_text.parse(text)) == list(json.loads(text))


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("", '{\n  "k": ["v"]\n}\n'),
        ("\n", '{\n  "k": ["v"]\n}\n'),
        ("{}", '{\n  "k": ["v"]\n}'),
        ("{\n}\n", '{\n  "k": ["v"]\n}\n'),
        ("{\r\n}\r\n", '{\r\n  "k": ["v"]\r\n}\r\n'),
        ('{"a":1}', '{"a":1,"k":["v"]}'),
        ('{"a": 1}', '{"a": 1, "k": ["v"]}'),
        ('{ "a" : 1 }', '{ "a" : 1, "k" : ["v"] }'),
        ('{\n\t"a": 1\n}', '{\n\t"a": 1,\n\t"k": ["v"]\n}'),
        # A blank line between two members is no style for the third.
        ('{\n  "a": 1,\n\n  "b": 2\n}', '{\n  "a": 1,\n\n  "b": 2,\n  "k": ["v"]\n}'),
        ('{"k": []}', '{"k": ["v"]}'),
        ('{"k":["a"]}', '{"k":["v", "a"]}'),
        ('{"k":["a","b"]}', '{"k":["v","a","b"]}'),
        ('{"k": [\n  "a"\n]}', '{"k": [\n  "v",\n  "a"\n]}'),
        # Go, as Python, takes the last of equal keys.
        ('{"k": ["a"], "k": ["b"]}', '{"k": ["a"], "k": ["v", "b"]}'),
        ('{"\\u006b": ["a"]}', '{"\\u006b": ["v", "a"]}'),
        ('{"n": 1e400, "i": ' + "9" * 5000 + "}", None),
    ],
)
def test_the_style_around_is_taken_up(text, want):
    new = json_text.put_first(text, "k", "v")
    assert new == (want or text[:-1] + ', "k": ["v"]}')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "line 1, column 2: not JSON"),
        ('{\n  "a": 1,\n}', "line 3, column 1: not JSON|line 2, column 9: not JSON"),
        ('{\n  // why\n  "a": 1\n}', "line 2, column 3: not JSON"),
        ('{"a": NaN}', "NaN is no JSON value"),
        ("\n []", "line 2, column 2: not a JSON object"),
        ('{\n "k": "http://x"}', "line 2, column 7: 'k' is not a list"),
        ('{"k": null}', "'k' is not a list"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deep"),
        ('{"a": "tab\there"}', "column 11: not JSON"),
    ],
)
def test_what_is_no_json_is_named_with_its_place(text, message):
    with pytest.raises(ParseError, match=message):
        json_text.put_first(text, "k", "v")
