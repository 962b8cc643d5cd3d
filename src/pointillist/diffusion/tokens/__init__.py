"""Masked diffusion of tokens, and of the numbers beside them."""
