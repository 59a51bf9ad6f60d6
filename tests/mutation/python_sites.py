"""Where the Python of ops can be changed: nodes of the syntax tree, and what replaces them."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator

from .mutant import Mutant, key_of

_OPERATORS: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
}
_COMPARE: dict[type, type] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_KERNELS = {
    "add": "sub",
    "sub": "add",
    "mul": "div",
    "div": "mul",
    "minimum": "maximum",
    "maximum": "minimum",
    "amax": "amin",
    "amin": "amax",
    "sum": "mean",
    "mean": "sum",
    "sin": "cos",
    "cos": "sin",
    "le": "lt",
    "lt": "le",
    "ge": "gt",
    "gt": "ge",
    "eq": "ne",
    "ne": "eq",
}


def _alternatives(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """(kind, expression) for each way to change this node."""
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        if isinstance(node.left, ast.Constant) and isinstance(node.left.value, str):
            return
        new = copy.deepcopy(node)
        new.op = _OPERATORS[type(node.op)]()
        yield ("sign" if isinstance(node.op, (ast.Add, ast.Sub)) else "operator"), new
        if isinstance(node.op, (ast.Add, ast.Mult)):
            yield "term", copy.deepcopy(node.left)
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARE:
        new = copy.deepcopy(node)
        new.ops[0] = _COMPARE[type(node.ops[0])]()
        yield "comparison", new
    elif isinstance(node, ast.BoolOp):
        for i in range(len(node.values)):
            left = [copy.deepcopy(v) for j, v in enumerate(node.values) if j != i]
            yield "mask", left[0] if len(left) == 1 else ast.BoolOp(copy.deepcopy(node.op), left)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
        yield (
            ("sign" if isinstance(node.op, ast.USub) else "condition"),
            copy.deepcopy(node.operand),
        )
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield "constant", ast.Constant(not node.value)
        elif isinstance(node.value, int):
            yield "constant", ast.Constant(node.value + 1)
        elif isinstance(node.value, float):
            yield "constant", ast.Constant(node.value * 1.1 if node.value else 0.1)
    elif isinstance(node, ast.IfExp):
        new = copy.deepcopy(node)
        new.body, new.orelse = new.orelse, new.body
        yield "condition", new
    elif isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Load) and len(node.elts) > 1:
        elements = node.elts
        if not any(isinstance(e, (ast.Starred, ast.Constant)) for e in elements[:2]):
            new = copy.deepcopy(node)
            new.elts[0], new.elts[1] = new.elts[1], new.elts[0]
            yield "index", new
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        f = node.func
        if not (isinstance(f.value, ast.Name) and f.value.id == "k") or not node.args:
            return
        if f.attr in _KERNELS:
            new = copy.deepcopy(node)
            assert isinstance(new.func, ast.Attribute)
            new.func.attr = _KERNELS[f.attr]
            yield "kernel", new
        plain = not any(isinstance(a, ast.Starred) for a in node.args[:2])
        if plain and f.attr in ("add", "sub", "mul", "div"):
            yield "term", copy.deepcopy(node.args[0])
        if plain and f.attr in ("neg", "exp", "square", "abs"):
            yield "sign", copy.deepcopy(node.args[0])
        commutes = f.attr in ("add", "mul", "eq", "ne", "minimum", "maximum")
        if plain and len(node.args) >= 2 and not commutes:
            second = node.args[1]
            if not isinstance(second, (ast.Constant, ast.Tuple)):
                new = copy.deepcopy(node)
                new.args[0], new.args[1] = new.args[1], new.args[0]
                yield "index", new


class _Walk(ast.NodeVisitor):
    """Visits what may be changed, in the order of the source."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.of_kernels: list[bool] = []  # whether a function's first argument is the kernel table
        self.found: list[tuple[ast.expr, str, ast.expr, str, bool]] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        name = node.name
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Attribute) and decorator.attr == "gradient":
                name = ast.unparse(decorator)
        self.names.append(name)
        first = node.args.args[0].arg if node.args.args else ""
        self.of_kernels.append(first == "k")
        for statement in node.body:
            if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
                self.visit(statement)
        self.names.pop()
        self.of_kernels.pop()

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for statement in node.body:
            if isinstance(statement, ast.FunctionDef):
                self.visit(statement)

    def visit_Raise(self, node: ast.Raise) -> None:
        """The words of errors stay."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """And those of messages."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value:
            self.visit(node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg != "strict":  # of zip: the lengths are equal anyway
            self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id == "isinstance":
            self.visit(node.args[0])  # the order of types says nothing
        else:
            self.generic_visit(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit(node.body)

    def generic_visit(self, node: ast.AST) -> None:
        if self.names and isinstance(node, ast.expr):
            for kind, new in _alternatives(node):
                self.found.append((node, kind, new, self.names[0], any(self.of_kernels)))
        super().generic_visit(node)


def mutants_of(source: str, path: str, family: str) -> list[Mutant]:
    """Every mutant of a source."""
    walk = _Walk()
    walk.visit(ast.parse(source))
    lines = source.split("\n")
    seen: dict[str, int] = {}
    mutants = []
    for site, (node, kind, new, function, of_kernels) in enumerate(walk.found):
        before, after = ast.unparse(node), ast.unparse(ast.fix_missing_locations(new))
        line = " ".join(lines[node.lineno - 1].split())
        about = (path, function, line, kind, f"{before} -> {after}")
        again = seen[str(about)] = seen.get(str(about), -1) + 1
        mutants.append(
            Mutant(
                key_of(*about, again),
                "gradients" if of_kernels else "functions",
                family,
                path,
                node.lineno,
                function,
                kind,
                before,
                after,
                site=site,
            )
        )
    return mutants


class _Switch(ast.NodeTransformer):
    def __init__(self, changes: dict[int, list[tuple[int, ast.expr]]]) -> None:
        self.changes = changes

    def generic_visit(self, node: ast.AST) -> ast.AST:
        changes = self.changes.get(id(node), ())
        result = super().generic_visit(node)
        for number, new in reversed(changes):
            test = ast.Call(ast.Name("gs_mutant_is", ast.Load()), [ast.Constant(number)], [])
            assert isinstance(result, ast.expr)
            result = ast.copy_location(ast.IfExp(test, new, result), node)
        return result


def switched(source: str, numbers: dict[int, int]) -> ast.Module:
    """The module with the mutants in it, each behind a question; `numbers`: site -> its number."""
    tree = ast.parse(source)
    walk = _Walk()
    walk.visit(tree)
    changes: dict[int, list[tuple[int, ast.expr]]] = {}
    for site, (node, _, new, *_) in enumerate(walk.found):
        if site in numbers:
            changes.setdefault(id(node), []).append((numbers[site], new))
    return ast.fix_missing_locations(_Switch(changes).visit(tree))
