"""How far colours are apart for eyes with and without all kinds of cones."""

import itertools

import numpy as np

# Machado, Oliveira & Fernandes 2009, severity 1: what linear RGB becomes for an eye without L, M or S cones.
MACHADO = {
    "normal vision": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def cielab(rgb, vision) -> np.ndarray:
    """sRGB (n, 3) as such an eye sees it, in CIELAB (D65)."""
    rgb = np.asarray(rgb)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.transpose(vision), 0, 1)
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    xyz = seen @ np.transpose(to_xyz) / [0.95047, 1.0, 1.08883]
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.column_stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])])


def nearest(colors, vision) -> float:
    """The least distance of two of the colours; a just noticeable one is about 2.3."""
    return min(np.linalg.norm(a - b) for a, b in itertools.combinations(cielab(colors, vision), 2))
