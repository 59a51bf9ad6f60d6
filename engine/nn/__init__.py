"""Layers and models: Module and everything built on it, with PyTorch's names."""

from ..tensor import Parameter
from . import functional, init, parameter, utils
from .module import Module
from .modules import *
from .summary import summary

__all__ = ["Module", "Parameter", "functional", "init", "summary"]
__all__ += modules.__all__
