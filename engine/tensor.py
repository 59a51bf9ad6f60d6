"""Tensor: an array on a device, and how it was made.

This file holds what needs no op: storage, properties, conversion. The methods that compute are
installed by `gradsmith.ops` when it is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import _cpu
from .device import device as Device
from .dtype import bfloat16, bool_, from_numpy_dtype, get_default_dtype, int64, to_numpy_dtype
from .dtype import dtype as DType
from .kernels import TABLE_OF_ARRAY, table
from .memory_format import contiguous_format
from .printing import written

__all__ = ["Parameter", "Size", "Tensor"]


_backward: Any = None  # autograd.backward, once it is called


class Size(tuple):
    """A shape: a tuple of ints, with numel()."""

    __slots__ = ()

    def numel(self) -> int:
        """The number of elements."""
        n = 1
        for size in self:
            n *= size
        return n

    def __repr__(self) -> str:
        return f"gradsmith.Size({list(self)})"


class Tensor:
    """A strided array of one dtype on one device, with an optional gradient.

    Made by `gradsmith.tensor`, `from_numpy`, `zeros`, `randn` and by ops. On the CPU the storage is
    a NumPy array, which `from_numpy` and `.numpy()` share.
    """

    # _version[0] counts changes in place; views share the list, which holds weak references to
    # them. _node: the Node that made the tensor, (node, i) for output i of several, None for a
    # leaf. _view: what this is a view of, the op and its options; unset for what is no view.
    # hooks stays unset until one is registered (autograd/hooks.py).
    __slots__ = (
        *("_data", "_requires_grad", "_node", "_version", "_view"),
        *("_grad", "hooks", "__weakref__"),
    )
    # NumPy's ufuncs, `ndarray * tensor` too, go to __array_ufunc__, which ops.interop installs.
    __array_priority__ = 1000

    _data: Any
    _requires_grad: bool
    _node: Any
    _version: list[Any]
    _grad: Tensor | None
    hooks: Any
    _view: Any

    def __init__(self, *data: Any, dtype: DType | None = None) -> None:
        wanted = get_default_dtype() if dtype is None else dtype
        if data and all([type(n) is int for n in data]):  # sizes, as PyTorch takes them
            self._set(np.zeros(data, dtype=to_numpy_dtype(wanted)))
            return
        if len(data) > 1:
            raise TypeError(f"Tensor: takes one array, or sizes; got {len(data)} arguments")
        data = data[0] if data else ()
        self._set(np.array(data, dtype=to_numpy_dtype(wanted)))

    def _set(self, data: Any, requires_grad: bool = False) -> None:
        self._data = data
        self._requires_grad = requires_grad
        self._node = None
        self._version = [0]
        self._grad = None

    @staticmethod
    def _make(data: Any) -> Tensor:
        """A tensor over this array, without any check: the hot path's constructor."""
        return _filled(data, False, None, [0], None)

    def _table(self) -> Any:
        return TABLE_OF_ARRAY[type(self._data)]

    # ---- properties ----

    @property
    def shape(self) -> Size:
        """The size of each dimension."""
        return Size(self._data.shape)

    @property
    def dtype(self) -> DType:
        """The data type of the elements."""
        return from_numpy_dtype(self._data.dtype)

    @property
    def device(self) -> Device:
        """Where the memory is."""
        return Device(self._table().device)

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self._data.shape)

    @property
    def requires_grad(self) -> bool:
        """Whether a backward pass gives this tensor a gradient. May be set on leaves."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Sets requires_grad on this leaf and returns it.

        Raises:
            RuntimeError: for a tensor that is not floating point, or that an op made.
        """
        if requires_grad and not self.dtype.is_floating_point:
            raise RuntimeError(
                f"requires_grad_: only floating-point tensors have gradients; got {self.dtype}"
            )
        if self._node is not None and not requires_grad:
            raise RuntimeError(
                "requires_grad_: only leaves can stop requiring a gradient (use .detach())"
            )
        self._requires_grad = bool(requires_grad)
        return self

    @property
    def grad(self) -> Tensor | None:
        """The accumulated gradient; assigning another, or None, is allowed.

        Raises:
            TypeError: assigned something else than a tensor or None.
            RuntimeError: assigned a tensor of another shape, dtype or device, or the tensor itself.
        """
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(f"grad: must be a tensor or None; got {type(value).__name__}")
            if value is self:
                raise RuntimeError("grad: a tensor cannot be its own gradient")
            for what in ("shape", "dtype", "device"):
                mine, other = getattr(self, what), getattr(value, what)
                if other != mine:
                    raise RuntimeError(f"grad: must be of the tensor's {what} {mine}; got {other}")
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded op made this tensor."""
        return self._node is None

    @property
    def grad_fn(self) -> Any:
        """The recorded op that made this tensor, or None."""
        return self._node[0] if type(self._node) is tuple else self._node

    @property
    def is_cuda(self) -> bool:
        """Whether the memory is on the CUDA device."""
        return self._table().device == "cuda"

    @property
    def data(self) -> Tensor:
        """This tensor's memory without its history (as .detach()); assigning takes another's.

        Differs from PyTorch: a change in place through it counts as one of this tensor, so that a
        backward pass that needs the old values raises an error instead of using the new ones.
        """
        return self.detach()

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"data: must be a tensor; got {type(value).__name__}")
        if value.dtype is not self.dtype and self.requires_grad:
            raise RuntimeError(f"data: must be of dtype {self.dtype}; got {value.dtype}")
        self._data = value._data
        self._version = value._version

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of dimension `dim`."""
        if dim is None:
            return self.shape
        n = self.ndim
        if not -n <= dim < n:
            raise IndexError(f"size: dim must be in [{-n}, {n}); got {dim}")
        return self._data.shape[dim]

    def dim(self) -> int:
        """The number of dimensions."""
        return self.ndim

    def numel(self) -> int:
        """The number of elements."""
        return int(self._data.size)

    def nelement(self) -> int:
        """The number of elements."""
        return self.numel()

    def ndimension(self) -> int:
        """The number of dimensions."""
        return self.ndim

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return int(self._data.dtype.itemsize)

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return int(self._data.nbytes)

    @property
    def is_cpu(self) -> bool:
        """Whether the memory is the CPU's."""
        return self._table().device == "cpu"

    def get_device(self) -> int:
        """The number of the CUDA device; -1 for the CPU."""
        return 0 if self.is_cuda else -1

    def element_size(self) -> int:
        """Bytes of one element."""
        return int(self._data.dtype.itemsize)

    def stride(self, dim: int | None = None) -> Any:
        """The step of each dimension, or of dimension `dim`, in elements."""
        steps = tuple(s // self._data.dtype.itemsize for s in self._data.strides)
        return steps if dim is None else steps[dim]

    def is_contiguous(self, memory_format: Any = contiguous_format) -> bool:
        """Whether the elements lie in C order (or another memory format) without gaps."""
        return memory_format.lies(self._data)

    def data_ptr(self) -> int:
        """The address of the first element."""
        data = self._data
        return int(data.ctypes.data if isinstance(data, np.ndarray) else data.ptr)

    # ---- history ----

    def detach(self) -> Tensor:
        """A view of the same memory that does not require a gradient."""
        t = Tensor._make(self._data)
        t._version = self._version
        return t

    def detach_(self) -> Tensor:
        """Cuts this tensor from the graph that made it and returns it.

        Raises:
            RuntimeError: for a view, whose history is its base's.
        """
        if getattr(self, "_view", None) is not None and self._node is not None:
            raise RuntimeError("detach_: a view cannot be detached in place (use .detach())")
        self._node = None
        self._requires_grad = False
        return self

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Tensor | Sequence[Tensor] | None = None,
    ) -> None:
        """Accumulates this tensor's gradients into the leaves' .grad; see autograd.backward."""
        global _backward
        if _backward is None:  # autograd imports this module; to import at each call takes 1 us
            from .autograd.backward import backward as _backward
        _backward(self, gradient, retain_graph, create_graph, inputs=inputs)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Any:
        """Calls `hook(grad)` in each backward, once this tensor's gradient is whole.

        What the hook returns, if not None, is the gradient from there on: of the same shape and
        dtype.

        Returns:
            A handle whose `remove()` takes the hook away.

        Raises:
            RuntimeError: if the tensor does not require a gradient.
        """
        from .autograd.hooks import register_hook

        return register_hook(self, hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> Any:
        """Calls `hook(tensor)` after each backward that has added to this leaf's .grad.

        Returns:
            A handle whose `remove()` takes the hook away.

        Raises:
            RuntimeError: if the tensor is no leaf or does not require a gradient.
        """
        from .autograd.hooks import register_post_accumulate_grad_hook

        return register_post_accumulate_grad_hook(self, hook)

    def retain_grad(self) -> None:
        """Makes backward keep this tensor's gradient in .grad though it is no leaf.

        Raises:
            RuntimeError: if the tensor does not require a gradient.
        """
        from .autograd.hooks import retain_grad

        retain_grad(self)

    @property
    def retains_grad(self) -> bool:
        """Whether retain_grad was called on this tensor, which is no leaf."""
        from .autograd.hooks import retains_grad

        return retains_grad(self)

    @property
    def output_nr(self) -> int:
        """Which output of the op that made it this tensor is."""
        return self._node[1] if type(self._node) is tuple else 0

    # ---- out of gradsmith ----

    def numpy(self) -> np.ndarray[Any, Any]:
        """The NumPy array that this CPU tensor's memory is; nothing is copied.

        Raises:
            RuntimeError: if the tensor requires a gradient (use .detach().numpy()).
            TypeError: if it is on another device (use .cpu().numpy()).
        """
        if self._requires_grad:
            raise RuntimeError(
                "numpy: a tensor that requires a gradient cannot be shared; "
                "use tensor.detach().numpy()"
            )
        if not isinstance(self._data, np.ndarray):
            raise TypeError(f"numpy: the tensor is on {self.device}; use tensor.cpu().numpy()")
        return self._data

    def _host(self) -> np.ndarray[Any, Any]:
        """The values as a NumPy array, from whatever device."""
        data = self._data
        return data if isinstance(data, np.ndarray) else self._table().transfer(data, "cpu")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        array = self.numpy()
        if dtype is not None and np.dtype(dtype) != array.dtype:
            if copy is False:
                raise ValueError(f"__array__: {array.dtype} to {dtype} needs a copy")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __dlpack__(self, **kwargs: Any) -> Any:
        if self._requires_grad:
            raise BufferError("__dlpack__: the tensor requires a gradient; use tensor.detach()")
        data = self._data
        if not hasattr(data, "__dlpack__") or any([s < 0 for s in data.strides]):
            # PyTorch aborts the process on a capsule with negative strides.
            raise BufferError(
                "__dlpack__: only CPU or GPU memory with strides >= 0 can be shared; got "
                f"stride {self.stride()} on {self.device} (use .cpu() or .contiguous())"
            )
        return data.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._data.__dlpack_device__()

    def pin_memory(self) -> Tensor:
        """This CPU tensor in page-locked memory, which a GPU reads without the host's help.

        Where there is no GPU, or the emulator stands in for it, nothing is to be locked: the
        tensor itself.

        Raises:
            RuntimeError: if the tensor is not on the CPU.
        """
        if not isinstance(self._data, np.ndarray):
            raise RuntimeError(f"pin_memory: only CPU tensors; this one is on {self.device}")
        from .kernels import cuda

        data = cuda.pinned(self._data)
        return self if data is self._data else Tensor._make(data)

    def is_pinned(self) -> bool:
        """Whether pin_memory put this tensor into page-locked memory."""
        base = getattr(self._data, "base", None)
        while isinstance(base, np.ndarray):
            base = base.base
        return type(base).__module__.startswith("cupy")

    def item(self) -> Any:
        """The value of a tensor of one element, as a Python number.

        Raises:
            RuntimeError: for a tensor of more or fewer elements.
        """
        if self._data.size != 1:
            raise RuntimeError(
                f"item: the tensor must have one element; got shape {tuple(self.shape)}"
            )
        return self._host().item()

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers."""
        return self._host().tolist()

    def __bool__(self) -> bool:
        if self._data.size != 1:
            raise RuntimeError(
                "bool: the truth of a tensor of several elements is ambiguous; "
                f"got shape {tuple(self.shape)}"
            )
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.is_floating_point or self.dtype is bool_:
            raise TypeError(f"index: needs an integer tensor; got {self.dtype}")
        return int(self.item())

    def __format__(self, spec: str) -> str:
        one = not self._data.shape or (self._data.size == 1 and spec)
        return format(self.item(), spec) if one else str(self)

    def __len__(self) -> int:
        if not self._data.shape:
            raise TypeError("len: a 0-dim tensor has no length")
        return int(self._data.shape[0])

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        host = self._host()
        if self.dtype is bfloat16:
            host = host.astype(np.float32)
        extras = ["device='cuda:0'"] if self.is_cuda else []
        usual = (get_default_dtype(), int64, bool_)
        if not host.size:
            usual = usual[:1]
            if host.ndim != 1:
                extras.append(f"size={tuple(host.shape)}")
        if self.dtype not in usual:
            extras.append(f"dtype={self.dtype}")
        if self._node is not None:
            extras.append(f"grad_fn=<{self.grad_fn.op.name}>")
        elif self._requires_grad:
            extras.append("requires_grad=True")
        return written(host, extras)

    # ---- copies of the object ----

    def __reduce__(self) -> Any:
        if self._node is not None:
            raise RuntimeError(
                "copy: only leaves can be copied or pickled with their history; use .detach()"
            )
        return _rebuild, (type(self), self._host(), str(self.device), self._requires_grad)

    def __copy__(self) -> Tensor:
        if self._node is not None:
            return self.detach()
        t = _new(type(self))
        t._set(self._data, self._requires_grad)
        t._version = self._version
        t._grad = self._grad
        return t

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if id(self) not in memo:
            rebuild, (cls, array, where, requires_grad) = self.__reduce__()
            memo[id(self)] = rebuild(cls, array.copy("K"), where, requires_grad)
            if self._grad is not None:
                memo[id(self)]._grad = self._grad.__deepcopy__(memo)
        return memo[id(self)]


_new = object.__new__
#: A tensor of these slots' values; what ops make their results with.
_filled: Callable[..., Tensor] = _cpu.slot_maker(
    Tensor, ("_data", "_requires_grad", "_node", "_version", "_grad")
)


def _rebuild(cls: type[Tensor], array: Any, where: str, requires_grad: bool) -> Tensor:
    t = _new(cls)
    t._set(table(where).transfer(array, where), requires_grad)
    return t


class Parameter(Tensor):
    """A tensor that a Module registers as one of its parameters.

    Args:
        data: the initial value, whose memory is taken over.
        requires_grad: whether it is trained.
    """

    __slots__ = ()

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        if data is None:
            data = Tensor()
        if not isinstance(data, Tensor):
            raise TypeError(f"Parameter: data must be a tensor; got {type(data).__name__}")
        self._set(data._data)
        self._version = data._version
        self.requires_grad_(requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"
