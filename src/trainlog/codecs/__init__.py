"""The formats, one package or module each."""
