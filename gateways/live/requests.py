"""Requests for market data, and when the venue wants to be left alone."""

from __future__ import annotations

from typing import Final, TypeVar

import aiohttp
import msgspec

from gateways.live.route import Route

T = TypeVar("T")

MAX_ERROR_TEXT: Final = 200


class RequestError(Exception):
    """A request that brought nothing.

    Attributes
    ----------
    retry_after_s : float
        How long the venue wants to be left alone; 0: it has not said.
    """

    def __init__(self, text: str, retry_after_s: float = 0.0) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class Requests:
    """Asks one venue, over one session; to be used in ``async with``."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Requests:
        self._session = self._route.session()
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The session, within the block."""
        assert self._session is not None
        return self._session

    async def get(self, url: str, **parameters: str) -> bytes:
        """The body of an answer.

        Raises
        ------
        RequestError
            When there is none, or it is a refusal.
        """
        assert self._session is not None
        try:
            async with self._session.get(self._route.address(url), params=parameters) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, OSError) as error:  # a timeout is one too
            raise RequestError(f"{url}: {str(error) or type(error).__name__}") from error
        if answer.status != 200:
            text = body[:MAX_ERROR_TEXT].decode("utf-8", "replace")
            wait = answer.headers.get("Retry-After", "")
            raise RequestError(f"{url}: {answer.status} {text}", float(wait) if wait.isdecimal() else 0.0)
        return body

    async def get_as(self, url: str, kind: type[T], **parameters: str) -> T:
        """The answer as a type; raises ``RequestError`` when it is not of that type either."""
        body = await self.get(url, **parameters)
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise RequestError(f"{url}: {error}") from error
