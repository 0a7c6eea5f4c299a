"""Filters: what can be done to predictions after the net."""

from stc_lab.filters.fusion import fuse_views

__all__ = ["fuse_views"]
