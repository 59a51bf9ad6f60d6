"""Parameter under the name that PyTorch's programs import it by."""

from ..tensor import Parameter

__all__ = ["Parameter"]
