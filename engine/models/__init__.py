"""Models made of the layers in nn."""

from .lenet import DigitsNet, LeNet5

__all__ = ["DigitsNet", "LeNet5"]
