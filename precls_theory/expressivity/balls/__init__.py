"""Traced models in ball arithmetic."""
