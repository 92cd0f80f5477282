"""`coterie shell` at a pseudo-terminal: the keys of its line editor, its history, completion, LOGIN and passwords."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import tempfile
import termios
import time

from auth_ring import auth_ring
from harness import PATIENCE, Failed, behaviour, equal, true

UP, DOWN, LEFT, RIGHT, HOME, END, DELETE = (
    "\x1b[A", "\x1b[B", "\x1b[D", "\x1b[C", "\x1b[H", "\x1b[F", "\x1b[3~")


class Terminal:
    """The shell with a terminal of eighty columns before it."""

    def __init__(self, ring, home, *arguments):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [ring.binary, "shell", *arguments, ring.addresses[0], str(ring.port)],
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            env={**{k: v for k, v in os.environ.items() if k not in ("TZ", "CQL_HISTORY")},
                 "HOME": home, "TERM": "xterm"})
        os.close(slave)
        self.seen, self.passed = "", 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)

    def keys(self, text):
        os.write(self.master, text.encode())

    def read(self, seconds):
        """Takes what comes within that time; false at the end."""
        ready, _, _ = select.select([self.master], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)

    @property
    def text(self):
        """What was written and not waited for yet, without the sequences that move and colour."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r", "", self.seen)[self.passed:]

    def wait(self, phrase):
        """Waits until the phrase was written, and passes it; gives what was written up to it."""
        deadline = time.monotonic() + PATIENCE
        while phrase not in self.text:
            if time.monotonic() > deadline or not self.read(0.2):
                raise Failed(f"waited for {phrase!r}, got {self.text[-600:]!r}")
        told = self.text[:self.text.index(phrase) + len(phrase)]
        self.passed += len(told)
        return told

    def line(self, keys, phrase=""):
        """Types a line and waits for its answer, and that the next one is answered; gives what was written."""
        self.keys(keys + "\r")
        told = self.wait(phrase)
        self.keys("SELECT 4000 + 242 AS n FROM system.local;\r")
        told += self.wait("4242")
        return told + self.wait("> ")

    def end(self):
        """Waits for the program's end; its code."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < deadline:
            if not self.read(0.2):
                break
        return self.process.wait(timeout=PATIENCE)


def terminal(env, home, *arguments):
    env.make_keyspace()
    return Terminal(env.ring, home, "--no-color", "-k", env.keyspace, *arguments)


def filled(env):
    def make():
        name = env.table("k int PRIMARY KEY, v text")
        env.execute(f"INSERT INTO {name} (k, v) VALUES (1, 'found')")
        return name
    return env.shared("filled", make)


def at_prompt(env, check):
    name = filled(env)
    with tempfile.TemporaryDirectory() as home, terminal(env, home) as shell:
        shell.wait("> ")
        check(shell, name)


@behaviour
def keys_move_and_delete_in_the_line(env):
    def check(shell, name):
        # Each line is typed wrong and mended by keys.
        shell.line("ELECT v FROM " + name + ";" + HOME + "S", "found")
        shell.line("SELECT v FROM " + name + "X;" + LEFT + "\x7f", "found")
        shell.line("XSELECT v FROM " + name + ";\x01" + DELETE, "found")
        shell.line("SELECT v FROM " + name + " WHERE k = 2\x17" + "1;", "found")
        shell.line("nonsense\x15SELECT v FROM " + name + ";", "found")
        shell.line("SELECT v FROM " + name + "; nonsense" + LEFT * 9 + "\x0b", "found")
        shell.line("SELCET v FROM " + name + ";" + HOME + RIGHT * 4 + "\x14", "found")
        shell.line("\x1b[200~SELECT v\nFROM " + name + ";\n\x1b[201~", "found")
    at_prompt(env, check)


@behaviour
def lines_come_back_by_arrows_and_by_searching(env):
    def check(shell, name):
        shell.line(f"SELECT v FROM {name} WHERE k = 1;", "found")
        shell.line("SELECT k FROM system.local WHERE key = 'x';", "Undefined")
        # Each line is followed by one that only waits.
        shell.line(UP * 4, "found")
        shell.line(UP * 6 + DOWN * 2, "Undefined")
        shell.line("\x12k = 1", "found")
    at_prompt(env, check)


@behaviour
def the_history_is_kept_for_the_next_shell(env):
    name = filled(env)
    with tempfile.TemporaryDirectory() as home:
        with terminal(env, home) as shell:
            shell.wait("> ")
            shell.line(f"SELECT v FROM {name} WHERE k = 1;", "found")
            shell.keys("EXIT\r")
            equal(shell.end(), 0)
        with terminal(env, home) as shell:
            shell.wait("> ")
            # The last lines are EXIT and the one that waited.
            shell.line(UP * 3, "found")


@behaviour
def a_tab_completes_words_and_names_and_lists_what_may_follow(env):
    def check(shell, name):
        shell.keys("SEL\t")
        shell.wait("SELECT ")
        shell.keys("v FR\t")
        shell.wait("FROM ")
        shell.line(name + ";", "found")
        shell.keys("DESCRIBE T\t\t")
        told = shell.wait("TYPES")
        true("TABLES" in told, told)
        shell.keys("\x03")
        shell.line(f"SELECT v FROM {name};", "found")
    at_prompt(env, check)


@behaviour
def an_unfinished_statement_has_another_prompt_and_is_given_up_by_an_interrupt(env):
    def check(shell, name):
        shell.keys("SELECT v\r")
        shell.wait("... ")
        shell.keys("\x03")
        shell.wait("> ")
        shell.line(f"SELECT v FROM {name};", "found")
        shell.keys("\x04")
        equal(shell.end(), 0)
    at_prompt(env, check)


@behaviour
def a_line_of_ones_own_stands_before_the_prompt_as_in_cqlsh(env):
    name = filled(env)
    with tempfile.TemporaryDirectory() as home:
        os.environ["CQLSH_PROMPT"] = "a line of its own"
        try:
            shell = terminal(env, home)
        finally:
            del os.environ["CQLSH_PROMPT"]
        with shell:
            shell.wait("a line of its own\ncoterie:")
            shell.line(f"SELECT v FROM {name};", "found")


# Passwords


def asked(env):
    own = auth_ring(env)

    def make():
        own.execute("CREATE ROLE visitor WITH PASSWORD = 'it''s me' AND LOGIN = true")
        return True
    own.shared("visitor", make)
    return own


def logged_in(env, check, *options):
    """Does something with the shell of a visitor, whose prompt is there already if there are options."""
    own = asked(env)
    with tempfile.TemporaryDirectory() as home, \
            Terminal(own.ring, home, "--no-color", "-u", "visitor", *options) as shell:
        if options:
            shell.wait("> ")
        check(shell)


@behaviour
def a_password_is_asked_for_and_not_shown(env):
    def check(shell):
        shell.wait("Password")
        shell.keys("it's me\r")
        told = shell.wait("> ")
        true("it's me" not in told, told)
        shell.line("LIST ROLES OF visitor;", "visitor")
    logged_in(env, check)


@behaviour
def LOGIN_changes_who_one_is(env):
    def check(shell):
        shell.line("CREATE ROLE another;", "Unauthorized")
        shell.line("LOGIN cassandra 'cassandra';", "cassandra@coterie")
        shell.line("CREATE ROLE another;")
        shell.line("LIST ROLES;", "another")
        shell.keys("LOGIN visitor\r")
        shell.wait("Password")
        shell.keys("it's me\r")
        shell.wait("> ")
        shell.line("DROP ROLE another;", "Unauthorized")
    logged_in(env, check, "-p", "it's me")


@behaviour
def a_LOGIN_with_a_wrong_password_leaves_one_who_one_was(env):
    def check(shell):
        shell.line("LOGIN cassandra 'wrong';", "incorrect")
        shell.line("LIST ROLES OF visitor;", "visitor")
    logged_in(env, check, "-p", "it's me")


@behaviour
def a_connection_that_broke_is_made_again(env):
    own = asked(env)

    def check(shell):
        shell.line("USE system_schema;", "visitor@coterie:system_schema")
        own.ring.kill(1)
        shell.keys("SELECT * FROM keyspaces;\r")
        shell.wait("Connection refused")
        own.ring.start(1)
        shell.line("SELECT keyspace_name FROM keyspaces;", "system_traces")
    logged_in(env, check, "-p", "it's me")


@behaviour
def passwords_are_not_in_the_history(env):
    own = asked(env)
    with tempfile.TemporaryDirectory() as home:
        with Terminal(own.ring, home, "--no-color", "-u", "cassandra", "-p", "cassandra") as shell:
            shell.wait("> ")
            shell.line("LOGIN visitor 'it''s me';", "visitor@coterie")
            shell.keys("EXIT\r")
            equal(shell.end(), 0)
        for folder, _, files in os.walk(home):
            for file in files:
                with open(os.path.join(folder, file)) as opened:
                    true("it''s me" not in opened.read(), f"a password is in {file}")
