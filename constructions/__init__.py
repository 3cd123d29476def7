"""Exact constructions of neural networks that run numerical algorithms."""
