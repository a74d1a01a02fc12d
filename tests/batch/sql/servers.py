"""PostgreSQL and MariaDB for tests: real servers of Debian's packages on a private socket.

Both refuse to run as root, so they run as nobody where root runs the tests. Nothing
listens on the network, and no service of the system is touched.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

PASSWORD = "pass:w@rd/%21"  # every character that a URL or a file of passwords escapes
READER = "reader"
_NOBODY = 65534
_MAX_START_SECONDS = 60


class Server(ABC):
    """A server with a folder of its own.

    Attributes:
        folder: Private folder, whose path is short enough for a socket's.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mq-"))
        if os.geteuid() == 0:
            os.chown(self.folder, _NOBODY, _NOBODY)
        self._process: subprocess.Popen[bytes] | None = None
        self._run(self._install())
        self.start()

    @staticmethod
    @abstractmethod
    def programs() -> Path | None:
        """Return the folder of the server's programs, None where it is not installed."""

    @abstractmethod
    def make_reader(self, database: str) -> None:
        """Make a user who needs a password and may read a database."""

    @abstractmethod
    def _install(self) -> list[str]:
        """Return the command that makes the folder of data."""

    @abstractmethod
    def _serve(self) -> list[str]:
        """Return the command of the server."""

    @abstractmethod
    def sql(self, statement: str, database: str = "") -> str:
        """Execute statements as the superuser, and return rows of fields between tabs."""

    @abstractmethod
    def url(self, database: str, user: str = "marquee") -> str:
        """Return the URL of a database."""

    def start(self) -> None:
        """Start the server unless it runs, and wait until it answers."""
        if self._process is not None and self._process.poll() is None:
            return
        log = (self.folder.parent / f"{self.folder.name}.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                self._serve(), stdout=log, stderr=log, cwd="/", **_as_anybody()
            )
        deadline = time.monotonic() + _MAX_START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, Path(log.name).read_text()
            assert time.monotonic() < deadline, Path(log.name).read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill the server and everything of it, as a power cut does."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def remove(self) -> None:
        """Kill the server, and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder)
        (self.folder.parent / f"{self.folder.name}.log").unlink()

    def _answers(self) -> bool:
        try:
            self.sql("SELECT 1")
        except subprocess.CalledProcessError:
            return False
        return True

    @staticmethod
    def _run(command: list[str]) -> str:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd="/", **_as_anybody()
        )
        try:
            done.check_returncode()
        except subprocess.CalledProcessError as error:
            error.add_note(f"{done.stdout}{done.stderr}")
            raise
        return done.stdout


class PostgresServer(Server):
    """PostgreSQL of the newest installed version."""

    @staticmethod
    def programs() -> Path | None:
        """Return the folder of its programs, None where it is not installed."""
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        return found[-1].parent if found else None

    def _install(self) -> list[str]:
        data = str(self.folder / "data")
        return [self._program("initdb"), "-D", data, "-U", "marquee", "-A", "trust",
                "-E", "UTF8", "--locale=C", "--no-sync"]  # fmt: skip

    def _serve(self) -> list[str]:
        hba = self.folder / "hba.conf"
        hba.write_text(f"local all {READER} scram-sha-256\nlocal all all trust\n")
        hba.chmod(0o644)
        socket = str(self.folder)
        return [self._program("postgres"), "-D", f"{socket}/data", "-k", socket, "-h", "",
                "-c", f"hba_file={hba}", "-c", "fsync=off", "-c", "max_wal_size=4GB"]  # fmt: skip

    def sql(self, statement: str, database: str = "") -> str:
        psql = [self._program("psql"), "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1"]
        where = ["-h", str(self.folder), "-U", "marquee", "-d", database or "postgres"]
        return self._run([*psql, *where, "-c", statement])

    def url(self, database: str, user: str = "marquee") -> str:
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def make_reader(self, database: str) -> None:
        """Make a user who needs a password and may read."""
        password = PASSWORD.replace("'", "''")
        create = f"CREATE ROLE {READER} LOGIN SUPERUSER PASSWORD '{password}'"
        unless_there = "EXCEPTION WHEN duplicate_object THEN NULL"
        self.sql(f"DO $do$ BEGIN {create}; {unless_there}; END $do$", database)

    def _program(self, name: str) -> str:
        return str((self.programs() or Path()) / name)


class MariadbServer(Server):
    """MariaDB."""

    @staticmethod
    def programs() -> Path | None:
        """Return the folder of the server, None where it is not installed."""
        path = shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin")
        return Path(path).parent if path else None

    def _install(self) -> list[str]:
        return ["mariadb-install-db", "--no-defaults", f"--datadir={self.folder}/data",
                "--auth-root-authentication-method=normal", "--skip-test-db"]  # fmt: skip

    def _serve(self) -> list[str]:
        program = str((self.programs() or Path()) / "mariadbd")
        return [program, "--no-defaults", f"--datadir={self.folder}/data", "--skip-networking",
                f"--socket={self.folder}/socket", f"--pid-file={self.folder}/pid",
                "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=256M"]  # fmt: skip

    def sql(self, statement: str, database: str = "") -> str:
        client = [
            "mariadb",
            "--no-defaults",
            f"--socket={self.folder}/socket",
            "-uroot",
            "-N",
            "-B",
        ]
        return self._run([*client, *([database] if database else []), "-e", statement])

    def url(self, database: str, user: str = "root") -> str:
        return f"mysql://{user}@/{database}?unix_socket={self.folder}/socket"

    def make_reader(self, database: str) -> None:
        """Make a user who needs a password and may read."""
        self.sql(f"DROP USER IF EXISTS {READER}@localhost")
        self.sql(f"CREATE USER {READER}@localhost IDENTIFIED BY '{PASSWORD}'")
        self.sql(f"GRANT ALL ON `{database}`.* TO {READER}@localhost")


def _as_anybody() -> dict[str, Any]:
    """Return options of a process that is not root's, in a group of its own."""
    options: dict[str, Any] = {"start_new_session": True}
    if os.geteuid() == 0:
        options |= {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
    return options
