"""Settings of what goes out: `[network]`, and `[upstreams.HOST]` of each registry."""

import re
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from nixeryd.config.proxies import DIRECT, parse_proxy

_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Network(_Table, frozen=True):
    """How others are asked: upstreams, token services, documents; git and Nix too."""

    proxy: str = ""  # its URL; "none": directly; "": as HTTPS_PROXY and its kin say
    no_proxy: tuple[str, ...] = ()  # who is asked without it; (): as NO_PROXY says
    connect_timeout: _Seconds = 10.0  # seconds until a connection is there
    read_timeout: _Seconds = 60.0  # seconds without a byte
    retries: Annotated[int, msgspec.Meta(ge=0, le=20)] = 2  # after what may pass

    def __post_init__(self) -> None:
        if self.proxy and self.proxy != DIRECT:
            try:
                # With its scheme it is known for a URL, and its login is masked.
                if "://" not in self.proxy:
                    raise ValueError("write it as http://HOST:PORT")  # noqa: TRY301
                parse_proxy(self.proxy)
            except ValueError as error:
                raise ValueError(f"network.proxy: {error}") from None


class Upstream(_Table, frozen=True):
    """Another registry that is mirrored."""

    url: str = ""  # "": the well-known address, or https:// and the name
    credentials: Literal["anonymous", "docker"] = "anonymous"
    username: str = ""
    password_file: str = ""
    credential_helper: str = ""  # "pass" runs docker-credential-pass
    ca: str = ""  # PEM, trusted beside what the system trusts
    cert: str = ""  # PEM, shown to this registry
    key: str = ""  # PEM, of the certificate; "": it is in the same file
    insecure: bool = False  # believe whatever certificate it shows

    def __post_init__(self) -> None:
        ways = {
            'credentials = "docker"': self.credentials == "docker",
            "username": bool(self.username or self.password_file),
            "credential_helper": bool(self.credential_helper),
        }
        if len(chosen := [way for way, is_set in ways.items() if is_set]) > 1:
            raise ValueError(f"one login only, not {' and '.join(chosen)}")
        if bool(self.username) != bool(self.password_file):
            raise ValueError("username and password_file go together")
        if self.credential_helper and not _HELPER.fullmatch(self.credential_helper):
            raise ValueError(
                'credential_helper is the NAME of docker-credential-NAME, as in "pass"'
            )
        if self.key and not self.cert:
            raise ValueError("key goes with cert")
        if self.insecure and self.ca:
            raise ValueError("either ca or insecure: with ca there is no need of it")
        for name in ("password_file", "ca", "cert", "key"):
            if (text := getattr(self, name)) and not text.startswith(("/", "~")):
                raise ValueError(f"{name} must be an absolute path, or begin with ~/")


def place(text: str) -> Path | None:
    """Return the file that such a setting names, None for none."""
    return Path(text).expanduser() if text else None
