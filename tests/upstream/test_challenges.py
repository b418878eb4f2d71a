import pytest
from hypothesis import given, strategies as st

from nixeryd.upstream.challenges import (
    Basic,
    Bearer,
    Unsupported,
    choose,
    parse_challenges,
)


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        (
            (
                'Bearer realm="https://auth.docker.io/token",'
                'service="registry.docker.io",scope="repository:library/nginx:pull"'
            ),
            [
                Bearer(
                    "https://auth.docker.io/token",
                    "registry.docker.io",
                    "repository:library/nginx:pull",
                )
            ],
        ),
        (
            'Bearer realm="r", scope="repository:a:pull,push"',
            [Bearer("r", None, "repository:a:pull,push")],
        ),
        ('BEARER  REALM = "r" , Service=s', [Bearer("r", "s")]),
        ("Bearer realm=r", [Bearer("r")]),
        (r'Bearer realm="a\"b\\c"', [Bearer(r'a"b\c')]),
        ('Bearer realm="r",realm="other"', [Bearer("r")]),
        ('Bearer realm="r",error="invalid_token"', [Bearer("r")]),
        ('Basic realm="Registry Realm"', [Basic("Registry Realm")]),
        ("Basic", [Basic("")]),
        (
            'Basic realm="simple", Bearer realm="r",service="s", Basic realm="x"',
            [Basic("simple"), Bearer("r", "s"), Basic("x")],
        ),
        ('Negotiate, Basic realm="x"', [Unsupported("negotiate"), Basic("x")]),
        ('Negotiate YWJj==, Basic realm="x"', [Unsupported("negotiate"), Basic("x")]),
        ('Newauth a="b", c=d, Basic realm="x"', [Unsupported("newauth"), Basic("x")]),
        (', ,Basic realm="x",,', [Basic("x")]),
        ("Bearer", [Unsupported("bearer")]),
        ('Bearer realm=""', [Unsupported("bearer")]),
        ("", []),
        ("   ", []),
        ('="x"', []),
    ],
)
def test_challenges_are_read(header, challenges):
    assert parse_challenges([header]) == tuple(challenges)


def test_what_precedes_a_fault_counts():
    header = 'Basic realm="x", Bearer realm="never closed'
    assert parse_challenges([header])[0] == Basic("x")


def test_several_fields_are_one_list():
    fields = ['Basic realm="x"', 'Bearer realm="r"']
    assert parse_challenges(fields) == (Basic("x"), Bearer("r"))


@given(st.lists(st.text()))
def test_no_header_raises(values):
    parse_challenges(values)


@given(st.text(alphabet='Basic Bearer,="\\ \t'))
def test_no_almost_header_raises(value):
    parse_challenges([value])


@given(st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E)))
def test_any_quoted_realm_comes_back(realm):
    quoted = realm.replace("\\", r"\\").replace('"', r"\"")
    assert parse_challenges([f'Basic realm="{quoted}"']) == (Basic(realm),)


@pytest.mark.parametrize(
    ("challenges", "chosen"),
    [
        ([], None),
        ([Unsupported("negotiate")], None),
        ([Basic("x"), Bearer("r"), Bearer("s")], Bearer("r")),
        ([Unsupported("negotiate"), Basic("x")], Basic("x")),
    ],
)
def test_bearer_is_chosen_before_basic(challenges, chosen):
    assert choose(challenges) == chosen
