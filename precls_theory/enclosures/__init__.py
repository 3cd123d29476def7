"""Rigorous enclosures: operator norms from above, floating-point formats, balls and jets."""
