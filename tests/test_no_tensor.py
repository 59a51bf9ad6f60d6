"""What is no tensor, in the place of each tensor of every public function: a refusal in words.

The calls are those that the sample database makes (watched while it makes them), and FURTHER for
the functions that it does not call. Each tensor of a call is replaced in turn by what is none.
"""

from __future__ import annotations

import functools
import inspect
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.nn import functional as F
from gradsmith.testing.opdb import op_infos

SPACES = {"": gs, "nn.functional.": F, "linalg.": gs.linalg}
#: In the place of a tensor.
OTHERS = [None, "x", 3.5, np.ones((2, 3), np.float32), [1, 2], object()]
#: AssertionError: multi_head_attention_forward's, as in PyTorch.
REFUSALS = (TypeError, ValueError, RuntimeError, IndexError, AssertionError)
#: Kinds of calls of one function that are tried: more would repeat themselves.
KINDS = 12

Call = tuple[tuple[Any, ...], dict[str, Any]]


X, Y, V = gs.ones(2, 3), gs.ones(2, 3), gs.ones(3)
WEIGHTS = gs.ones(3, 3)
SIGNS = gs.tensor([1.0, -1.0])
INDEX = gs.tensor([[0, 1]])
IMAGES, SERIES = gs.ones(2, 3, 4, 4), gs.ones(2, 3, 8)
#: Calls of the functions that no sample calls, by the arguments that they share.
_CALLS: list[tuple[str, tuple[Any, ...]]] = [
    ("positive empty_like zeros_like is_complex is_signed numel is_floating_point", (X,)),
    ("rand_like randn_like std_mean var_mean zero_ detach", (X,)),
    ("nn.functional.relu nn.functional.selu_ selu_ nn.functional.celu_ celu_", (X,)),
    ("nn.functional.rrelu_ rrelu_ nn.functional.hardtanh_ nn.functional.leaky_relu_", (X,)),
    ("nn.functional.elu_ nn.functional.dropout nn.functional.feature_alpha_dropout", (X,)),
    ("rsub allclose equal is_same_size isclose", (X, Y)),
    ("full_like randint_like clamp_ clamp_max_ clamp_min_ clip_ fill_", (X, 2)),
    ("nn.functional.threshold_ threshold_", (X, 1.0, 2.0)),
    ("dropout alpha_dropout alpha_dropout_ dropout_", (X, 0.5, True)),
    ("feature_alpha_dropout feature_alpha_dropout_", (X, 0.5, True)),
    ("swapaxes", (X, 0, 1)),
    ("softmax log_softmax", (X, 1)),
    ("expand", (X, (4, 2, 3))),
    ("bernoulli is_nonzero", (gs.tensor([1.0]),)),
    ("multinomial", (X, 2)),
    ("index_put index_put_", (X, (INDEX[0],), V)),
    ("binary_cross_entropy_with_logits hinge_embedding_loss kl_div", (X, Y)),
    ("margin_ranking_loss", (X, Y, Y)),
    ("poisson_nll_loss", (X, Y, True, False, 1e-8, 1)),
    ("cosine_embedding_loss", (X, Y, SIGNS)),
    ("triplet_margin_loss", (X, Y, gs.zeros(2, 3))),
    ("det inverse pinverse linalg.slogdet linalg.eigvalsh linalg.svdvals", (gs.eye(3),)),
    ("linalg.cross", (X, Y)),
    ("adaptive_max_pool1d", (SERIES, 2)),
    ("max_pool1d_with_indices", (SERIES, 2)),
    ("batch_norm", (IMAGES, V, V, V, V, True, 0.1, 1e-5)),
    ("instance_norm", (IMAGES, V, V, V, V, True, 0.1, 1e-5)),
    ("layer_norm", (X, (3,), V, V)),
    ("group_norm", (IMAGES, 3, V, V)),
    ("embedding", (WEIGHTS, INDEX)),
    ("embedding_bag", (WEIGHTS, INDEX)),
    (
        "nn.functional.multi_head_attention_forward",
        (
            *(gs.ones(4, 2, 3), gs.ones(4, 2, 3), gs.ones(4, 2, 3), 3, 1),
            *(gs.ones(9, 3), gs.ones(9), None, None, False, 0.0, WEIGHTS, V),
        ),
    ),
]
FURTHER = {path: arguments for paths, arguments in _CALLS for path in paths.split()}


def public() -> dict[str, Callable[..., Any]]:
    """Every public function that takes a tensor, by its path."""
    found = {}
    for space, module in SPACES.items():
        for name, function in vars(module).items():
            if isinstance(function, types.FunctionType) and not name.startswith("_"):
                annotations = map(str, inspect.unwrap(function).__annotations__.items())
                if any("Tensor" in a and "'return'" not in a for a in annotations):
                    found[space + name] = function
    return found


def holds_tensors(value: Any) -> bool:
    return isinstance(value, gs.Tensor) or (
        isinstance(value, (list, tuple)) and any(isinstance(v, gs.Tensor) for v in value)
    )


def watched(paths: dict[str, Callable[..., Any]]) -> dict[str, dict[Any, Call]]:
    """The calls that the sample database makes of public functions, one of a kind."""
    calls: dict[Any, dict[Any, Call]] = {inspect.unwrap(f): {} for f in paths.values()}

    def recorder(function: Any, kinds: dict[Any, Call]) -> Any:
        @functools.wraps(function)
        def recorded(*args: Any, **options: Any) -> Any:
            kind = (*map(type, args), *options)
            if len(kinds) < KINDS and kind not in kinds:
                kinds[kind] = (args, options)
            return function(*args, **options)

        return recorded

    with pytest.MonkeyPatch.context() as patch:
        for owner in (*SPACES.values(), gs.Tensor):
            for name, function in list(vars(owner).items()):
                if isinstance(function, types.FunctionType) and inspect.unwrap(function) in calls:
                    kinds = calls[inspect.unwrap(function)]
                    patch.setattr(owner, name, recorder(function, kinds))
        for info in op_infos():
            for sample in [s for s in info.samples() if not s.tags & {"large", "slow"}][:KINDS]:
                inputs = [tensors(a) for a in sample.build(info.dtypes[0])]
                info.call(gs, *inputs, **sample.options)
    return {path: calls[inspect.unwrap(f)] for path, f in paths.items()}


def tensors(value: Any) -> Any:
    if isinstance(value, list):
        return [tensors(v) for v in value]
    return gs.from_numpy(value) if isinstance(value, np.ndarray) else value


def spoiled(args: tuple[Any, ...], options: dict[str, Any]) -> Iterator[tuple[str, Call]]:
    """The calls with each tensor in turn, or list of them, replaced."""
    places: list[Any] = [*range(len(args)), *options]
    for place in places:
        value = args[place] if isinstance(place, int) else options[place]
        if not holds_tensors(value):
            continue
        for other in OTHERS:
            whole = [other]
            if isinstance(value, (list, tuple)):
                whole.append([other, *value[1:]])
            for one in whole:
                changed, named = list(args), dict(options)
                if isinstance(place, int):
                    changed[place] = one
                else:
                    named[place] = one
                changed = [v.clone() if isinstance(v, gs.Tensor) else v for v in changed]
                yield f"{place} = {one!r}", (tuple(changed), named)


@pytest.fixture(scope="module")
def calls() -> dict[str, list[Call]]:
    paths = public()
    found = {path: list(kinds.values()) for path, kinds in watched(paths).items()}
    for path, arguments in FURTHER.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # kl_div's of its reduction
            paths[path](*[v.clone() if isinstance(v, gs.Tensor) else v for v in arguments])
        found[path].append((arguments, {}))
    return found


def test_every_function_is_called(calls: dict[str, list[Call]]) -> None:
    assert len(calls) > 400
    assert [path for path, kinds in calls.items() if not kinds] == []


def test_what_is_no_tensor_is_refused_in_words(calls: dict[str, list[Call]]) -> None:
    """An error of REFUSALS, and the function's name in front."""
    tried, wrong = 0, []
    for path, function in public().items():
        given = {path.rpartition(".")[2], inspect.unwrap(function).__name__, function.__name__}
        names = {name.removeprefix("_") for name in given}
        for args, options in calls[path]:
            for changed, (others, named) in spoiled(args, options):
                tried += 1
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        function(*others, **named)
                except REFUSALS as error:
                    name = str(error).partition(":")[0].partition("()")[0]
                    if name.removeprefix("linalg.") not in names:
                        wrong.append(f"{path}, {changed}: {type(error).__name__}: {error}")
                except Exception as error:
                    wrong.append(f"{path}, {changed}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join([f"{len(wrong)} of {tried}", *wrong[:40]])
    assert tried > 7000


@pytest.mark.parametrize(
    "call,words",
    [
        (lambda: gs.reshape("x", (1,)), "reshape: input must be a tensor; got str"),
        (lambda: gs.cat(None), "cat: tensors must be a sequence of tensors; got NoneType"),
        (lambda: gs.cat([X, 1]), "cat: .*got int|cat: tensors must be a sequence of tensors"),
        (lambda: gs.clamp_max("x", 1), "clamp_max: input must be a tensor; got str"),
        (lambda: gs.exp_(None), "exp_: input must be a tensor; got NoneType"),
        (lambda: gs.index_fill(X, 0, INDEX[0], "v"), "index_fill: value must be a tensor or a num"),
        (lambda: gs.broadcast_tensors(X, 1), "broadcast_tensors: .*tensor.*; got int"),
    ],
)
def test_words(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        call()


def test_other_errors_stay_as_they_are() -> None:
    """A decorated function's own refusals, and Python's of too many arguments."""
    with pytest.raises(RuntimeError, match="reshape: "):
        gs.reshape(X, (5,))
    with pytest.raises(TypeError, match=r"reshape\(\) (takes|missing)"):
        gs.reshape(X)  # type: ignore[call-arg]
    assert gs.where(gs.tensor([True]), np.ones(1), 2.0).tolist() == [1.0]
