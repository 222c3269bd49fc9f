"""Addresses given by users: https, public, checked at each redirect, capped; the connection goes where the check looked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from errors import InvalidInput, Refused, TooLarge, Unreachable
from pipeline.fetch import check_place, fetch

PUBLIC = "93.184.216.34"
Handler = Callable[[httpx.Request], httpx.Response]


def resolve(host: str, _port: int) -> list[str]:
    known = {"inside.example": ["10.0.0.8"], "mixed.example": [PUBLIC, "127.0.0.1"], "nowhere.example": []}
    return known.get(host, [PUBLIC])


def get(handler: Handler, output: Path, url: str = "https://shop.example/a.jpg", most_bytes: int = 1000) -> str:
    return fetch(url, output, most_bytes=most_bytes, resolve=resolve, transport=httpx.MockTransport(handler), seconds=5)


def test_a_file_comes_from_the_address_that_was_checked(tmp_path: Path) -> None:
    asked: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, stream=httpx.ByteStream(b"picture"), headers={"content-type": "image/jpeg; x=y"})

    assert get(handler, tmp_path / "out") == "image/jpeg"
    assert (tmp_path / "out").read_bytes() == b"picture"
    assert asked[0].url.host == PUBLIC
    assert asked[0].headers["host"] == "shop.example"
    assert asked[0].extensions["sni_hostname"] == "shop.example"
    assert "cookie" not in asked[0].headers
    assert "authorization" not in asked[0].headers


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/a.jpg",
        "ftp://shop.example/a.jpg",
        "file:///etc/passwd",
        "https://user:secret@shop.example/a.jpg",
        "https:///a.jpg",
        "https://shop.example:99999/a.jpg",
        "//shop.example/a.jpg",
    ],
)
def test_only_plain_https_addresses_are_taken(url: str) -> None:
    with pytest.raises(InvalidInput):
        check_place(url, resolve)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104
        "224.0.0.1",
        "::1",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:10.0.0.1",
        "2002:0a00:0001::",
        "64:ff9b::7f00:1",
        "64:ff9b:1::a00:1",
        "fec0::1",
        "::10.0.0.1",
        "::ffff:0:10.0.0.1",
        "5f00::1",
        "3fff::1",
        "192.88.99.1",
        "168.63.129.16",
        "2600:1f00::5efe:a00:1",
        "not an address",
    ],
)
def test_nothing_private_is_asked(address: str) -> None:
    with pytest.raises(Refused):
        check_place("https://shop.example/", lambda _host, _port: [address])


def test_one_private_answer_among_public_ones_is_enough_to_refuse() -> None:
    with pytest.raises(Refused, match=r"mixed\.example"):
        check_place("https://mixed.example/", resolve)


def test_a_name_without_an_address_may_come_back_later() -> None:
    with pytest.raises(Unreachable, match=r"nowhere\.example"):
        check_place("https://nowhere.example/", resolve)


@pytest.mark.parametrize(
    ("to", "error"),
    [
        ("https://inside.example/", Refused),
        ("http://shop.example/", InvalidInput),
        ("file:///etc/passwd", InvalidInput),
    ],
)
def test_a_redirect_is_checked_like_the_first_address(tmp_path: Path, to: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        get(lambda _request: httpx.Response(302, headers={"location": to}), tmp_path / "out")


def test_redirects_have_an_end(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="redirects"):
        get(lambda _request: httpx.Response(302, headers={"location": "/again"}), tmp_path / "out")


def test_a_file_over_the_cap_is_cut_off(tmp_path: Path) -> None:
    with pytest.raises(TooLarge):
        get(lambda _request: httpx.Response(200, stream=httpx.ByteStream(b"x" * 1001)), tmp_path / "out")


@pytest.mark.parametrize(
    ("status", "error"), [(404, InvalidInput), (403, InvalidInput), (429, Unreachable), (503, Unreachable)]
)
def test_an_answer_says_whether_to_try_again(tmp_path: Path, status: int, error: type[Exception]) -> None:
    with pytest.raises(error, match=str(status)):
        get(lambda _request: httpx.Response(status), tmp_path / "out")


def test_a_broken_connection_may_be_tried_again(tmp_path: Path) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(Unreachable, match=r"shop\.example"):
        get(handler, tmp_path / "out")


def test_a_stop_is_heard_while_it_downloads(tmp_path: Path) -> None:
    def check() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        fetch(
            "https://shop.example/",
            tmp_path / "out",
            most_bytes=10,
            check=check,
            resolve=resolve,
            transport=httpx.MockTransport(lambda _request: httpx.Response(200, stream=httpx.ByteStream(b"x"))),
        )
