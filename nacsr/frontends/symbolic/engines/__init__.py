"""Searches for expressions behind one protocol (``request``), named in ``registry``."""
