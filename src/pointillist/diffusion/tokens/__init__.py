"""Masked diffusion of tokens, and Gaussian diffusion of the numbers of mixed rows."""
