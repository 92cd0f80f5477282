"""The Go driver (Debian's golang-github-gocql-gocql-dev), in a program built here."""

import os
import shutil
import subprocess
import tempfile

from auth_ring import auth_ring
from harness import Failed, Skipped, behaviour
from ring import HANGING

SOURCES = "/usr/share/gocode"
NAMES = [
    "it finds the version by itself", "it connects with version 3", "it connects with version 4",
    "it connects with snappy", "it opens a session with token awareness",
    "values of all types come back", "paging gives every row once", "it knows the schema",
    "a batch writes all", "errors have their codes", "it logs in with a password",
    "it is refused with a wrong password",
]


def results(env):
    """Runs the program once and gives its lines by name."""
    def make():
        if shutil.which("go") is None:
            raise Skipped("not run: the Debian package golang-go is not installed")
        if not os.path.isdir(SOURCES + "/src/github.com/gocql/gocql"):
            raise Skipped(
                "not run: the Debian package golang-github-gocql-gocql-dev is not installed")
        env.make_keyspace()
        with tempfile.TemporaryDirectory() as folder:
            program = os.path.join(folder, "main")
            environment = {
                **os.environ, "GO111MODULE": "off", "GOPATH": SOURCES, "GOFLAGS": "",
                "GOCACHE": os.environ.get(
                    "COTERIE_GO_CACHE", os.path.join(folder, "cache"))}
            source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "gocql", "main.go")
            build = subprocess.run(
                ["go", "build", "-o", program, source], env=environment, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=HANGING)
            if build.returncode != 0:
                raise Failed("go build: " + build.stdout)
            run = subprocess.run(
                [program, env.ring.addresses[0], str(env.ring.port), env.keyspace,
                 str(auth_ring(env).ring.port)], text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=HANGING)
        lines = {}
        for line in run.stdout.splitlines():
            for name in NAMES:
                if line == "ok " + name:
                    lines[name] = None
                elif line.startswith(f"FAIL {name}: "):
                    lines[name] = line[len(f"FAIL {name}: "):]
        lines["output"] = run.stdout
        return lines
    return env.shared("results", make)


def register(name):
    def check(env):
        lines = results(env)
        if name not in lines:
            raise Failed("the program did not come to it: " + lines["output"])
        if lines[name] is not None:
            raise Failed(lines[name])
    check.__name__ = name
    behaviour(check)


for _name in NAMES:
    register(_name)
