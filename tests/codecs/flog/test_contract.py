from __future__ import annotations

from trainlog import Header, Variable
from trainlog.codecs.flog import FlogCodec
from trainlog.testing import CodecContract


class TestFlog(CodecContract):
    codec = FlogCodec()
    header = Header(
        {"creature": "go2", "task": "Hund läuft 🐕", "nested": {"a": [1, 2.5, None]}},
        phase=3,
        variables=(
            Variable("v", "state", "m/s", -1.0, 1.0, key="state/v"),
            Variable("angle", "action", "rad", -3.1, 3.1, circular=True),
        ),
    )
