"""``auth`` of a receiver: which extension says who may send. Keys as upstream's configauth."""

from __future__ import annotations

from dataclasses import dataclass

from stepsize.collector.config.language import option, required_text


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """The extension by its name."""

    authenticator: str = option(required_text, says="the name of an extension: `bearertokenauth`, `basicauth`")
