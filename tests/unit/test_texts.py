"""Source texts behind inputs: what is running, never what is not; and no secrets."""

from __future__ import annotations

import functools
import importlib
import json
import os
import sys
import time

import pytest

from blockcache.fingerprint.describe import describe
from blockcache.model import Input
from blockcache.texts import redact, redacted, source_of, texts_of

MODULE = '''\
import functools


def plain(x):
    """Doc."""
    return x + 1


def logged(f):
    @functools.wraps(f)
    def inner(*a):
        return f(*a)
    return inner


@logged
@logged
def decorated(x):
    return x


class Model:
    kind = "a"

    def fit(self, x):
        return """
  text
""" + x


@functools.total_ordering
class Empty:
    value = 1

    def __lt__(self, other):
        return True


short = lambda x: x * 2
'''


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A local module that was written well before it is imported."""
    path = tmp_path / "texts_probe.py"
    path.write_text(MODULE)
    os.utime(path, (1e9, 1e9))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "texts_probe", raising=False)
    yield importlib.import_module("texts_probe")
    sys.modules.pop("texts_probe", None)


def _texts(objects, body="", **more):
    inputs = [Input("code", "body", "0"), *(Input("definition", label, "0") for label in objects)]
    return texts_of(inputs, objects, body, **more)


def test_texts_are_those_of_the_body_and_of_definitions(module):
    """Functions, classes and methods, dedented, with their decorators; the body as it is."""
    found = _texts(
        {"m.plain": module.plain, "m.Model": module.Model, "m.fit": module.Model.fit, "m.short": module.short},
        'with cached_block("a"):\n    pass',
    )
    assert found["code body"] == 'with cached_block("a"):\n    pass'
    assert found["definition m.plain"] == 'def plain(x):\n    """Doc."""\n    return x + 1\n'
    assert found["definition m.Model"].startswith('class Model:\n    kind = "a"\n')
    assert found["definition m.fit"].lstrip().startswith("def fit(self, x):")
    assert found["definition m.short"] == "short = lambda x: x * 2\n"
    assert source_of(module.decorated.__wrapped__.__wrapped__).startswith("@logged\n@logged\ndef decorated")
    assert source_of(module.Empty).startswith("@functools.total_ordering\nclass Empty:")


def test_an_edit_after_the_import_is_never_shown_as_what_runs(module):
    """Where the file was edited since, only definitions that are still as they were have a text."""
    path = module.__file__
    with open(path) as file:
        text = file.read()
    with open(path, "w") as file:
        file.write(text.replace("return x + 1", "return x + 2").replace('kind = "a"', 'kind = "bb"'))
    future = time.time() + 5
    os.utime(path, (future, future))
    assert source_of(module.plain) == ""
    assert source_of(module.short) == "short = lambda x: x * 2\n"
    with open(path, "w") as file:
        file.write("\n" * 50 + text)
    os.utime(path, (future + 1, future + 1))
    assert source_of(module.plain) == "", "line numbers of the running code do not fit the file any more"


def test_what_has_no_source_has_no_text():
    """Built-ins, code from exec, vanished files and hostile objects are left out, and nothing is raised."""
    space = {"__name__": "ghost"}
    exec("def ghost(): pass\nclass Ghost: pass", space)

    class Hostile(type):
        def __getattribute__(cls, name):
            raise RuntimeError

    objects = {
        "a": len,
        "b": space["ghost"],
        "c": space["Ghost"],
        "d": functools.partial(len),
        "e": Hostile("H", (), {}),
        "f": json.dumps,
    }
    assert _texts(objects) == {}


def test_texts_are_bounded():
    """One that is too long is left out, and so is what does not fit in all."""
    assert _texts({}, "x" * (64 << 10)) != {} and _texts({}, "x" * (65 << 10)) == {}
    inputs = [Input("path", str(n), "0") for n in range(40)]
    found = texts_of(inputs, {}, "", paths={str(n): "y" * (60 << 10) for n in range(40)})
    assert 0 < len(found) < 40 and sum(map(len, found.values())) <= 1 << 20


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ('password = "hunter2"', "hunter2"), ("db_passwd='hunter2'", "hunter2"), ('{"token": "abc", "x": 1}', "abc"),
        ('os.environ["API_KEY"] = "k1"', "k1"), ('SECRET: str = """a\nb"""', "a\nb"), ('os.getenv("MY_SECRET", "zz")', "zz"),
        ('connect("host=a password=pw1 user=b")', "pw1"), ('get("http://h/?token=abc&b=1")', "abc"), ('u = "postgres://ada:pw1@h/db"', "pw1"),
        ('k = "AKIAIOSFODNN7EXAMPLE"', "AKIAIOSFODNN7EXAMPLE"), ('x = "ghp_abcdefghijklmnop1234"', "ghp_abcdefghijklmnop1234"),
        ('h = {"Authorization": "Bearer abc123def456"}', "abc123def456"), ('x = "0123456789abcdef0123456789abcdef"', "0123456789abcdef"),
        ('x = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo0NTY3"', "QUJD"), ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "MIIE"),
    ],
)  # fmt: skip
def test_secrets_are_taken_out(text, secret):
    """By the name that they are given, by their form, by where they stand; the rest of the text stays."""
    found = redact(text)
    assert secret not in found and "[redacted]" in found
    assert found[:3] == text[:3] or text.startswith(("AKIA", "ghp_"))


@pytest.mark.parametrize(
    "text",
    [
        "token = tokenize(text)", "tokens = text.split(' ')", "connect(password=pw)", "key = 'user_id'", "url = 'https://example.org/a:b'",
        'path = "data/raw/2024/a_rather_long_file_name_for_orders.csv"', 'col = "a_long_column_name_without_any_secret_in"', "# bearer of news",
    ],
)  # fmt: skip
def test_code_that_only_speaks_of_secrets_stays_as_it_is(text):
    """A diff without its code would be of no use."""
    assert redact(text) == text


def test_patterns_of_the_user_count_too():
    """The whole match goes, or only the group that is called secret; in texts and in notes."""
    assert redact("case CASE-123 of (Ada)", [r"CASE-\d+", r"\((?P<secret>\w+)\)"]) == "case [redacted] of ([redacted])"
    (item,) = redacted([Input("value", "x", "d", "'CASE-7'")], [r"CASE-\d+"])
    assert item == Input("value", "x", "d", "'[redacted]'")
    assert _texts({}, "x = 'CASE-7'", patterns=[r"CASE-\d+"]) == {"code body": "x = '[redacted]'"}


@pytest.mark.parametrize(
    ("value", "name", "text"),
    [
        (3, "n", "3"), ("abc", "mode", "'abc'"), ("a" * 41, "mode", "str of 41 characters"), ("a\nb", "mode", "str of 3 characters"),
        ("hunter2", "password", "str"), (1234, "pin_token", "int"), ("x", "cfg.api_key (local)", "str"), ("x", "API_KEY#2", "str"), ("x", "keys", "'x'"),
        ("my secret", "note", "str of 9 characters"), ("http://a:b@c", "url", "str of 12 characters"), ("3f9a8b7c6d5e4f3a2b1c", "x", "str of 20 characters"),
    ],
)  # fmt: skip
def test_notes_show_numbers_and_short_text_but_no_secret(value, name, text):
    """What a value is called and what it looks like decide."""
    assert describe(value, name) == text
