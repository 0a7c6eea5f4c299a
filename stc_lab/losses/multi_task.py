"""What the depth-edge losses are compared with: Chen et al.'s regulariser, and segmentation and depth from one net.

The slides of Papadopoulos et al. name three alternatives and give no formula of them.

- Chen et al. 2019 (Towards scene understanding), as a regulariser beside BiSeNet: `semantic_smoothness`. Their other
  term asks the class maps of a stereo pair to agree; it is Eq. 1 of Pasad et al. along a stereo warp, so that
  `logits_consistency` serves. Which of the two the slides mean, they do not say; ours is the one that ties classes to
  depth in a single frame.
- Klingner et al. 2020 train segmentation (cross-entropy) and self-supervised depth (photometric error and smoothness)
  on one encoder, and balance them by their gradients there: `shared_gradient`.
- Novosel et al. 2019 do likewise with a net of their own; how they weigh the tasks is not known to us. A plain weighted
  sum of the tasks' losses, which is an `Objective`, stands for it.
"""

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.losses.depth_edges import EdgeLoss, mean_over_slopes, slopes


def semantic_smoothness(
    disparity: Float[Tensor, "b 1 h w"],
    probabilities: Float[Tensor, "b k h w"],
    *,
    learns: Literal["disparity", "semantics", "both"] = "disparity",
    usable: Bool[Tensor, "b h w"] | None = None,
    normalise: Literal["mean"] | None = None,
) -> EdgeLoss:
    """Disparity smooth within each class: mean of |dd| (1 - |dS|) (Chen et al. 2019, Eq. 8).

    Chen et al. take S as one-hot of the most probable class, compare neighbours along x, and train the disparity;
    `learns="disparity"` is that. We add the neighbours along y, and read |dS| as half the L1 norm, which is 1 between
    different classes and 0 within one.

    The slides train the classes with a pretrained depth net. One-hot classes have no gradient, so for `semantics` (the
    depth fixed) and `both` we take S as the probabilities themselves. Mind what that asks for: class edges where depth
    has one, whereas L_p and L_h ask for none where it has none.

    `normalise="mean"` divides by each image's mean disparity. Raises InputError as `edge_loss_h` does.
    """
    if learns not in ("disparity", "semantics", "both"):
        raise InputError(f"learns must be 'disparity', 'semantics' or 'both', got {learns!r}")
    fixed = disparity.detach() if learns == "semantics" else disparity
    if learns == "disparity":
        most = probabilities.detach().argmax(dim=1)
        probabilities = F.one_hot(most, probabilities.shape[1]).movedim(-1, 1).to(probabilities.dtype)
    across, down = slopes(probabilities, fixed, usable, normalise)
    along_x, along_y = (way.depth * (1 - way.semantic.sum(dim=1) / 2) for way in (across, down))
    return mean_over_slopes(along_x, across, along_y, down)


def shared_gradient(
    features: Float[Tensor, "*shape"], *, segmentation: float = 0.1
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """The features of a shared encoder, for the segmentation decoder and for the depth decoder (Klingner et al. 2020).

    Both are the features unchanged, and each decoder learns with its full gradient. Into the encoder goes the share
    `segmentation` of the one's gradient and the rest of the other's. The default is that of the authors' later program.
    """
    if not 0 <= segmentation <= 1:
        raise InputError(f"segmentation must be a share from 0 to 1, got {segmentation}")
    return _scaled(features, segmentation), _scaled(features, 1 - segmentation)


def _scaled(features: Tensor, share: float) -> Tensor:
    fixed = features.detach()
    return fixed + share * (features - fixed)  # the difference is exactly 0: the value stays, the gradient is scaled
