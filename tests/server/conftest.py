"""Servers for tests, and folders for them to serve."""

from __future__ import annotations

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from served import runs, serve, simion

__all__ = ["runs", "serve", "simion"]
