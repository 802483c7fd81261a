"""500 viewers by RTMP and 500 by HTTP-FLV of a stream of 1 Mbit/s, by the load generator of the package.

MARTLET_LOAD_SECONDS says how long (default 10; 60 is what the issue asks for)."""
import json
import os
import pathlib
import subprocess

import pytest
from conftest import ROOT, wait_for

pytestmark = pytest.mark.alone

SECONDS = int(os.environ.get("MARTLET_LOAD_SECONDS", "10"))
VIEWERS = 500
BENCH = pathlib.Path(os.environ.get("MARTLET_BENCH", ROOT / ".build/release/bench"))


@pytest.mark.timeout(SECONDS + 90)
def test_a_thousand_viewers_miss_nothing(server):
    assert BENCH.exists(), "swift build -c release --product bench"
    publisher = subprocess.Popen([BENCH, "publish", f"127.0.0.1:{server.rtmp}", "live/load", "1000000", str(SECONDS + 60)])
    viewers = []
    try:
        wait_for(lambda: server.live("live/load"))
        for kind, port, path in [("rtmp", server.rtmp, "live/load"), ("http", server.http, "live/load.flv")]:
            viewers.append(subprocess.Popen([BENCH, "view", kind, f"127.0.0.1:{port}", path, str(VIEWERS), str(SECONDS)], stdout=subprocess.PIPE, text=True))
        wait_for(lambda: server.stream("live/load")["viewers"]["total"] == 2 * VIEWERS, 20)
        reports = [json.loads(viewer.communicate(timeout=SECONDS + 60)[0].splitlines()[-1]) for viewer in viewers]
    finally:
        for process in [publisher, *viewers]:
            process.kill()
            process.wait()
    for report in reports:
        assert report["connected"] == VIEWERS and report["closed"] == 0 and report["blind"] == 0, report
        assert report["missed"] == 0, report
        assert 0 <= report["last_frame_age_ms"]["max"] < 1000, report
        assert report["frames"] > VIEWERS * SECONDS * 28, report
