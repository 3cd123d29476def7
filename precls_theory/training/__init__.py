"""Training of polynomial networks, and proofs about trained weights."""
