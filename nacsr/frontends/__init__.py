"""Frontends propose models, fit them and lower them to the IR."""
