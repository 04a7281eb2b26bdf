"""Fuzzing by coverage: ``python -m fuzz flog --seconds 60``. Needs atheris (the dependency group ``fuzz``)."""
