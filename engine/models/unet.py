"""U-Net: a score for each pixel."""

from __future__ import annotations

from .. import Tensor, cat, nn
from ..nn import functional as F

__all__ = ["UNet"]


class DoubleConv(nn.Sequential):
    """Two times: 3x3 convolution, batch normalisation, ReLU.

    Shape: (N, in_channels, H, W) -> (N, out_channels, H, W)

    Args:
        in_channels, out_channels: Channels in and out.
        batch_norm: Whether each convolution is followed by batch normalisation.
    """

    def __init__(self, in_channels: int, out_channels: int, batch_norm: bool = True) -> None:
        layers: list[nn.Module] = []
        for ins in (in_channels, out_channels):
            layers.append(nn.Conv2d(ins, out_channels, 3, padding=1, bias=not batch_norm))
            if batch_norm:
                layers.append(nn.BatchNorm2d(out_channels))
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


class UNet(nn.Module):
    """A path down, a path up, and at each level a bridge between them; a score for each pixel.

    Shape: (N, in_channels, H, W) -> (N, out_channels, H, W), H and W at least 2^depth

    Args:
        in_channels: Of the image.
        out_channels: Number of classes; 1 for foreground against background.
        width: Channels of the first level; each level down has twice as many.
        depth: How many times the image is halved.
        bilinear: Go up by interpolation instead of a transposed convolution.
        batch_norm: Whether each convolution is followed by batch normalisation.

    Source: Ronneberger, Fischer, Brox (2015), U-Net. Convolutions are padded, so that the output
    has the image's size, and what is odd is padded on the way up.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 2,
        width: int = 64,
        depth: int = 4,
        bilinear: bool = False,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        if depth < 1:
            raise ValueError(f"UNet: depth must be at least 1; got {depth}")
        widths = [width * 2**i for i in range(depth + 1)]
        self.bilinear = bilinear
        self.inc = DoubleConv(in_channels, width, batch_norm)
        self.down = nn.ModuleList(
            [DoubleConv(widths[i], widths[i + 1], batch_norm) for i in range(depth)]
        )
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ModuleList()
        self.conv = nn.ModuleList()
        for i in reversed(range(depth)):
            if bilinear:
                self.up.append(nn.Conv2d(widths[i + 1], widths[i], 1))
            else:
                self.up.append(nn.ConvTranspose2d(widths[i + 1], widths[i], 2, stride=2))
            self.conv.append(DoubleConv(2 * widths[i], widths[i], batch_norm))
        self.outc = nn.Conv2d(width, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        bridges = [self.inc(x)]
        for down in self.down:
            bridges.append(down(self.pool(bridges[-1])))
        x = bridges.pop()
        for up, conv in zip(self.up, self.conv, strict=True):
            bridge = bridges.pop()
            if self.bilinear:
                x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            x = up(x)
            missing_y = int(bridge.shape[2]) - int(x.shape[2])
            missing_x = int(bridge.shape[3]) - int(x.shape[3])
            if missing_y or missing_x:
                x = F.pad(x, (0, missing_x, 0, missing_y))
            x = conv(cat([bridge, x], 1))
        return self.outc(x)
