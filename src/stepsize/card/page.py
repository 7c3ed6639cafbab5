"""A card as one HTML file: works offline, in light and dark, on paper and on a phone, and without JavaScript.

What comes in: `Content`. What goes out: HTML text with its style and pictures inside and nothing from elsewhere. jinja2
escapes every name. The two lines of script are what Metaflow's viewer asks a page for, to know that there is a newer
one (metaflow/plugins/cards/card_viewer/viewer.html).
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import jinja2

from stepsize.card.charts import HEIGHT, WIDTH

if TYPE_CHECKING:
    from stepsize.card.content import Content


def render(content: Content, token: str) -> str:
    """The page; ``token`` names this state of it to Metaflow's viewer."""
    return _template().render(content=content, token=token, width=WIDTH, height=HEIGHT)


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("stepsize.card", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("card.html.j2")
