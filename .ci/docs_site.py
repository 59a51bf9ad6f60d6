"""Builds the site of the documentation: `python .ci/docs_site.py`, into build/site.

It is also mkdocs' hook: the README becomes the front page, and each public module a page made of
its docstrings (Google style: sections with indented bodies). Warnings are errors.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
#: The modules that have a page, and what its title is if not the module's name.
MODULES = (
    "gradsmith",
    "gradsmith.Tensor",
    "gradsmith.linalg",
    "gradsmith.nn",
    "gradsmith.nn.functional",
    "gradsmith.nn.init",
    "gradsmith.nn.utils",
    "gradsmith.nn.utils.rnn",
    "gradsmith.optim",
    "gradsmith.optim.lr_scheduler",
    "gradsmith.optim.swa_utils",
    "gradsmith.autograd",
    "gradsmith.autograd.functional",
    "gradsmith.utils.checkpoint",
    "gradsmith.utils.data",
    "gradsmith.datasets",
    "gradsmith.transforms",
    "gradsmith.transforms.functional",
    "gradsmith.models",
    "gradsmith.train",
    "gradsmith.backend",
    "gradsmith.backends.cpu",
    "gradsmith.backends.cuda",
    "gradsmith.cuda",
    "gradsmith.profiler",
    "gradsmith.testing",
    "gradsmith.testing.adapters",
    "gradsmith.testing.opdb",
    "gradsmith.kernels",
)
_LISTS = ("Args", "Attributes", "Raises")
_SECTIONS = "Args|Attributes|Returns|Yields|Raises|Shape|Formula|Source|Examples?|Notes?|Differs"
_SECTION = re.compile(rf"^((?:{_SECTIONS})(?: [\w ()]*)?):(?:\s+(.*))?$")


def resolve(path: str) -> Any:
    """The module, or the class, of that name; None if there is none yet."""
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError:
        parent, _, name = path.rpartition(".")
        return getattr(resolve(parent), name, None) if parent else None


def public(module: Any) -> list[tuple[str, Any]]:
    """The names that the module's page shows."""
    names = getattr(module, "__all__", None) or [n for n in vars(module) if n[0] != "_"]
    found = []
    for name in sorted(set(names), key=str.lower):
        value = inspect.getattr_static(module, name, None)
        value = value if isinstance(value, property) else getattr(module, name, None)
        if value is not None and not inspect.ismodule(value):
            found.append((name, value))
    return found


def escaped(text: str) -> str:
    """Plain text as Markdown, but for `code`."""
    parts = re.split(r"(`[^`]*`)", text)
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r"([*_<>\[\]|])", r"\\\1", parts[i])
    return "".join(parts)


def blocks(lines: list[str]) -> str:
    """Paragraphs; deeper indented ones as code."""
    result: list[str] = []
    code = False
    for line in lines:
        indented = line.startswith("    ")
        if line.strip() and indented != code:
            if indented and result and result[-1].strip():
                indented = False  # the continuation of a line
            else:
                result.append("```" if indented or code else "")
                code = indented
        result.append(line[4:] if code else escaped(line.strip()))
    if code:
        result.append("```")
    return "\n".join(result)


def markdown(doc: str) -> str:
    """A docstring as Markdown."""
    lines = inspect.cleandoc(doc).splitlines()
    result: list[str] = []
    i = 0
    while i < len(lines):
        section = _SECTION.match(lines[i])
        body: list[str] = []
        if section and (section[2] or (i + 1 < len(lines) and lines[i + 1].startswith(" "))):
            i += 1
            while i < len(lines) and (lines[i].startswith("    ") or not lines[i].strip()):
                body.append(lines[i][4:])
                i += 1
            title, first = section[1], section[2] or ""
            while first and body and body[0].strip():  # goes on in the next line
                first += " " + body.pop(0).strip()
            result.append(f"\n**{escaped(title)}:** {escaped(first)}\n")
            if title.split(" (")[0] in _LISTS:
                result += listed(body)
            elif title in ("Example", "Examples"):
                result += ["```python", *body, "```"]
            else:
                result.append(blocks(body))
            continue
        start = i
        while i < len(lines) and not (i > start and _SECTION.match(lines[i])):
            i += 1
        result.append(blocks(lines[start:i]))
    return "\n".join(result)


def listed(body: list[str]) -> list[str]:
    """`name: text` lines as a list."""
    result = []
    for line in body:
        name, colon, rest = line.partition(": ")
        if line and not line.startswith(" ") and colon and len(name) < 60:
            result.append(f"- `{name}`: {escaped(rest)}")
        elif line.strip():
            result.append(f"  {escaped(line.strip())}" if result else escaped(line.strip()))
    return result


def signature(value: Any) -> str:
    """The parameters, without annotations; "" for what is not called."""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return "" if not callable(value) else "(...)"
    parameters = [p.replace(annotation=p.empty) for p in found.parameters.values()]
    short = found.replace(parameters=parameters, return_annotation=found.empty)
    text = str(short)
    if len(text) > 70:  # one parameter a line
        rows = _split(text[1:-1])
        text = "(\n" + "".join(f"    {row},\n" for row in rows) + ")"
    return re.sub(r"<(?:function|class|built-in)[^>]*?'?([\w.]+)'?(?: at [^>]*)?>", r"\1", text)


def _split(parameters: str) -> list[str]:
    """`a, b=(1, 2)` -> ["a", "b=(1, 2)"]: at commas outside brackets."""
    rows, depth = [""], 0
    for c in parameters:
        depth += (c in "([{<") - (c in ")]}>")
        if c == "," and depth == 0:
            rows.append("")
        else:
            rows[-1] += c
    return [row.strip() for row in rows]


def entry(name: str, value: Any, level: str) -> str:
    """One name's part of a page."""
    if not (inspect.isclass(value) or callable(value) or isinstance(value, property)):
        return f"{level} {name}\n\n`{name} = {value!r}`\n"
    text = f"{level} {name}\n\n"
    if not isinstance(value, property):
        text += f"```python\n{name}{signature(value)}\n```\n"
    doc = inspect.getdoc(value) if not inspect.isclass(value) else value.__doc__
    text += "\n" + markdown(doc or "") + "\n"
    if inspect.isclass(value) and level == "##":
        for member, function in sorted(vars(value).items()):
            shown = callable(function) or isinstance(
                function, (property, staticmethod, classmethod)
            )
            if member[0] != "_" and shown and getattr(function, "__doc__", None):
                text += "\n" + entry(member, getattr(value, member), "###")
    return text


def page(path: str) -> str:
    """The page of a module or class."""
    module = resolve(path)
    text = f"# {path}\n\n{markdown(module.__doc__ or '')}\n"
    for name, value in public(module):
        if path == "gradsmith" and name == "Tensor":  # has a page of its own
            continue
        text += "\n" + entry(name, value, "##")
    return text


def front() -> str:
    """The README, with links from where it is shown; what is not on the site is no link."""
    text = (ROOT / "README.md").read_text()
    text = re.sub(r"\]\(docs/", "](", text)
    return re.sub(r"\[([^\]]+)\]\((?!https?:|images/|\w+\.md|adr/)[^)]*\)", r"\1", text)


# ---- mkdocs' hook ----


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages that are made here."""
    from mkdocs.structure.files import File

    api = []
    for path in MODULES:
        if resolve(path) is not None:
            name = f"api/{path}.md"
            files.append(File.generated(config, name, content=page(path)))
            api.append({path: name})
    files.append(File.generated(config, "index.md", content=front()))
    decisions = sorted(p.name for p in (ROOT / "docs/adr").glob("*.md"))
    config["nav"] = [
        *config["nav"],
        {"API": api},
        {"Decisions": [f"adr/{name}" for name in decisions]},
    ]
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links out of docs/ are only text."""
    return re.sub(r"\[([^\]]+)\]\(\.\./[^)]*\)", _within, markdown)


def _within(match: re.Match[str]) -> str:
    return (
        match[0] if re.search(r"\(\.\./\w+\.md", match[0]) and "adr" not in match[0] else match[1]
    )


if __name__ == "__main__":
    os.environ["NO_MKDOCS_2_WARNING"] = "1"  # not about this build
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-f", ".ci/mkdocs.yml"]
    sys.exit(subprocess.run(command, cwd=ROOT, check=False).returncode)
