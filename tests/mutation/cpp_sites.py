"""Where C++ and CUDA sources can be changed, found among tokens.

The sources are formatted by clang-format, which says what a token is: a binary operator has a blank
on either side, a template's bracket has none. Only bodies of functions are changed, and nothing in
them that must be a constant (template arguments, constexpr, static_assert, case labels).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .mutant import Edit, Mutant, key_of

_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)
      |(?P<directive>^[ \t]*\#(?:[^\n\\]|\\.|\\\n)*)
      |(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+')
      |(?P<number>(?:0[xX][0-9a-fA-F'.]+(?:[pP][+-]?\d+)?
                  |(?:\d[\d']*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)[uUlLfF]*)
      |(?P<word>[A-Za-z_]\w*)
      |(?P<op><<=|>>=|\.\.\.|->|\+\+|--|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|<<|>>|::
              |[-+*/%<>=!&|^~?:;,.(){}\[\]])""",
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
_OPEN, _CLOSE = {"(": ")", "[": "]", "{": "}"}, {")", "]", "}"}
_ASSIGN = {"=", "+=", "-=", "*=", "/=", "%=", "|=", "&=", "^=", "<<=", ">>="}
_STOPS = {",", ";", "?", ":", "return", "case", "else", "do", "goto", "..."} | _ASSIGN
_COMPARE = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
_LOOSER_THAN_SUM = {*_COMPARE, "<<", ">>", "&", "|", "^"}
_SUM, _PRODUCT = {"+", "-"}, {"*", "/", "%"}
_SWAPPED_NAMES = {
    "min64": "max64",
    "max64": "min64",
    "min": "max",
    "max": "min",
    "fmin": "fmax",
    "fmax": "fmin",
    "fminf": "fmaxf",
    "fmaxf": "fminf",
    "vmin": "vmax",
    "vmax": "vmin",
}
_BARRIER = re.compile(r"sync|barrier|wait|fence|commit")
_STRIDE = re.compile(r"stride|step|pitch|inner|width|plane|extent|lanes|^ld|_ld$")
_CONTROL = {"if", "for", "while", "switch", "constexpr"}


@dataclass
class Token:
    kind: str
    text: str
    start: int
    end: int
    apart: bool  # a blank on either side
    before: bool  # a blank before it
    angle: bool = False  # a template's bracket


def _active(directives: list[str]) -> bool:
    """Whether an x86-64-v3 build has the code in these nested conditions."""

    def holds(condition: str) -> bool:
        if "AVX512" in condition and "||" not in condition:
            return False
        if "aarch64" in condition and "||" not in condition:
            return False
        if "AVX512" in condition and "aarch64" in condition:
            return False
        return "!defined" not in condition and "ifndef" not in condition

    return all(map(holds, directives))


def tokens_of(source: str) -> list[Token]:
    """The tokens, without comments, directives and code that is not compiled here."""
    tokens: list[Token] = []
    conditions: list[list[str]] = []  # of each #if: the branches so far
    for match in _TOKEN.finditer(source):
        kind = match.lastgroup or ""
        text = match.group()
        if kind == "comment":
            continue
        if kind == "directive":
            word = text.strip().lstrip("#").split()[0]
            if word.startswith("if"):
                conditions.append([text])
            elif word in ("elif", "else") and conditions:
                conditions[-1].append(text)
            elif word == "endif" and conditions:
                conditions.pop()
            tokens.append(Token("directive", text, match.start(), match.end(), True, True))
            continue
        if not all(
            _active(branches[-1:]) and not any(_active([b]) for b in branches[:-1])
            for branches in conditions
        ):
            continue
        start, end = match.span()
        before = source[start - 1 : start].isspace()
        apart = before and source[end : end + 1].isspace()
        if text == ">>" and not before:  # two brackets
            tokens.append(Token("op", ">", start, start + 1, False, False))
            tokens.append(Token("op", ">", start + 1, end, False, False))
            continue
        tokens.append(Token(kind, text, start, end, apart, before))
    return tokens


class Source:
    """A file's tokens with their brackets matched and the places that may be changed marked."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens = tokens_of(source)
        self.match: dict[int, int] = {}
        self.brace: dict[int, str] = {}  # kind of each { and }
        self.open_at: list[bool] = [False] * len(self.tokens)
        self.function: list[str] = [""] * len(self.tokens)
        self._match_angles()
        self._match_brackets()
        self._mark()

    def text(self, i: int) -> str:
        return self.tokens[i].text if 0 <= i < len(self.tokens) else ""

    def _match_angles(self) -> None:
        stack: list[tuple[int, int]] = []
        depth = 0
        for i, t in enumerate(self.tokens):
            if t.text in _OPEN:
                depth += 1
            elif t.text in _CLOSE:
                depth -= 1
                while stack and stack[-1][1] > depth:
                    stack.pop()
            elif t.text == ";":
                stack.clear()
            elif t.text == "<" and (
                (not t.before and self.tokens[i - 1].kind == "word")
                or self.text(i - 1) == "template"
            ):
                stack.append((i, depth))
            elif t.text == ">" and not t.before and stack and stack[-1][1] == depth:
                first, _ = stack.pop()
                self.match[first], self.match[i] = i, first
                self.tokens[first].angle = t.angle = True

    def _match_brackets(self) -> None:
        stack = []
        for i, t in enumerate(self.tokens):
            if t.text in _OPEN and t.kind == "op":
                stack.append(i)
            elif t.text in _CLOSE and t.kind == "op" and stack:
                first = stack.pop()
                self.match[first], self.match[i] = i, first

    def _statement_start(self, i: int) -> int:
        """The first token of the statement that token i is in, at its depth."""
        while i > 0:
            text = self.text(i - 1)
            if text in (";", "{", "}") or self.tokens[i - 1].kind == "directive":
                break
            i = self.match[i - 1] if i - 1 in self.match and self.match[i - 1] < i - 1 else i - 1
        return i

    def _brace_kind(self, i: int, inside: bool) -> str:
        before = self.text(i - 1)
        start = self._statement_start(i)
        words = [self.text(j) for j in range(start, i)]
        given = any(self.text(j) == "=" for j in self.top_level(start, i - 1))
        if given or before in ("(", ",", "return", "["):
            return "body" if before == ")" and "]" in words else "value"
        if before in (")", "else", "do", "const", "noexcept", "mutable", "try"):
            return "body"
        if {"struct", "class", "namespace", "enum", "union", "extern"} & set(words):
            return "scope"
        if "->" in words and "]" in words:
            return "body"
        if i == start:
            return "body" if inside else "scope"
        return "value"

    def _mark(self) -> None:
        """Where a change is allowed, and in which function each token stands."""
        stack: list[str] = []
        name = ""
        skip_to = -1
        for i, t in enumerate(self.tokens):
            if t.text == "{" and i in self.match:
                inside = "body" in stack
                kind = self._brace_kind(i, inside)
                self.brace[i] = self.brace[self.match[i]] = kind
                if kind == "body" and not inside:
                    name = self._name_before(i)
                stack.append(kind)
            elif t.text == "}" and i in self.brace and stack:
                stack.pop()
            self.function[i] = name
            innermost = next((k for k in reversed(stack) if k != "value"), "scope")
            if i > skip_to:
                skip_to = max(skip_to, self._skip(i))
            self.open_at[i] = innermost == "body" and i > skip_to and t.kind != "directive"

    def _name_before(self, i: int) -> str:
        while i > 0 and self.text(i - 1) != ")":
            i -= 1
        first = self.match.get(i - 1, 0)
        return self.text(first - 1) if first else ""

    def _skip(self, i: int) -> int:
        """The last token of what must stay as it is and begins at i; -1 if nothing does."""
        text = self.text(i)
        if i in self.match and self.tokens[i].angle and self.match[i] > i:
            return self.match[i]
        after = i + 1
        if text == "constexpr" and self.text(i - 1) == "if":
            return self.match.get(after, i)
        if text in ("constexpr", "typedef", "using"):
            j = i
            while j < len(self.tokens) and self.text(j) not in (";", "{"):
                j = self.match[j] if self.text(j) == "(" else j + 1
            if self.text(j) == "{":
                j = self.match.get(j, j)
            return j
        takes_constant = text in ("static_assert", "alignas", "sizeof", "decltype") or (
            re.fullmatch(r"[A-Z][A-Z0-9_]{3,}|__launch_bounds__|__attribute__", text) is not None
        )
        if takes_constant and self.text(after) == "(":
            return self.match.get(after, i)
        if text == "case":
            j = i
            while j < len(self.tokens) and self.text(j) != ":":
                j += 1
            return j
        # The size of a declared array: a type stands before its name.
        if (
            text == "["
            and i >= 2
            and self.tokens[i - 1].kind == "word"
            and self.text(i - 2) not in ("return", "else")
            and (
                self.tokens[i - 2].kind == "word"
                or self.tokens[i - 2].angle
                or (self.text(i - 2) == "*" and not self.tokens[i - 2].apart)
            )
        ):
            return self.match.get(i, i)
        return -1

    # ---- extents ----

    def _is_stop(self, i: int, stops: set[str]) -> bool:
        t = self.tokens[i]
        if t.kind == "directive" or t.text in stops:
            return True
        if t.text in ("{", "}"):
            return self.brace.get(i) != "value"
        return False

    def extent(self, i: int, stops: set[str]) -> tuple[int, int]:
        """First and last token of the expression around token i, up to one of the stops."""
        first = i
        while first > 0:
            before = first - 1
            if self._is_stop(before, stops):
                break
            if self.match.get(before, before) < before:
                opener = self.match[before]
                if self.text(before) == ")" and self.text(opener - 1) in _CONTROL:
                    break
                first = opener
                continue
            if self.match.get(before, before) > before:
                break
            first = before
        last = i
        while last + 1 < len(self.tokens):
            after = last + 1
            if self._is_stop(after, stops):
                break
            if self.match.get(after, after) > after:
                last = self.match[after]
                continue
            if self.match.get(after, after) < after:
                break
            last = after
        return first, last

    def top_level(self, first: int, last: int) -> Iterator[int]:
        """The tokens from first to last that stand in no bracket."""
        i = first
        while i <= last:
            if self.match.get(i, i) > i:
                i = self.match[i] + 1
                continue
            yield i
            i += 1

    def words(self, first: int, last: int, changed: dict[int, str | None] | None = None) -> str:
        """The tokens as text on one line; `changed` has other words for some, None for none."""
        parts = []
        for i in range(first, last + 1):
            t = self.tokens[i]
            text = t.text
            if changed and i in changed:
                if changed[i] is None:
                    continue
                text = str(changed[i])
            parts.append((" " if t.before and parts else "") + text)
        return "".join(parts).strip()

    def whole(self, first: int, last: int) -> bool:
        """Whether the extent may be repeated: no statements, directives or declarations in it."""
        return first <= last and all(
            self.tokens[i].kind != "directive"
            and not (self.text(i) in ("{", "}") and self.brace.get(i) != "value")
            for i in range(first, last + 1)
        )


Found = tuple[str, int, int, str, str, int]  # kind, first, last, text, form, where


def _binary(s: Source, i: int) -> Iterator[Found]:
    """Changes of the binary operator at i."""
    op = s.text(i)
    first, last = s.extent(i, _STOPS | {"&&", "||"})
    if not s.whole(first, last) or first == i or last == i:
        return

    def made(kind: str, changed: dict[int, str | None]) -> Found:
        return kind, first, last, s.words(first, last, changed), "expression", i

    if op in _COMPARE:
        yield made("comparison", {i: _COMPARE[op]})
        if op in ("<", "<=", ">", ">="):
            end = s.extent(i, _STOPS | {"&&", "||", "&", "|", "^"})[1]
            text = s.text(end)
            if s.tokens[end].kind in ("word", "number") or text in (")", "]"):
                yield made("bound", {end: text + " - 1"})
        return
    tops = list(s.top_level(first, last))
    if op in _SUM:
        stops = _LOOSER_THAN_SUM | _SUM
    elif op in _PRODUCT:
        stops = _LOOSER_THAN_SUM | _SUM | _PRODUCT
    else:
        return
    marks = [j for j in tops if s.tokens[j].apart and s.text(j) in stops]
    begin = max([j + 1 for j in marks if j < i], default=first)
    end = min([j - 1 for j in marks if j > i], default=last)
    if op in _SUM:
        yield made("sign", {i: "-" if op == "+" else "+"})
        yield made("term", {j: None for j in range(i, end + 1)})
        if op == "+":
            yield made("term", {j: None for j in range(begin, i + 1)})
            if (
                i - begin == 3
                and end == i + 1
                and s.text(begin + 1) == "*"
                and all(s.tokens[j].kind == "word" for j in (begin, begin + 2, end))
            ):
                yield made("index", {begin: s.text(end), end: s.text(begin)})
        return
    right = s.words(i + 1, end)
    kind = "stride" if _STRIDE.search(right) else "term"
    yield made(kind, {j: None for j in range(i, end + 1)})
    yield made("operator", {i: {"*": "+", "/": "*", "%": "/"}[op]})


def _clause(s: Source, i: int) -> Iterator[Found]:
    first, last = s.extent(i, _STOPS)
    if not s.whole(first, last):
        return
    marks = [j for j in s.top_level(first, last) if s.text(j) in ("&&", "||")]
    begin = max([j + 1 for j in marks if j < i], default=first)
    end = min([j - 1 for j in marks if j > i], default=last)
    for gone in (range(i, end + 1), range(begin, i + 1)):
        yield (
            "mask",
            first,
            last,
            s.words(first, last, {j: None for j in gone}),
            "expression",
            i,
        )


def _number(s: Source, i: int) -> Iterator[Found]:
    text = s.text(i)
    if text.lower().startswith("0x") or s.text(i - 1) in (".", "->"):
        return
    match = re.fullmatch(r"([\d'.eE+-]*?)([uUlLfF]*)", text)
    if match is None:
        return
    digits, suffix = match.groups()
    digits = digits.replace("'", "")
    if re.fullmatch(r"\d+", digits):
        yield "constant", i, i, f"{int(digits) + 1}{suffix}", "expression", i
        if s.text(i - 1) == "[" and s.text(i + 1) == "]" and int(digits):
            yield "index", i, i, f"{int(digits) - 1}{suffix}", "expression", i
    else:
        value = float(digits)
        yield "constant", i, i, f"{value * 1.1 if value else 0.1!r}{suffix}", "expression", i


def _statement(s: Source, i: int) -> Iterator[Found]:
    """Changes of statements: x += e, and calls whose value is not used."""
    op = s.text(i)
    if op in ("+=", "-=", "*=", "/=") and s.tokens[i].apart:
        first, last = s.extent(i, _STOPS - _ASSIGN)
        if not s.whole(first, last):
            return
        ends = s.text(last + 1)
        form = "statement" if ends == ";" and s.text(first - 1) not in ("(", ",") else "void"
        step = form == "void"  # of a loop: without it there is no end
        other = {"+=": "-=", "-=": "+=", "*=": "/=", "/=": "*="}[op]
        yield "sign", first, last, s.words(first, last, {i: other}), form, i
        if not step:
            yield "term", first, last, "", form, i
            yield "term", first, last, s.words(first, last, {i: "="}), form, i
        return
    before = s.text(i - 1)
    begins = before in (";", "{", "}", "else") or s.tokens[i - 1].kind == "directive"
    if before == ")" and i - 1 in s.match:
        begins = s.text(s.match[i - 1] - 1) in _CONTROL
    if begins and s.tokens[i].kind == "word":
        j = i
        while s.tokens[j].kind == "word" and s.text(j + 1) in ("::", "."):
            j += 2
        name = s.text(j)
        j += 1
        if s.text(j) == "<" and s.tokens[j].angle:
            j = s.match[j] + 1
        if s.text(j) == "(" and j in s.match and s.text(s.match[j] + 1) == ";":
            last = s.match[j]
            if name in _CONTROL or name == "return" or not s.whole(i, last):
                return
            kind = "barrier" if _BARRIER.search(name) else "statement"
            yield kind, i, last, "", "statement", i


def _found(s: Source) -> Iterator[Found]:
    for i, t in enumerate(s.tokens):
        if not s.open_at[i] or not i:
            continue
        if t.kind == "number":
            yield from _number(s, i)
        elif t.kind == "op" and t.apart and not t.angle:
            if t.text in _COMPARE or t.text in _SUM or t.text in _PRODUCT:
                yield from _binary(s, i)
            elif t.text in ("&&", "||"):
                yield from _clause(s, i)
            elif t.text in _ASSIGN:
                yield from _statement(s, i)
        elif (
            t.text == "-"
            and t.kind == "op"
            and (s.text(i - 1) in ("(", ",", "?", ":", "return") or s.tokens[i - 1].apart)
        ):
            first, last = s.extent(i, _STOPS | {"&&", "||"})
            if s.whole(first, last) and last > i:
                yield "sign", first, last, s.words(first, last, {i: None}), "expression", i
        elif t.kind == "word":
            if t.text in _SWAPPED_NAMES and s.text(i + 1) in ("(", "<"):
                end = s.match.get(i + 1, i)
                if s.tokens[i + 1].angle:
                    end = s.match.get(end + 1, i)
                first = i - 2 if s.text(i - 1) == "::" else i
                if end > i and s.whole(first, end):
                    text = s.words(first, end, {i: _SWAPPED_NAMES[t.text]})
                    yield "min/max", first, end, text, "expression", i
            elif t.text in ("if", "while") and s.text(i + 1) == "(":
                first, last = i + 2, s.match[i + 1] - 1
                if s.whole(first, last) and not any(
                    s.text(j) in ("=", ";") for j in range(first, last + 1)
                ):
                    words = s.words(first, last)
                    yield "condition", first, last, f"!({words})", "condition", i
            yield from _statement(s, i)


def mutants_of(source: str, path: str, layer: str, family: str) -> list[Mutant]:
    """Every mutant of a source."""
    s = Source(source)
    lines = source.split("\n")
    seen: dict[str, int] = {}
    mutants = []
    for kind, first, last, text, form, where in _found(s):
        before = s.words(first, last)
        if text == before:
            continue
        start = s.tokens[first].start
        end = s.tokens[last].end + (form == "statement")
        line = source.count("\n", 0, s.tokens[where].start) + 1
        words = " ".join(lines[line - 1].split())
        about = (path, s.function[where], words, kind, f"{before} -> {text}")
        again = seen[str(about)] = seen.get(str(about), -1) + 1
        mutants.append(
            Mutant(
                key_of(*about, again),
                layer,
                family,
                path,
                line,
                s.function[where],
                kind,
                before,
                text or "(nothing)",
                Edit(start, end, text, form),
            )
        )
    return mutants
