"""Table networks: a learned table of one input on every edge, summed (as Kolmogorov-Arnold
networks are, Liu et al., arXiv:2404.19756), made smaller until little is left.
"""
