"""The kernel list: every name a device must implement, with its arguments and results.

`table(device)` gives the kernels of a device as attributes: `table("cpu").conv_fwd(x, ...)`. Both
devices have the same names with the same meanings, so an op's body is written once. Arrays are
NumPy arrays (CPU), CuPy arrays (CUDA) or the emulator's opaque device arrays. A kernel allocates
its results, never changes an input (but for the in-place ones, which return None), accepts any
strides, and returns freshly allocated arrays without gaps: in C order, but for the elementwise
kernels (`_cpu.elementwise()` names them), whose results lie in their operands' order: order.py.

Arguments, in this order: arrays first, then options. `name?` is an array or None. `a|` is an array
or a Python number. `xs*` is a list of arrays. Shapes and per-dimension options are tuples of ints,
already normalised (no negative dims, one entry per spatial dimension). The output shape is decided
once, in `gradsmith.ops.shapes`, and handed in; but for broadcasting, which the kernel entry does.
"""

from __future__ import annotations

from typing import Any

from .order import inverse, order_of
from .solvers import SOLVERS, solver

__all__ = ["ACTIVATIONS", "KERNELS", "VIEWS", "KernelTable", "register_device", "table", "transfer"]

_STEP = "params* grads* states0* states1* states2* norm? hyper"

#: name -> (arguments, results). The signature both devices keep to.
KERNELS: dict[str, tuple[str, str]] = {
    # elementwise: broadcasting, any strides
    "add": ("a| b|", "y"),
    "sub": ("a| b|", "y"),
    "mul": ("a| b|", "y"),
    "div": ("a| b|", "y"),
    "neg": ("x", "y"),
    "exp": ("x", "y"),
    "log": ("x", "y"),
    "relu": ("x", "y"),
    "sigmoid": ("x", "y"),
    "tanh": ("x", "y"),
    "abs": ("x", "y"),
    "sqrt": ("x", "y"),
    "rsqrt": ("x", "y"),
    "square": ("x", "y"),
    "reciprocal": ("x", "y"),
    "expm1": ("x", "y"),
    "log1p": ("x", "y"),
    "log2": ("x", "y"),
    "sin": ("x", "y"),
    "cos": ("x", "y"),
    "tan": ("x", "y"),
    "erf": ("x", "y"),
    "floor": ("x", "y"),
    "ceil": ("x", "y"),
    "round": ("x", "y"),  # halves to the even number
    "trunc": ("x", "y"),
    "lerp": ("a| b| weight|", "y"),  # a + weight * (b - a)
    "addcmul": ("x a b value", "y"),  # x + value * (a * b)
    "addcdiv": ("x a b value", "y"),  # x + value * (a / b)
    "neg_bwd": ("grad_y", "grad_x"),  # neg, but in C order
    "abs_bwd": ("grad_y x", "grad_x"),  # grad_y, 0 or -grad_y by the sign of x
    "relu_bwd": ("grad_y y", "grad_x"),  # grad_y, and 0 where y <= 0
    "sigmoid_bwd": ("grad_y y", "grad_x"),  # grad_y * y * (1 - y)
    "tanh_bwd": ("grad_y y", "grad_x"),  # grad_y * (1 - y * y)
    # relu, and a bit an element of where its gradient passes: bit i % 32 of the int32 word i // 32,
    # i counting in C order. Both work on, and give, C order.
    "relu_signs": ("x signs_shape", "y signs"),
    "relu_signs_bwd": ("grad_y signs", "grad_x"),  # relu_bwd(grad_y, y), without reading y
    # activation: f is ACTIVATIONS[kind] with the options a, b, c
    "activation": ("x kind a b c", "y"),  # f(x)
    "activation_bwd": ("grad_y x kind a b c", "grad_x"),  # grad_y * f'(x)
    "activation_bwd_bwd": ("grad grad_y x kind a b c", "y"),  # grad * grad_y * f''(x)
    "prelu": ("x weight", "y"),  # weight broadcasts
    "prelu_bwd": ("grad_y x weight", "grad_x"),  # grad_y where x > 0, else weight * grad_y
    "negative_product": ("u v x", "y"),  # 0 where x > 0, else u * v
    "gate": ("a b", "y"),  # a * sigmoid(b)
    "gate_bwd": ("grad_y a b", "grad_b"),  # grad_y * a * s * (1 - s), s = sigmoid(b)
    # softmax
    "softmax": ("x dim", "y"),
    "softmax_bwd": ("grad_y y dim", "grad_x"),  # y * (grad_y - sum(grad_y * y, dim))
    # copy
    # contiguous copy in `dtype` (a NumPy dtype): float32/64, int32/64, bool
    "copy": ("x dtype", "y"),
    "convert": ("x dtype", "y"),  # the same, elementwise: in x's order of memory
    "copy_into": ("dst src|", ""),  # dst[...] = src: broadcasts, casts, right when they overlap
    "full": ("shape value dtype", "y"),
    "slice_bwd": ("grad_y x_shape start step", "grad_x"),  # zeros, with x[start::step] = grad_y
    "cat": ("xs* dim out_shape", "y"),
    # compare: broadcasting, any strides; every dtype but where said
    "eq": ("a| b|", "y"),  # eq to isfinite: y is bool
    "ne": ("a| b|", "y"),
    "lt": ("a| b|", "y"),
    "le": ("a| b|", "y"),
    "gt": ("a| b|", "y"),
    "ge": ("a| b|", "y"),
    "isinf": ("x", "y"),  # isinf, isfinite: floating point
    "isfinite": ("x", "y"),
    "bitwise_and": ("a| b|", "y"),  # integers and bool; shifts: integers
    "bitwise_or": ("a| b|", "y"),
    "bitwise_xor": ("a| b|", "y"),
    "bitwise_left_shift": ("a| b|", "y"),
    "bitwise_right_shift": ("a| b|", "y"),
    "minimum": ("a| b|", "y"),  # NaN wins
    "maximum": ("a| b|", "y"),
    "extremum_bwd": ("grad_y a b", "grad_a"),  # grad_y, half in a tie, 0 where a < b
    "where": ("condition a| b|", "y"),  # condition is bool and broadcasts too
    "sign": ("x", "y"),
    "clamp": ("x low high", "y"),  # at least low, then at most high; no bool
    "clamp_bwd": ("grad_y x low high", "grad_x"),  # grad_y where low <= x <= high, else 0
    # arithmetic: integers and floats; add sub mul neg abs take integers too, add and mul bool
    "floor_divide": ("a| b|", "y"),  # towards -infinity
    "remainder": ("a| b|", "y"),  # with b's sign
    "fmod": ("a| b|", "y"),  # with a's sign
    "pow": ("a| b|", "y"),
    # start + i * step in float32/64, int32/64; end - .. from the middle on, if end is not NaN
    "ramp": ("shape start step end dtype", "y"),
    # reduce: dims is a sorted tuple; out_shape with or without the reduced dims (same memory)
    "sum": ("x dims out_shape", "y"),
    "mean": ("x dims out_shape", "y"),
    "prod": ("x dims out_shape", "y"),
    "amax": ("x dims out_shape", "y"),  # NaN wins
    "amin": ("x dims out_shape", "y"),
    "any": ("x dims out_shape", "y"),  # any, all: of bools
    "all": ("x dims out_shape", "y"),
    "amax_weight": ("x y", "w"),  # y keeps the reduced dims as 1; w = (x == y) / number of ties
    "max_dim": ("x dim out_shape", "values indices"),  # int64 index of the first maximum; NaN wins
    "min_dim": ("x dim out_shape", "values indices"),
    "var": ("x dims correction root out_shape", "y"),  # root: its square root
    "sum_squares": ("x dims out_shape", "y"),
    "sum_exp": ("x center dims out_shape", "y"),  # sum of e^(x - center), a center a result
    # scan: along dim; exclusive: without the element itself; reverse: from the end
    "cumsum": ("x dim reverse exclusive", "y"),
    "cumprod": ("x dim reverse exclusive", "y"),
    "recurrence": ("a b dim reverse", "y"),  # y[j] = b[j] + a[j] y[j-1]; reverse: + a[j+1] y[j+1]
    "prod_bwd": ("grad_y x", "grad_x"),  # x (.., n), grad_y (..): times the product of the others
    # index: index and indices are int64; along dim, x is (outer, n, inner)
    "take": ("x index dim skip out_shape", "y"),  # y[o, j, i] = x[o, index[j], i]; 0 at `skip`
    "index_sum": ("grad_y index dim skip x_shape", "grad_x"),  # the sum over equal indices
    "put": (
        "x src index dim",
        "y",
    ),  # x with y[o, index[j], i] = src[o, j, i]; src may be one value
    "put_into": ("dst src index dim", ""),  # the same in place, dst of any strides
    # x with y[o, indices[o, j, i], i] = src[o, j, i], the last of equal ones; src may be one value
    "put_dim": ("x src indices dim", "y"),
    "index_flat": ("indices* sizes out_shape", "flat"),  # several indices as one; -1 is the last
    "flat_along": ("indices x_shape dim", "flat"),  # places in x.flat of indices along dim
    "gather_dim": ("x indices dim out_shape", "y"),  # y[o, j, i] = x[o, indices[o, j, i], i]
    "scatter_sum": ("src indices x_shape dim", "y"),  # its adjoint
    "nonzero_count": ("x", "count"),
    "nonzero": ("x out_shape", "indices"),  # (count, x.ndim), in C order
    "triangle": ("x diagonal upper", "y"),  # columns >= row + diagonal (upper), or <=; else 0
    # embedding_bag: bag b is index[offsets[b] : offsets[b + 1]] but `skip`; sums, or means, of
    # factor times the rows of weight; bag_dot: grad_y[b] . weight[index[j]] for each place j
    "bag_sum": ("weight index offsets factor? skip mean out_shape", "y"),
    "bag_sum_bwd": ("grad_y index offsets factor? skip mean weight_shape", "grad_weight"),
    "bag_dot": ("grad_y weight index offsets skip out_shape", "y"),
    # pad: the last dims, by mode 1 mirrored, 2 the edge repeated, 3 going round
    "pad": ("x before mode out_shape", "y"),
    "pad_bwd": ("grad_y before mode x_shape", "grad_x"),
    # window: x (N, C, H, W), columns (N, C * kh * kw, L); fold is unfold's adjoint
    "unfold": ("x kernel stride padding dilation out_shape", "y"),
    "fold": ("x kernel stride padding dilation out_shape", "y"),
    # sort: along the last dim; equal elements keep their order, NaN is the largest
    "sort_order": ("x descending", "indices"),
    "topk_order": ("x largest out_shape", "indices"),  # the first out_shape[-1] of them
    # matmul: a (..., M, K), b (..., K, N), batch dims broadcast, any strides; bias (N,); where
    # neither has batch dims either may be a vector (K,), and out_shape lacks its dimension
    "matmul": ("a b bias? out_shape", "y"),
    # alpha a b + beta c; c broadcasts to y, any strides; None: there is none
    "matmul_add": ("a b c? out_shape alpha beta", "y"),
    # activation: 0 none, 1 relu, 2 gelu, 3 tanh, 4 sigmoid, 5 silu
    # residual: of y's shape, added before the activation
    "matmul_epilogue": ("a b bias? residual? out_shape activation", "y"),
    # conv: x (N, C_in, *in), weight (C_out, C_in / groups, *kernel), y (N, C_out, *out)
    "conv_fwd": ("x weight bias? out_shape stride padding dilation groups", "y"),
    # also the transposed convolution, whose bias it then adds
    "conv_bwd_input": ("grad_y weight bias? x_shape stride padding dilation groups", "grad_x"),
    "conv_bwd_weight": ("grad_y x weight_shape stride padding dilation groups", "grad_weight"),
    # and grad_y's sums over all dims but the channels, of shape bias_shape = (C_out,)
    "conv_bwd_weight_bias": (
        "grad_y x weight_shape bias_shape stride padding dilation groups",
        "grad_weight grad_bias",
    ),
    "conv_epilogue": (
        "x weight bias? residual? out_shape stride padding dilation groups activation",
        "y",
    ),
    # grad_y f'(z), and its sums over all dims but `dim`; value: y, or for gelu and silu z
    "epilogue_bwd": ("grad_y value sums_shape dim activation", "grad_z sums"),
    # pool: x (N, C, *in); indices int32, flat within the (*in) plane; NaN wins
    "adaptive_avg_pool": ("x out_shape", "y"),  # windows that cut in into out
    "adaptive_avg_pool_bwd": ("grad_y x_shape", "grad_x"),
    "adaptive_max_pool": ("x out_shape", "y indices"),
    "max_unpool": ("x indices out_shape", "y"),  # indices int64; the last of equal ones
    "max_pool": ("x out_shape kernel stride padding dilation", "y indices"),
    "max_pool_bwd": ("grad_y indices x_shape kernel stride padding dilation", "grad_x"),
    "max_pool_gather": ("x indices", "y"),  # y[n, c, o] = x[n, c].flat[indices[n, c, o]]
    "avg_pool": ("x out_shape kernel stride padding count_include_pad divisor", "y"),
    "avg_pool_bwd": ("grad_y x_shape kernel stride padding count_include_pad divisor", "grad_x"),
    # loss: reduction is 0 none, 1 mean, 2 sum; x (N, C, *inner), target int64 (N, *inner)
    "log_softmax": ("x dim", "y"),
    "log_softmax_bwd": ("grad_y y dim", "grad_x"),  # grad_y - exp(y) * sum(grad_y, dim)
    "nll_loss": ("x target weight? out_shape ignore_index reduction", "y total_weight"),
    "nll_loss_bwd": (
        "grad_y target weight? total_weight x_shape ignore_index reduction",
        "grad_x",
    ),
    # norm: x (N, C, *rest), statistics of each channel over the rest; var is biased
    "batch_norm": ("x weight? bias? stats_shape eps", "y mean var"),
    # training: mean and var are functions of x
    "batch_norm_bwd": (
        "grad_y x weight? mean var eps training",
        "grad_x grad_weight grad_bias",
    ),
    "batch_norm_eval": ("x weight? bias? mean? var eps", "y"),
    # in place: running += momentum * (batch - running), var * count / (count - 1)
    "batch_norm_update": ("running_mean running_var mean var momentum count", ""),
    # x as rows, as many as stats_shape has elements; element j of row r has
    # weight[(r % groups) * (D / inner) + j / inner]; centered: the mean is subtracted
    "row_norm": ("x weight? bias? stats_shape groups inner eps centered", "y mean var"),
    "row_norm_bwd": (
        "grad_y x weight? mean var weight_shape groups inner eps centered",
        "grad_x grad_weight grad_bias",
    ),
    # nll_loss of log_softmax (without softmax: of x), a part `smoothing` spread over the classes;
    # stats (2, *target): each row's maximum and the logarithm of its sum
    "cross_entropy": (
        "x target weight? out_shape stats_shape softmax smoothing ignore_index reduction",
        "y stats total_weight",
    ),
    "cross_entropy_bwd": (
        "grad_y x target weight? stats total_weight softmax smoothing ignore_index reduction",
        "grad_x",
    ),
    # losses of two tensors of one shape, element by element; weight and other of that shape too.
    # kind: 0 (x - t)^2, 1 |x - t|, 2 smooth l1, 3 Huber, 4 binary cross entropy, 5 the same of
    # logits (other: the weight of positives), 6 divergence, 7 divergence of a log target, 8 soft
    # margin, 9 hinge embedding, 10 hinge, 11 Poisson of a log rate, 12 Poisson, 13 Stirling's term
    # of x; param: the kind's number. order: 1 the derivative to x, 2 to t, 3 x x, 4 x t, 5 t t
    "pair_loss": ("x target weight? other? kind param out_shape reduction", "y"),
    "pair_loss_bwd": ("grad_y x target weight? other? kind order param reduction", "grad"),
    # interpolate along dim; mode 0 nearest, 1 nearest-exact, 2 linear, 3 cubic, 4 area; scale 0:
    # from the sizes
    "resample": ("x dim out_shape mode align_corners scale", "y"),
    "resample_bwd": ("grad_y dim x_shape mode align_corners scale", "grad_x"),
    # random: Philox4x32-10, counter = offset + element // 4; the same numbers on every device
    "dropout": ("x p seed offset", "y"),  # kept elements are divided by 1 - p
    "uniform": ("shape low high seed offset dtype", "y"),
    "normal": ("shape mean std seed offset dtype", "y"),
    "bernoulli": ("p seed offset", "y"),  # 1 with probability p, else 0
    "permutation": (
        "shape seed offset",
        "y",
    ),  # of 0 to n - 1, int64; any counters up to offset + n
    "randint": ("shape low high seed offset", "y"),  # int64 in [low, high)
    # recurrent: one layer in one direction. Time steps lie one after another, step t being the
    # first batch_sizes[t] rows of the batch (int64, on the host, never growing); x and y are (rows
    # of all steps, features), h_0 and c_0 (batch, features) or None: zeros. x is the input's part
    # of the gates.
    "rnn_fwd": ("x h_0? weight_hh bias_hh? batch_sizes h_shape relu reverse", "y h_n"),
    "rnn_bwd": (
        "grad_y grad_h_n y h_0? weight_hh batch_sizes h_shape relu reverse",
        "grad_x grad_h_0 h_before",
    ),
    "lstm_fwd": (
        "x h_0? c_0? weight_hh bias_hh? weight_hr? batch_sizes y_shape h_shape c_shape"
        " saved_shape reverse",
        "y h_n c_n saved",
    ),
    "lstm_bwd": (
        "grad_y grad_h_n grad_c_n saved y h_0? c_0? weight_hh weight_hr? batch_sizes x_shape"
        " h_shape c_shape projected_shape reverse",
        "grad_x grad_h_0 grad_c_0 h_before grad_projected",
    ),
    "gru_fwd": (
        "x h_0? weight_hh bias_hh? batch_sizes y_shape h_shape saved_shape reverse",
        "y h_n saved",
    ),
    "gru_bwd": (
        "grad_y grad_h_n saved y h_0? weight_hh batch_sizes x_shape h_shape reverse",
        "grad_x grad_hidden grad_h_0 h_before",
    ),
    # attention: query (.., L, E), key (.., S, E), value (.., S, V), mask (.., L, S) or None, added
    # to the scores; one batch (..), any strides, 0 where it repeats. Dropout: Philox, counter =
    # offset + ((batch * S + j) * round_up(L, 4) + i) / 4 of query i and key j, word i % 4.
    "attention_fwd": (
        "query key value mask? out_shape rows_shape causal scale p seed offset",
        "y log_sum",
    ),
    # mask_shape: (.., L, S), or (0,) where the mask's gradient is not wanted
    "attention_bwd": (
        "grad_y query key value mask? y log_sum mask_shape causal scale p seed offset",
        "grad_query grad_key grad_value grad_mask",
    ),
    # distance: a (.., P, D), b (.., R, D); y[i, j] = |a[i] - b[j]|_p; pairs: b is a, i < j only,
    # one behind another, N (N - 1) / 2 of N rows
    "distance": ("a b p pairs out_shape", "y"),
    "distance_bwd": ("grad_y y a b p", "grad_a"),
    "square_form": ("x out_shape", "y"),  # pairs as a symmetric matrix, 0 on the diagonal
    "pair_sum": ("x out_shape", "y"),  # its adjoint: x[i, j] + x[j, i] of each pair
    # optim, in place: p, and up to three states, by g; norm is the gradients' total norm, for
    # clipping; hyper a float64 host array of numbers (optim_rules.cuh; engine/ops/optim.py)
    "sgd_step": (_STEP, ""),
    "adagrad_step": (_STEP, ""),
    "adadelta_step": (_STEP, ""),
    "rmsprop_step": (_STEP, ""),
    "adam_step": (_STEP, ""),
    "adamax_step": (_STEP, ""),
    "nadam_step": (_STEP, ""),
    "radam_step": (_STEP, ""),
    "lion_step": (_STEP, ""),
    "rprop_step": (_STEP, ""),
    "asgd_step": (_STEP, ""),
    "lerp_step": (_STEP, ""),  # p += weight * (g - p)
    "clip_step": (_STEP, ""),  # p = g, clipped
    "total_norm": ("tensors* y norm_type", ""),  # of all elements of all tensors, into y
}

#: The functions of activation, in the order of `kind`, with their options.
ACTIVATIONS = (
    "leaky_relu",  # slope
    "elu",  # a (e^(c x) - 1) below 0, b x above
    "gelu",
    "gelu_tanh",
    "silu",
    "mish",
    "logsigmoid",
    "hardsigmoid",
    "hardtanh",  # least, most
    "hardswish",
    "softplus",  # beta, threshold
    "softsign",
    "softshrink",  # lambda
    "hardshrink",  # lambda
    "tanhshrink",
    "threshold",  # threshold, value
)

#: Entries that only make views (no memory is read): the same code for every device.
VIEWS = ("reshape", "permute", "expand", "slice", "diagonal", "windows")


def transfer(array: Any, device: str) -> Any:
    """A copy of `array` on another device, in its order of memory; itself if it is there."""
    here = TABLE_OF_ARRAY[type(array)]
    there = table(device)
    if here is there:
        return array
    from . import cuda

    order = order_of(array)
    if order is not None:
        array = array.transpose(order)
    moved = cuda.to_host(array) if device == "cpu" else cuda.from_host(array)
    return moved if order is None else moved.transpose(inverse(order))


class KernelTable:
    """The kernels of one device as attributes, `table.conv_fwd(...)`.

    A kernel that the device lacks raises NotImplementedError naming it when it is called.
    """

    def __init__(self, device: str, entries: dict[str, Any], views: dict[str, Any]) -> None:
        unknown = sorted(set(entries) - set(KERNELS))
        if unknown:
            raise ValueError(f"kernels: {device} registers names that the list lacks: {unknown}")
        self.device = device
        self.missing = tuple(name for name in KERNELS if name not in entries)
        for name in KERNELS:
            setattr(self, name, entries.get(name) or _missing_kernel(device, name))
        for name in VIEWS:
            setattr(self, name, views[name])
        for name in SOLVERS:
            setattr(self, name, solver(name, transfer))
        self.transfer = transfer

    # The kernels are instance attributes; this tells type checkers so.
    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"kernels: no kernel is called {name!r}; the list is kernels.KERNELS")


def _missing_kernel(device: str, name: str) -> Any:
    def missing(*args: Any) -> Any:
        dtypes = {str(a.dtype) for a in args if hasattr(a, "dtype")}
        raise NotImplementedError(f"{name}: no kernel on {device} for dtype {sorted(dtypes)}")

    return missing


_tables: dict[str, KernelTable] = {}  # the CPU's is registered below
#: array type -> kernel table; what `apply` looks at to find the device of a tensor.
TABLE_OF_ARRAY: dict[type, KernelTable] = {}


def register_device(device: str, table: KernelTable, array_type: type) -> None:
    """Make `table` the kernels of `device`, whose arrays are of type `array_type`."""
    _tables[device] = table
    TABLE_OF_ARRAY[array_type] = table


def table(device: str) -> KernelTable:
    """The kernel table of "cpu" or "cuda".

    Raises:
        RuntimeError: if "cuda" is asked for and neither a GPU nor the emulator is in use.
    """
    found = _tables.get(device)
    if found is None:
        if device != "cuda":
            raise ValueError(f"device: must be 'cpu' or 'cuda'; got {device!r}")
        from . import cuda

        found = cuda.connect()
    return found


def _register_cpu() -> None:
    from . import cpu

    register_device("cpu", cpu.TABLE, cpu.ARRAY_TYPE)


_register_cpu()
