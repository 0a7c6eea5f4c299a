"""Networks that turn images into class logits, depth and motion, and their files."""

from stc_lab.models.depth import DepthFPN, DepthNet
from stc_lab.models.depth_range import DepthRange, full_size
from stc_lab.models.fpn import FPNSegmenter
from stc_lab.models.network import Network
from stc_lab.models.segmenter import Segmenter, upsample_strided
from stc_lab.models.store import SHIPPED, StoredModel, load_model, load_shipped, save_model

__all__ = [
    "SHIPPED",
    "DepthFPN",
    "DepthNet",
    "DepthRange",
    "FPNSegmenter",
    "Network",
    "Segmenter",
    "StoredModel",
    "full_size",
    "load_model",
    "load_shipped",
    "save_model",
    "upsample_strided",
]
