"""Addresses of model servers: what may be configured, and that a refusal never shows a password."""

from typing import Any

import pytest

from langchain_r2 import ModelSpec, Price
from langchain_r2.addresses import address, is_address, problem_with
from langchain_r2.errors import BadValueError

GOOD = [
    "http://localhost:8000/v1",
    "http://127.0.0.1:8000/v1",
    "http://0.0.0.0:8000/v1",
    "http://[::1]:8000/v1",
    "http://192.168.1.7/v1",
    "http://10.0.0.3:11434/v1/",
    "http://[fd12:3456::1]/v1",
    "https://api.example.com/v1",
    "https://vllm-0.models.svc.cluster.local./v1",
    "http://my_server:8000/v1",
    "https://xn--mnchen-3ya.example/v1",
    "HTTPS://API.EXAMPLE.COM/v1",
]
BAD = {
    "": "not an http",
    "file:///etc/passwd": "not an http",
    "ftp://host/v1": "not an http",
    "gopher://host:70/x": "not an http",
    "javascript:alert(1)": "not an http",
    "//host/v1": "not an http",
    "host:1/v1": "not an http",
    "http://": "not an http",
    "http://user:password@host/v1": "user or password",
    "http://user@host/v1": "user or password",
    "http://good.example@evil.example/": "user or password",
    "http://evil.example\\@good.example/v1": "backslashes",
    "http://host\t.example/v1": "control",
    "http://host/v1\r\nX-Header: 1": "control",
    "http://host/v1?api-key=abc": "query",
    "http://host/v1#x": "query or fragment",
    "http://host:0/v1": "port 0",
    "http://host:99999/v1": "no address",
    "http://[::1/v1": "no address",
    "http://ex%61mple.com/v1": "not a host name",
    "http://a..b/v1": "not a host name",
    "http://münchen.example/v1": "outside ASCII",
    "http://\u0430pi.openai.com/v1": "outside ASCII",
    "http://①②⑦.0.0.1/v1": "outside ASCII",
    "http://169.254.169.254/latest": "link-local",
    "http://169.254.0.1:8000/v1": "link-local",
    "http://[fe80::1]/v1": "link-local",
    "http://[fe80::1%25eth0]/v1": "link-local",
    "http://[::ffff:169.254.169.254]/v1": "link-local",
    "http://[2002:a9fe:a9fe::1]/v1": "link-local",
    "http://[64:ff9b::a9fe:a9fe]/v1": "link-local",
    "http://[::169.254.169.254]/v1": "link-local",
    "http://2852039166/v1": "usual form",
    "http://0xa9fea9fe/v1": "usual form",
    "http://0251.0376.0251.0376/v1": "usual form",
    "http://169.254.43518/v1": "usual form",
    "http://169.254.169.254./v1": "usual form",
    "http://metadata.google.internal/v1": "metadata",
    "http://METADATA.GOOGLE.INTERNAL./v1": "metadata",
    "http://metadata/v1": "metadata",
    "http://100.100.100.200/v1": "metadata",
    "http://[fd00:ec2::254]/v1": "metadata",
    "http://168.63.129.16/v1": "metadata",
    "http://224.0.0.1/v1": "multicast",
    "http://255.255.255.255/v1": "broadcast",
}


@pytest.mark.parametrize("url", GOOD)
def test_servers_of_ones_own_are_allowed(url: str) -> None:
    assert problem_with(url) is None
    assert address("m", url, None) == url


@pytest.mark.parametrize("url", BAD)
def test_what_may_not_be_contacted_is_refused_with_its_reason(url: str) -> None:
    assert BAD[url] in str(problem_with(url))
    assert not is_address(url)


def test_an_address_is_a_text() -> None:
    wrong: Any = 8000
    with pytest.raises(BadValueError, match="base_url of model 'm' is 'no text'"):
        ModelSpec(name="m", model="x", base_url=wrong, price=Price(input=1, output=1))


@pytest.mark.parametrize("url", [u for u in BAD if u])
def test_a_spec_refuses_it_at_once_and_does_not_show_it(url: str) -> None:
    with pytest.raises(
        BadValueError, match=r"base_url of model 'm' is .*; allowed: an http or https address"
    ) as caught:
        ModelSpec(name="m", model="x", base_url=url, price=Price(input=1, output=1))
    assert len(url) < 8 or url not in str(caught.value)


def test_an_address_from_the_environment_is_checked_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, said in (("", "is empty"), ("http://169.254.169.254/v1", "link-local"), ("sk-secret", "not an http")):
        monkeypatch.setenv("R2_TEST_URL", value)
        with pytest.raises(BadValueError, match=said) as caught:
            address("m", None, "R2_TEST_URL")
        assert not value or value not in str(caught.value)
    monkeypatch.setenv("R2_TEST_URL", "http://10.0.0.1/v1")
    assert address("m", "http://other/v1", "R2_TEST_URL") == "http://10.0.0.1/v1"
