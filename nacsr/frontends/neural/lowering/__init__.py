"""Torch and Brevitas modules into the IR."""
