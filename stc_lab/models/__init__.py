"""Networks that turn images into class logits, depth and motion, and their files."""

from stc_lab.models.correlation import correlation_volume
from stc_lab.models.depth import DepthFPN, DepthNet
from stc_lab.models.depth_range import DepthRange, full_size
from stc_lab.models.depth_resnet import DepthResNet
from stc_lab.models.fpn import FPNSegmenter
from stc_lab.models.hub import HubDepth
from stc_lab.models.hub_segmenter import HubSegmenter
from stc_lab.models.intrinsics import average_camera, camera_from_raw
from stc_lab.models.motion import Motion, MotionNet, PairMotionNet, both_ways
from stc_lab.models.network import Network
from stc_lab.models.projection import FeatureSegmenter, ProjectionHead
from stc_lab.models.resnet import ResNetEncoder
from stc_lab.models.segmenter import Segmenter, upsample_strided
from stc_lab.models.store import SHIPPED, StoredModel, load_model, load_shipped, save_model

__all__ = [
    "SHIPPED",
    "DepthFPN",
    "DepthNet",
    "DepthRange",
    "DepthResNet",
    "FPNSegmenter",
    "FeatureSegmenter",
    "HubDepth",
    "HubSegmenter",
    "Motion",
    "MotionNet",
    "Network",
    "PairMotionNet",
    "ResNetEncoder",
    "ProjectionHead",
    "Segmenter",
    "StoredModel",
    "average_camera",
    "both_ways",
    "camera_from_raw",
    "correlation_volume",
    "full_size",
    "load_model",
    "load_shipped",
    "save_model",
    "upsample_strided",
]
