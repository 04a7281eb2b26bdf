"""Secrets are taken out of what a log says of its command line and its source code, and nothing else."""

from __future__ import annotations

import shlex

import pytest

from trainlog.redaction import redacted_arguments, redacted_source

HIDDEN = "[redacted]"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("train.py --api-key=abc --lr 3e-4", f"train.py --api-key={HIDDEN} --lr 3e-4"),
        ("train.py --api_key abc --lr 3e-4", f"train.py --api_key {HIDDEN} --lr 3e-4"),
        ("train.py --wandbApiKey abc", f"train.py --wandbApiKey {HIDDEN}"),
        ("train.py wandb.api_key=abc task=walk", f"train.py wandb.api_key={HIDDEN} task=walk"),
        ("train.py --password p --token t", f"train.py --password {HIDDEN} --token {HIDDEN}"),
        ("train.py --token --lr 1", "train.py --token --lr 1"),
        ("env HF_TOKEN=abc train.py", f"env HF_TOKEN={HIDDEN} train.py"),
        ("train.py --header 'Authorization: Bearer abc.def'", f"train.py --header 'Authorization: {HIDDEN}'"),
        ("train.py --header 'Authorization: token abc'", f"train.py --header 'Authorization: {HIDDEN}'"),
        ("train.py 'Cookie: a=b; c=d'", f"train.py 'Cookie: {HIDDEN}'"),
        ("train.py '--password=a b,c&d;e}f'", f"train.py --password={HIDDEN}"),
        ('train.py --password=a\\"b HF_TOKEN=a,b', f"train.py --password={HIDDEN} HF_TOKEN={HIDDEN}"),
        ("train.py --url 'https://host/?token=a&lr=1'", f"train.py --url 'https://host/?token={HIDDEN}&lr=1'"),
        ("train.py env=token=abc --out secret/run:3", f"train.py env=token={HIDDEN} --out secret/run:3"),
        ("train.py --url https://me:p@w@host/x", f"train.py --url https://{HIDDEN}@host/x"),
        ("train.py --url https://me:pw@host/x", f"train.py --url https://{HIDDEN}@host/x"),
        ("train.py hf_abcdefghijklmnopqrstuvwxyz", f"train.py {HIDDEN}"),
        ("train.py sk-abcdefghijklmnopqrstuvwxyz", f"train.py {HIDDEN}"),
        ("train.py ghp_abcdefghijklmnopqrstuvwxyz0123", f"train.py {HIDDEN}"),
        ('train.py \'{"secret": "abc", "lr": 1}\'', f'train.py \'{{"secret": "{HIDDEN}", "lr": 1}}\''),
        ('train.py \'{"secret": "a b,c", "lr": 1}\'', f'train.py \'{{"secret": "{HIDDEN}", "lr": 1}}\''),
        ("train.py --tokenizer gpt2 --max-tokens 512", "train.py --tokenizer gpt2 --max-tokens 512"),
        ("train.py --seed=3 --keyboard=us --author me", "train.py --seed=3 --keyboard=us --author me"),
        ("train.py --task risk-averse-walking-on-ice", "train.py --task risk-averse-walking-on-ice"),
    ],
)
def test_command_lines(command: str, expected: str) -> None:
    assert redacted_arguments(shlex.split(command)) == shlex.split(expected)


def test_source_code() -> None:
    text = (
        "+API_KEY = 'abcdefgh12345'\n+token = next(tokens)\n+config['secret'] = \"abcdefghijk\"\n"
        "+key = hf_abcdefghijklmnopqrstuvwxyz\n-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\n"
        "+password_field = 'name'\n"
    )
    found, redacted = redacted_source(text)
    assert redacted
    assert found == (
        f"+API_KEY = '{HIDDEN}'\n+token = next(tokens)\n+config['secret'] = \"{HIDDEN}\"\n"
        f"+key = {HIDDEN}\n{HIDDEN}\n+password_field = 'name'\n"
    )
    plain = "+loss = model(tokens).mean()\n+lr = 3e-4\n"
    assert redacted_source(plain) == (plain, False)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('api_key: str = "abcdefgh12345"', f'api_key: str = "{HIDDEN}"'),
        ("    token: Final[str | None] = 'abcdefgh12345'", f"    token: Final[str | None] = '{HIDDEN}'"),
        ('def login(token: str | None = "abcdefgh12345"):', f'def login(token: str | None = "{HIDDEN}"):'),
        ('SECRET_KEY = b"abcdefgh12345"', f'SECRET_KEY = b"{HIDDEN}"'),
        ('PASSWORD = """abcdefgh12345"""', f'PASSWORD = """{HIDDEN}"""'),
        ('if password == "abcdef\'gh":', f'if password == "{HIDDEN}":'),
        ('data = \'{"token":"abcdefgh12345"}\'', f'data = \'{{"token":"{HIDDEN}"}}\''),
        ('{"token": b"abcdefgh12345", "name": "abcdefgh12345"}', f'{{"token": b"{HIDDEN}", "name": "abcdefgh12345"}}'),
        ("tokens: list[str] = ['abcdefgh12345']", "tokens: list[str] = ['abcdefgh12345']"),
        ("urls = ['https://host', 'me@host']", "urls = ['https://host', 'me@host']"),
    ],
)
def test_literals(line: str, expected: str) -> None:
    assert redacted_source(line) == (expected, line != expected)


@pytest.mark.parametrize("word", ["a", "0f", "a.", "://a", "a ", "a='"])
def test_a_long_line_takes_no_long_time(word: str) -> None:
    text = word * (1 << 16)  # minutes, if the time grows with the square of the length
    assert redacted_source(text) == (text, False)
    assert redacted_arguments([text]) == [text]
