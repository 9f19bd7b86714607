"""Who may use the API: the main token, and those given to service accounts until they expire."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from datetime import datetime

# Bytes of randomness in a token: far beyond guessing.
_TOKEN_BYTES = 32

ADMIN = "system:admin"


class Tokens:
    """The tokens in force. Only digests of the issued ones are kept."""

    def __init__(self, main: str) -> None:
        self._main = main.encode()
        # By SHA-256 of the token: its user and its end.
        self._issued: dict[bytes, tuple[str, datetime]] = {}

    def issue(self, user: str, now: datetime, expires: datetime) -> str:
        """A new token for ``user``; expired ones are forgotten on the way."""
        self._issued = {digest: entry for digest, entry in self._issued.items() if entry[1] > now}
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._issued[_digest(token.encode())] = (user, expires)
        return token

    def user(self, authorization: str, now: datetime) -> str | None:
        """The user whom an Authorization header names, None when its token isn't in force."""
        token = _token(authorization)
        if hmac.compare_digest(token, self._main):
            return ADMIN
        # A digest tells nothing about the token, so how long its look-up takes tells nothing either.
        user, expires = self._issued.get(_digest(token), ("", now))
        return user if expires > now else None


def _token(authorization: str) -> bytes:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "basic":
        # kubectl keeps bearer tokens from plain HTTP, but sends what stands in the URL:
        # http://any:TOKEN@127.0.0.1
        try:
            return base64.b64decode(value, validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return value.strip().encode("utf-8", "surrogateescape") if scheme.lower() == "bearer" else b""


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
