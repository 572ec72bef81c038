"""Reads result files and draws them; needs none of the tools that made them."""
