"""A client's key and address: as given, or from the environment; checked, and never shown where they shouldn't be."""

from __future__ import annotations

import ipaddress
import os
from urllib.parse import urlsplit

from . import redact
from .errors import ConfigurationError

__all__ = ["DEFAULT_BALANCE_URL", "DEFAULT_BASE_URL", "checked_balance_url", "checked_base_url", "checked_key"]

DEFAULT_BASE_URL = "https://api.mountsea.ai"
DEFAULT_BALANCE_URL = "https://dk.mountsea.ai"


def checked_key(api_key: str | None) -> str:
    """The key that was given, or the environment's.

    Raises:
        ConfigurationError: There is none, or it can't be sent; never shows it.
    """
    source = "api_key"
    if api_key is None:
        api_key, source = os.environ.get("MOUNTSEA_API_KEY"), "MOUNTSEA_API_KEY"
        if api_key is None:
            raise ConfigurationError(
                "no API key: set the environment variable MOUNTSEA_API_KEY, or give MountseaClient(api_key=...)"
            )
    if not isinstance(api_key, str):
        raise ConfigurationError(f"{source} is a {type(api_key).__name__}: give the key as a string")
    if not api_key.strip():
        raise ConfigurationError(f"{source} is empty: give the key that Mountsea has issued")
    for position, character in enumerate(api_key):
        if not 0x21 <= ord(character) <= 0x7E:
            what = {"\n": "a newline", "\r": "a carriage return", " ": "a space", "\t": "a tab"}.get(
                character, "a character that no header can hold"
            )
            raise ConfigurationError(f"{source} holds {what} at position {position} of {len(api_key)}: take it out")
    return api_key


def checked_base_url(base_url: str | None, *, allow_http: bool) -> str:
    """The address that was given, the environment's or the service's own, without a slash at its end.

    Args:
        base_url: What was given.
        allow_http: Whether the key may travel unencrypted to another machine.

    Raises:
        ConfigurationError: It is no address, or not a safe one.
    """
    name = "base_url="
    if base_url is None:
        base_url, name = os.environ.get("MOUNTSEA_BASE_URL") or DEFAULT_BASE_URL, "MOUNTSEA_BASE_URL="
    return _checked(base_url, name, DEFAULT_BASE_URL, allow_http=allow_http)


def checked_balance_url(balance_url: str | None, *, base_url: str, allow_http: bool) -> str:
    """Where the balance is told: the address that was given, the environment's, or what goes with the service's.

    Args:
        balance_url: What was given.
        base_url: Where the service is. Where it isn't at its own address its key is told to nobody else.
        allow_http: Whether the key may travel unencrypted to another machine.

    Raises:
        ConfigurationError: It is no address, or not a safe one.
    """
    name = "balance_url="
    if balance_url is None:
        usual = DEFAULT_BALANCE_URL if base_url == DEFAULT_BASE_URL else base_url
        balance_url, name = os.environ.get("MOUNTSEA_BALANCE_URL") or usual, "MOUNTSEA_BALANCE_URL="
    return _checked(balance_url, name, DEFAULT_BALANCE_URL, allow_http=allow_http)


def _checked(base_url: str, name: str, usual: str, *, allow_http: bool) -> str:
    shown = redact.shown_url(base_url) if isinstance(base_url, str) else base_url
    example = f"give an address such as {usual}"
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname, parts.port
    except (ValueError, AttributeError, TypeError):
        raise ConfigurationError(f"{name}{shown!r} is no URL: {example}") from None
    if not isinstance(base_url, str) or parts.scheme not in ("http", "https") or not host:
        raise ConfigurationError(f"{name}{shown!r} is no http(s) URL: {example}")
    if (
        parts.query
        or parts.fragment
        or parts.username
        or parts.password
        or not base_url.isprintable()
        or " " in base_url
    ):
        raise ConfigurationError(f"{name}{shown!r} holds more than host and path: {example}")
    if parts.scheme == "http" and not allow_http and not _is_loopback(host):
        raise ConfigurationError(
            f"{name}{shown!r}: the key would travel unencrypted; use https, or ClientConfig(allow_http=True)"
        )
    return base_url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
