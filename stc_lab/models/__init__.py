"""Networks that turn images into class logits, and their files."""

from stc_lab.models.fpn import FPNSegmenter
from stc_lab.models.segmenter import Segmenter, upsample_strided
from stc_lab.models.store import SHIPPED, StoredModel, load_model, load_shipped, save_model

__all__ = [
    "SHIPPED",
    "FPNSegmenter",
    "Segmenter",
    "StoredModel",
    "load_model",
    "load_shipped",
    "save_model",
    "upsample_strided",
]
