"""Dual Super-Resolution Learning for Semantic Segmentation (Wang et al., CVPR 2020), reproduced."""
