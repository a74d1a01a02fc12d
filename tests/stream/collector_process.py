"""A collector as a process, which tests kill and stop."""

import subprocess
import sys
import time
from pathlib import Path

from stream.errors import LedgerError
from tests.stream.collecting import ROOT, ledger_state


class CollectorProcess:
    """`python -m stream collect` on a topic, with small flushes."""

    def __init__(self, folder, bootstrap, topic, *, kafka=None, **settings):
        self.folder = folder
        kafka = {"session.timeout.ms": 6000, "max.poll.interval.ms": 10_000, **(kafka or {})}
        self.kafka = {"bootstrap.servers": bootstrap, "group.id": "marquee", **kafka}
        folder.mkdir(exist_ok=True)
        settings = {"flush_seconds": 0.2, "fold_segments": 3, "metrics_port": 0, **settings}
        table = "\n".join(f"{key} = {value}" for key, value in settings.items())
        (folder / "marquee.toml").write_text(
            f'[stream]\ntopic = "{topic}"\nevents = "{folder / "events"}"\nmin_free_mib = 0.0\n'
            f"{table}\n[stream.kafka]\n"
            + "".join(f'"{key}" = "{value}"\n' for key, value in self.kafka.items())
            + f'[batch]\nquarantine = "{folder / "quarantine"}"\n'
        )
        self.start()

    def start(self):
        command = [sys.executable, "-m", "stream", "collect", "--config"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, self.folder / "marquee.toml"], cwd=ROOT, stderr=log
            )

    def send(self, number):
        self.process.send_signal(number)

    def end(self, number):
        self.send(number)
        return self.process.wait(60)

    def n_lines(self):
        try:
            return ledger_state(self.folder).n_messages
        except (OSError, LedgerError):  # not there yet, or a record is being written
            return 0

    def wait_for(self, n_lines, seconds=300.0):
        deadline = time.monotonic() + seconds
        while self.n_lines() < n_lines:
            assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, (self.n_lines(), n_lines)
            time.sleep(0.05)

    def memory_mib(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
        raise AssertionError("no VmHWM")
