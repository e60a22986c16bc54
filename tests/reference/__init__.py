"""Slow, readable twins of the C kernels, and the random input they are compared on."""
