"""Imaginary ways of signing, and the exchange's side that checks them."""

import base64
import hashlib
import hmac
import json
from urllib.parse import parse_qs, parse_qsl

import msgspec

from market_collector.errors import FrameError
from market_collector.exchanges.interface import Credentials, Request, Stamp
from rest_apis import Scripted

KEY = {"apiKey": "the-api-key", "privateKey": "the-private-key"}


def mac(secret: str, text: str) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), hashlib.sha512)).decode()


class Signatures:
    """Like Binance: each request has the key, the time and a signature."""

    fields: tuple[str, ...] = tuple(KEY)
    token_life_s = 0.0

    def frame(self, text: str, credentials: Credentials, stamp: Stamp, token: str) -> str:
        api_key, private_key = credentials
        signed = json.loads(text) | {"apiKey": api_key, "timestamp": stamp.time_ns // 1_000_000}
        return json.dumps(signed | {"signature": mac(private_key, json.dumps(signed))})

    def request(self, request: Request, credentials: Credentials, stamp: Stamp) -> Request:
        api_key, private_key = credentials
        query = f"{request.path}?timestamp={stamp.time_ns // 1_000_000}"
        path = f"{query}&signature={mac(private_key, query).encode().hex()}"
        return msgspec.structs.replace(request, path=path, headers=(("X-Key", api_key),))

    def token_request(self) -> Request | None:
        return None

    def read_token(self, body: bytes) -> str:
        raise AssertionError("there is no token")


class Tokens(Signatures):
    """Like Kraken: a signed POST with a rising nonce gets a token, which each frame carries."""

    token_life_s = 600.0

    def frame(self, text: str, credentials: Credentials, stamp: Stamp, token: str) -> str:
        return json.dumps(json.loads(text) | {"token": token})

    def request(self, request: Request, credentials: Credentials, stamp: Stamp) -> Request:
        api_key, private_key = credentials
        body = f"nonce={stamp.nonce}"
        headers = (("API-Key", api_key), ("API-Sign", mac(private_key, f"{request.path}{body}")))
        return msgspec.structs.replace(request, body=body, headers=headers)

    def token_request(self) -> Request | None:
        return Request("/0/private/GetWebSocketsToken", "POST", is_signed=True)

    def read_token(self, body: bytes) -> str:
        try:
            return str(json.loads(body)["result"]["token"])
        except (ValueError, KeyError):
            raise FrameError("the answer with the token cannot be read") from None


class TokenServer:
    """Gives numbered tokens for correct signatures with rising nonces."""

    def __init__(self) -> None:
        self.nonces: list[int] = []
        self.tokens = 0

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> Scripted:
        nonce = int(parse_qs(body.decode())["nonce"][0])
        is_rising = nonce > max(self.nonces, default=0)
        self.nonces.append(nonce)
        signature = mac(KEY["privateKey"], f"{path}{body.decode()}")
        if headers["api-sign"] != signature or headers["api-key"] != KEY["apiKey"] or not is_rising:
            words = f"EAPI:Invalid nonce or key {headers['api-key']} {headers['api-sign']}"
            return 200, {}, json.dumps({"error": [words]}).encode()
        self.tokens += 1
        return 200, {}, json.dumps({"error": [], "result": {"token": f"token-{self.tokens}"}}).encode()


def is_signed(text: str) -> bool:
    """Whether a frame of `Signatures` has the right signature."""
    frame = json.loads(text)
    signature = frame.pop("signature", "")
    return bool(signature == mac(KEY["privateKey"], json.dumps(frame)) and frame["apiKey"] == KEY["apiKey"])


def has_signed_query(path: str) -> bool:
    """Whether a path of `Signatures` has the right signature."""
    query, _, signature = path.partition("&signature=")
    is_timed = dict(parse_qsl(query.partition("?")[2])).get("timestamp", "").isdigit()
    return is_timed and bytes.fromhex(signature).decode() == mac(KEY["privateKey"], query)
