"""What goes wrong over HTTP: what is worth another try, what is not, and one line for either.

No line holds a query string, a password or a header: addresses of downloads are often signed.
"""

from __future__ import annotations

import datetime
import email.utils
import ssl
from urllib.parse import urlsplit

import httpx2

from memread.errors import ConfigError, DownloadFailed, MemreadError
from memread.text import one_line

_AGAIN = {408, 409, 423, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529}


class Transient(Exception):
    """Worth another try."""

    def __init__(self, reason: str, wait: float | None = None, answered: bool = False) -> None:
        """wait: seconds before it, if the server said so. answered: a server was there."""
        super().__init__(reason)
        self.reason, self.wait, self.answered = reason, wait, answered


class Fatal(Exception):
    """Not worth another try."""

    def __init__(self, error: MemreadError) -> None:
        super().__init__(error.message)
        self.error = error


def host(url: str) -> str:
    """The host of an address and its port, and nothing that may be a secret."""
    try:
        parts = urlsplit(url)
        return one_line((parts.hostname or "") + (f":{parts.port}" if parts.port else "")) or "the server"
    except ValueError:
        return "the server"


def plain(url: str) -> str:
    """An address without user, password, query and fragment."""
    parts = urlsplit(url)
    return one_line(f"{parts.scheme}://{host(url) if parts.netloc else ''}{parts.path}", 300)


def of_exception(error: Exception, url: str) -> Transient | Fatal:
    """What an exception of httpx means. Its own text may quote an address, so only its cause's is used."""
    where = host(url)
    certificate = _caused_by(error, ssl.SSLCertVerificationError)
    if certificate is not None or "CERTIFICATE_VERIFY_FAILED" in str(error):
        reason = getattr(certificate, "verify_message", "") or "it cannot be verified"
        return Fatal(
            DownloadFailed(
                f"{where}: its certificate is not accepted ({one_line(str(reason), 120)})",
                "Behind a company's proxy, SSL_CERT_FILE can name its certificate",
            )
        )
    if isinstance(error, httpx2.TooManyRedirects):
        return Fatal(DownloadFailed(f"{where}: redirected in circles"))
    if isinstance(error, httpx2.UnsupportedProtocol | httpx2.InvalidURL):
        return Fatal(DownloadFailed(f"{where}: not an address that can be downloaded from"))
    if isinstance(error, httpx2.ConnectTimeout):
        return Transient(f"{where} does not answer")
    if isinstance(error, httpx2.TimeoutException):
        return Transient(f"{where} sends nothing any more", answered=True)
    if isinstance(error, httpx2.ProxyError):
        return Transient(f"the proxy refuses the way to {where}")
    if isinstance(error, httpx2.ConnectError):
        cause = _caused_by(error, OSError)
        reason = getattr(cause, "strerror", None) or "no connection"
        return Transient(f"{where} cannot be reached ({one_line(str(reason), 120)})")
    return Transient(f"{where} broke the connection off", answered=True)


def unusable(error: Exception) -> ConfigError:
    """Of an exception with which nothing can be asked at all. The address of a proxy may hold a password."""
    said = "an address is not valid" if isinstance(error, httpx2.InvalidURL) else one_line(str(error))
    return ConfigError(
        f"no HTTP client can be made: {said}",
        "Are HF_ENDPOINT, HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE right?",
    )


def of_status(status: int, url: str, retry_after: str = "", code: str = "") -> Transient | Fatal:
    """What a status means that is neither 200 nor 206.

    retry_after: the header of this name. code: the Hub's X-Error-Code.
    """
    where = host(url)
    if status in _AGAIN:
        said = "too many requests" if status == 429 else f"status {status}"
        return Transient(f"{where}: {said}", wait=seconds(retry_after), answered=True)
    hint = ""
    if status in (401, 403):
        what = f"it may not be downloaded without permission (status {status})"
        hint = "For the Hugging Face Hub: accept the model's terms on its page, and set HF_TOKEN"
    elif status in (404, 410):
        what = f"there is no such file (status {status})"
    else:
        what = f"status {status}"
    return Fatal(DownloadFailed(f"{where}: {what}{f', {one_line(code, 60)}' if code else ''}", hint))


def seconds(retry_after: str) -> float | None:
    """A Retry-After header: seconds, or a date; None if it is neither."""
    try:
        return max(0.0, float(int(retry_after)))
    except OverflowError:  # hundreds of digits
        return None
    except ValueError:
        pass
    now = datetime.datetime.now(datetime.timezone.utc)
    try:
        date = email.utils.parsedate_to_datetime(retry_after)
        return max(0.0, (date.replace(tzinfo=date.tzinfo or datetime.timezone.utc) - now).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


def _caused_by(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    seen: BaseException | None = error
    for _ in range(10):
        if seen is None or isinstance(seen, kind):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None
