"""From a PyTorch module to a graph of ATen operations without side effects, made by ``torch.export``."""
