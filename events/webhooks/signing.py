"""Signatures as Standard Webhooks has them: https://www.standardwebhooks.com"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable

PREFIX = "whsec_"
# Bytes of a new secret, and those that the specification allows.
SIZE, LEAST, MOST = 32, 24, 64


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(SIZE)).decode()


def key_of(secret: str) -> bytes:
    """The bytes of a secret; ValueError if it is none."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError:
        key = b""
    if not (secret.startswith(PREFIX) and LEAST <= len(key) <= MOST):
        raise ValueError(f"a secret is {PREFIX} and the base64 of {LEAST} to {MOST} bytes")
    return key


def sign(keys: Iterable[str], id: str, seconds: int, body: bytes) -> str:
    """The value of `webhook-signature`: one signature for each secret that is valid now."""
    signed = f"{id}.{seconds}.".encode() + body
    return " ".join(
        "v1," + base64.b64encode(hmac.digest(key_of(one), signed, hashlib.sha256)).decode()
        for one in keys
    )
