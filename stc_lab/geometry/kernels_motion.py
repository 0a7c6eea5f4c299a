"""`reproject.PixelMotion` and its derivative, compiled for the CPU.

In tensors this takes some eighty operations on matrices of nine numbers, which last as long as the projection itself.

Shapes: K [1 or b, 3, 3], T [b, 4, 4], motion [b, 3, 4], change [b, 5]. An empty `K_other` stands for the same camera.
Arithmetic is in double precision.
"""

from typing import no_type_check

import numba
import numpy as np

_compiled = numba.njit(nogil=True, cache=True, error_model="numpy")


@_compiled
@no_type_check
def move_pixels(K, T, K_other, motion, change):
    """Fill motion = (K (R - 1) K^-1, K t) and change = K_other K^-1."""
    for item in range(len(T)):
        k, turn, shift, inverse = _terms(K, T, item)
        A, Kt = _product(_product(k, turn), inverse), _product(k, shift)
        for i in range(3):
            motion[item, i, :3] = A[i]
            motion[item, i, 3] = Kt[i, 0]
        change[item] = (1, 1, 0, 0, 0)
        if len(K_other) > 0:
            change[item] = _change(k, K_other[item if len(K_other) > 1 else 0])


@_compiled
@no_type_check
def move_pixels_back(K, T, K_other, d_motion, d_change, d_K, d_T, d_K_other):
    """Add the gradients of `move_pixels` to `d_K` and `d_K_other`, and fill `d_T`."""
    for item in range(len(T)):
        k, turn, shift, inverse = _terms(K, T, item)
        d_A, d_Kt = d_motion[item, :, :3], d_motion[item, :, 3:]
        d_turned = _product(d_A, inverse.T)
        d_T[item] = 0
        d_T[item, :3, :3] = _product(k.T, d_turned)
        d_T[item, :3, 3:] = _product(k.T, d_Kt)
        own = _product(d_turned, turn.T) + _product(d_Kt, shift.T)
        by_inverse = _product(_product(inverse.T, _product(_product(k, turn).T, d_A)), inverse.T)
        for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2)):  # the others are constants of an inverse of K
            own[i, j] -= by_inverse[i, j]
        if len(K_other) > 0:
            other = item if len(K_other) > 1 else 0
            _change_back(k, K_other[other], d_change[item], own, d_K_other[other])
        d_K[item if len(K) > 1 else 0] += own


@_compiled
@no_type_check
def _terms(K, T, item):
    """K, R - 1, t and K^-1 of one item."""
    k = K[item if len(K) > 1 else 0].astype(np.float64)
    turn, shift = T[item, :3, :3].astype(np.float64) - np.eye(3), T[item, :3, 3:].astype(np.float64)
    fx, skew, cx, fy, cy = k[0, 0], k[0, 1], k[0, 2], k[1, 1], k[1, 2]
    inverse = np.eye(3)
    inverse[0] = (1 / fx, -skew / (fx * fy), (skew * cy - cx * fy) / (fx * fy))
    inverse[1, 1], inverse[1, 2] = 1 / fy, -cy / fy
    return k, turn, shift, inverse


@_compiled
@no_type_check
def _product(a, b):
    """Product of small matrices; NumPy's would ask a library for large ones."""
    result = np.zeros((a.shape[0], b.shape[1]))
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            for k in range(a.shape[1]):
                result[i, j] += a[i, k] * b[k, j]
    return result


@_compiled
@no_type_check
def _change(k, other):
    scale_x, scale_y = other[0, 0] / k[0, 0], other[1, 1] / k[1, 1]
    shear = (other[0, 1] - scale_x * k[0, 1]) / k[1, 1]
    offset_x = other[0, 2] - scale_x * k[0, 2] - shear * k[1, 2]
    return scale_x, scale_y, shear, offset_x, other[1, 2] - scale_y * k[1, 2]


@_compiled
@no_type_check
def _change_back(k, other, d_change, d_k, d_other):
    scale_x, scale_y, shear, _, _ = _change(k, other)
    d_scale_x, d_scale_y, d_shear, d_offset_x, d_offset_y = d_change
    d_shear -= d_offset_x * k[1, 2]
    d_scale_x -= d_offset_x * k[0, 2] + d_shear * k[0, 1] / k[1, 1]
    d_scale_y -= d_offset_y * k[1, 2]
    d_other[0, 0] += d_scale_x / k[0, 0]
    d_other[1, 1] += d_scale_y / k[1, 1]
    d_other[0, 1] += d_shear / k[1, 1]
    d_other[0, 2] += d_offset_x
    d_other[1, 2] += d_offset_y
    d_k[0, 0] -= d_scale_x * scale_x / k[0, 0]
    d_k[0, 1] -= d_shear * scale_x / k[1, 1]
    d_k[0, 2] -= d_offset_x * scale_x
    d_k[1, 1] -= (d_shear * shear + d_scale_y * scale_y) / k[1, 1]
    d_k[1, 2] -= d_offset_x * shear + d_offset_y * scale_y
