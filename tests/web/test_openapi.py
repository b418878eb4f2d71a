"""The document and the routes name the same paths."""

import re

from nixeryd.web.framework import make_framework_app
from nixeryd.web.openapi import ENDPOINTS
from nixeryd.web.ports import ListenerKind


def test_every_path_of_the_api_is_described_and_no_other(control):
    from nixeryd.web.app import _Late  # noqa: PLC0415  what is inside is the point

    app = _Late(control, ListenerKind.ADMIN)._make()
    assert type(app) is type(make_framework_app())
    served = {
        (method.lower(), re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert {(one.method, one.path) for one in ENDPOINTS} == served
