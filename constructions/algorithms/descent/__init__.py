"""Gradient descent and its kin as networks: one form, one file."""
