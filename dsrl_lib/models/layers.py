"""Convolutions with batch norm, which most hosts and heads are built from."""

from torch import nn


def conv_bn(
    inputs: int, outputs: int, kernel: int = 1, *, stride: int = 1, dilation: int = 1, groups: int = 1
) -> list[nn.Module]:
    """A convolution without bias, whose padding keeps the size at stride 1, and its batch norm."""
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


def conv_bn_relu(
    inputs: int, outputs: int, kernel: int = 1, *, stride: int = 1, dilation: int = 1, groups: int = 1
) -> nn.Sequential:
    """`conv_bn` and ReLU."""
    layers = conv_bn(inputs, outputs, kernel, stride=stride, dilation=dilation, groups=groups)
    return nn.Sequential(*layers, nn.ReLU(inplace=True))
