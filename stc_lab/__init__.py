"""Spatio-Temporal Consistency Lab."""
