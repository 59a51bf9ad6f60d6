"""Models made of the layers in nn; parameters have torchvision's names where it has the model."""

from .alexnet import AlexNet, alexnet
from .classic import LinearSVM, NearestNeighbors, SoftmaxClassifier
from .googlenet import GoogLeNet, GoogLeNetOutputs, googlenet
from .lenet import DigitsNet, LeNet5
from .mlp import MLP
from .resnet import (
    BasicBlock,
    Bottleneck,
    ResNet,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
)
from .sequence import TCN, CharRNN, TransformerLM
from .unet import UNet
from .vgg import VGG, vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn

__all__ = [
    "AlexNet",
    "BasicBlock",
    "Bottleneck",
    "CharRNN",
    "DigitsNet",
    "GoogLeNet",
    "GoogLeNetOutputs",
    "NearestNeighbors",
    "LeNet5",
    "LinearSVM",
    "MLP",
    "ResNet",
    "SoftmaxClassifier",
    "TCN",
    "TransformerLM",
    "UNet",
    "VGG",
    "alexnet",
    "googlenet",
    "resnet101",
    "resnet152",
    "resnet18",
    "resnet34",
    "resnet50",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
]
