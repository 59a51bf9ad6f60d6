"""What every report of the command line is made of: one HTML document, nothing outside it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

__all__ = ["document", "facts", "tiles"]

CSS = """
:root { --ink: #1b2330; --soft: #5b6472; --line: #dfe3ea; --card: #ffffff; --page: #f3f5f8;
  --accent: #2158c9; --good: #1d7f5c; --bad: #b3261e; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 20px 48px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 6px; }
h2 { font-size: 19px; margin: 0 0 4px; }
p { margin: 0 0 12px; max-width: 96ch; }
.soft, figcaption, .note { color: var(--soft); font-size: 14px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(180px, 1fr)); gap: 14px;
  margin: 22px 0; }
.tile, section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.tile { padding: 14px 18px; }
.tile b { display: block; font-size: 27px; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tile.good b { color: var(--good); } .tile.bad b { color: var(--bad); }
section { padding: 20px 22px; margin: 0 0 18px; overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 14px; }
th, td { padding: 5px 12px 5px 0; text-align: right; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); }
th:first-child, td:first-child, .left { text-align: left; }
.wide { width: 100%; }
.passed { color: var(--good); font-weight: 600; } .failed { color: var(--bad); font-weight: 700; }
details { margin-top: 10px; } summary { cursor: pointer; color: var(--accent); font-size: 14px; }
footer { color: var(--soft); font-size: 13px; margin-top: 26px; }
@media print { body { background: #fff; } section, .tile { break-inside: avoid; } }
"""


def document(title: str, parts: Sequence[str], css: str = "") -> str:
    """A whole document.

    Args:
        title: Its title, as plain text.
        parts: The HTML of its parts.
        css: Rules of this report alone, behind the common ones.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n"
        f"<style>{CSS}{css}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def tiles(entries: Sequence[tuple[str, str, str, str]]) -> str:
    """A row of figures: (class, value, label above, words below), as plain text."""
    cells = "".join(
        f'<div class="tile {kind}"><span class="soft">{escape(label)}</span>'
        f'<b>{escape(value)}</b><span class="soft">{escape(more)}</span></div>'
        for kind, value, label, more in entries
    )
    return f'<div class="tiles">{cells}</div>'


def facts(title: str, rows: Sequence[tuple[str, str]]) -> str:
    """A section of names and what they are, as plain text."""
    body = "".join(
        f"<tr><th scope=row class=left>{escape(name)}</th><td class=left>{escape(text)}</td></tr>"
        for name, text in rows
    )
    return (
        f"<section><h2>{escape(title)}</h2>"
        f"<table class=wide><tbody>{body}</tbody></table></section>"
    )
