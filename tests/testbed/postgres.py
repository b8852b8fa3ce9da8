"""A PostgreSQL of the tests' own: made in a temporary folder, on a port of its own, and removed."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import psycopg

from testbed.ports import free_ports
from testbed.processes import Component
from testbed.waiting import wait_until

MARK = "postgres"
"""Of tests that need one."""
PACKAGE = "postgresql"
_DEBIAN = "usr/lib/postgresql/*/bin/initdb"
USER, PASSWORD = "paddock", "correct horse/battery@staple"
_ENCODED = "correct%20horse%2Fbattery%40staple"
_OWNER = "postgres"
"""Who runs the server when we are root, as which it refuses to run. Debian's package makes it."""


def programs() -> Path | None:
    """The folder of the newest server's programs."""
    found = sorted(Path("/").glob(_DEBIAN), key=_version)
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def lack() -> str | None:
    """What is in the way of a server here, with the cure."""
    if programs() is None:
        return f"initdb is missing; as root on Debian: apt-get install {PACKAGE}"
    if os.getuid() == 0:
        try:
            pwd.getpwnam(_OWNER)
        except KeyError:
            return f"a server does not run as root, and there is no user {_OWNER}; run as another"
    return None


class Postgres:
    """One server, to kill and freeze. Nothing of it is left after `remove`."""

    def __init__(self, *, flushes: bool = False) -> None:
        """`flushes`: commits wait for the disk, for which a busy machine may take seconds. What was
        committed outlives the server's death in either case."""
        found = programs()
        assert found is not None, lack()
        self._programs = found
        self.folder = Path(tempfile.mkdtemp(prefix="paddock-postgres-"))
        (self.port,) = free_ports(1)
        self._data = self.folder / "data"
        self._databases = 0
        self._make()
        if not flushes:
            self._configure("fsync = off\n")
        argv = (str(found / "postgres"), "-D", str(self._data))
        self._server = Component(self.folder, "postgres", argv, inside=_as_owner(pdeathsig=True))

    def start(self) -> None:
        """Started, and answering."""
        # The lock file of a killed one may name a process that lives again as something else.
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        self._server.start()
        wait_until(
            "PostgreSQL", self._answers, within_s=60, log=self._server.log,
            alive=lambda: self._server.running,
        )  # fmt: skip

    def stop(self) -> None:
        """Shut down; clients are sent away."""
        if self._server.running:
            os.kill(self._postmaster, 2)
            self._server.stop()

    def kill(self) -> None:
        """SIGKILL for every process of it: a crash."""
        processes = self._each(psutil.Process.kill)
        psutil.wait_procs(processes, 10)
        self._server.kill()

    def freeze(self) -> None:
        """SIGSTOP for every process of it: it accepts connections, and is silent."""
        self._each(psutil.Process.suspend)

    def thaw(self) -> None:
        self._each(psutil.Process.resume)

    def remove(self) -> None:
        if self._server.running:
            self.thaw()
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def encrypt(self, certificate: Path, key: Path) -> None:
        """From its next start on, it speaks TLS to who asks for it."""
        for path, mode in ((certificate, 0o644), (key, 0o600)):
            copied = Path(shutil.copy(path, self._data))
            copied.chmod(mode)
            if os.getuid() == 0:
                shutil.chown(copied, _OWNER)
        self._configure(
            f"ssl = on\nssl_cert_file = '{certificate.name}'\nssl_key_file = '{key.name}'\n"
        )

    def create(self) -> str:
        """A new, empty database; its URL."""
        self._databases += 1
        name = f"t{self._databases}"
        self.run(f"CREATE DATABASE {name}", database="postgres")
        return self.url(name)

    def url(self, database: str, *, password: str = _ENCODED, options: str = "") -> str:
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}{options}"

    def run(self, statement: str, *, database: str) -> list[tuple[object, ...]]:
        """What one statement answers, run by the server's superuser."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def program(self, name: str) -> str:
        """A program of this version, such as pg_dump."""
        return str(self._programs / name)

    @property
    def _postmaster(self) -> int:
        return int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])

    def _each(self, do: Callable[[psutil.Process], None]) -> list[psutil.Process]:
        """Do it to every process, the parent first: so it makes no more of them meanwhile."""
        done = []
        with contextlib.suppress(psutil.NoSuchProcess, OSError):
            parent = psutil.Process(self._postmaster)
            children = parent.children(recursive=True)
            do(parent)
            for process in {*children, *parent.children(recursive=True)}:
                with contextlib.suppress(psutil.NoSuchProcess):  # it was about to end
                    do(process)
                    done.append(process)
        return done

    def _answers(self) -> bool:
        try:
            self.run("SELECT 1", database="postgres")
        except psycopg.OperationalError:
            return False
        return True

    def _make(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        if os.getuid() == 0:
            for path in (self.folder, secret):
                shutil.chown(path, _OWNER)
        command = [
            *_as_owner(), self.program("initdb"), "--pgdata", str(self._data), "--username", USER,
            "--pwfile", str(secret), "--auth", "scram-sha-256", "--encoding", "UTF8",
            "--locale", "C", "--no-sync",
        ]  # fmt: skip
        made = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        if made.returncode != 0:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise RuntimeError(f"initdb: {made.stderr}")
        self._configure(
            f"listen_addresses = '127.0.0.1, 127.0.0.2'\nport = {self.port}\n"
            f"unix_socket_directories = '{self.folder}'\n"
        )

    def _configure(self, lines: str) -> None:
        with (self._data / "postgresql.conf").open("a") as configuration:
            configuration.write(lines)


@contextlib.contextmanager
def running(*, flushes: bool = False) -> Iterator[Postgres]:
    """A server that is removed afterwards."""
    server = Postgres(flushes=flushes)
    try:
        server.start()
        yield server
    finally:
        server.remove()


def _as_owner(*, pdeathsig: bool = False) -> Sequence[str]:
    """Before a command: run it as a user that the server accepts, to end when we do."""
    if os.getuid() != 0:
        return ()
    user = ["setpriv", "--reuid", _OWNER, "--regid", _OWNER, "--init-groups"]
    return [*user, *(["--pdeathsig", "INT"] if pdeathsig else [])]


def _version(initdb: Path) -> int:
    return int(initdb.parent.parent.name)
