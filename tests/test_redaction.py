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
        ("train.py --header 'Authorization: Bearer abc.def'", f"train.py --header 'Authorization: {HIDDEN} {HIDDEN}'"),
        ("train.py --url https://me:pw@host/x", f"train.py --url https://{HIDDEN}@host/x"),
        ("train.py hf_abcdefghijklmnopqrstuvwxyz", f"train.py {HIDDEN}"),
        ("train.py sk-abcdefghijklmnopqrstuvwxyz", f"train.py {HIDDEN}"),
        ("train.py ghp_abcdefghijklmnopqrstuvwxyz0123", f"train.py {HIDDEN}"),
        ('train.py \'{"secret": "abc", "lr": 1}\'', f'train.py \'{{"secret": "{HIDDEN}", "lr": 1}}\''),
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
