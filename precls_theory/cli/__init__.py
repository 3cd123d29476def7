"""The ``precls`` command line: one file a command, joined in :mod:`precls_theory.cli.main`."""
