"""The command of the conformance tests.

    conformance.py up   --binary COTERIE --data DIR --nodes N    start a ring
    conformance.py run  --binary COTERIE --data DIR SUITE...     run suites against it; with --needing 3 only
                                                                 what one node is not enough for
    conformance.py down --binary COTERIE --data DIR              stop it
    conformance.py table --binary COTERIE --data DIR             what ran, by statement
    conformance.py list                                          the suites
"""

import argparse
import glob
import os
import signal
import sys
import time

SUITES = sorted(
    os.path.basename(path)[len("suite_"):-len(".py")]
    for path in glob.glob(os.path.join(os.path.dirname(os.path.abspath(__file__)), "suite_*.py")))


def main():
    # Whoever started us may have blocked or ignored signals; cqlsh's COPY ends its own children by
    # SIGTERM, and would wait for them forever.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=["up", "run", "down", "table", "list"])
    parser.add_argument("suites", nargs="*", help="suites to run; all if none is named")
    parser.add_argument("--binary", help="the coterie program")
    parser.add_argument("--data", help="the ring's folder")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--shards", type=int)
    parser.add_argument("--set", action="append", default=[], metavar="key=value")
    parser.add_argument("--needing", type=int, default=1, help="only behaviours that need so many nodes")
    parser.add_argument("--only", help="only behaviours whose name holds this text")
    arguments = parser.parse_intermixed_args()
    if arguments.verb == "list":
        print("\n".join(SUITES))
        return 0
    if not arguments.binary or not arguments.data:
        parser.error("--binary and --data are needed")

    import table
    from ring import Ring, RingError

    try:
        if arguments.verb == "up":
            begin = time.monotonic()
            ring = Ring.up(
                arguments.binary, arguments.data, arguments.nodes, arguments.shards, arguments.set)
            print(
                f"ring of {len(ring.addresses)} nodes at {ring.addresses[0]}:{ring.port} "
                f"after {time.monotonic() - begin:.1f} s")
            return 0
        ring = Ring(arguments.binary, arguments.data)
        if arguments.verb == "down":
            print(ring.down().strip())
            return 0
        if arguments.verb == "table":
            print("\n".join(table.lines(arguments.data, SUITES, len(ring.addresses) == 1)))
            return 0
        if not ring.addresses:
            raise RingError(f"there is no ring in {arguments.data}")
        return run(ring, arguments)
    except RingError as error:
        print(f"FAIL ring: {error}", flush=True)
        return 1


def run(ring, arguments):
    import harness

    failed = 0
    for suite in arguments.suites or SUITES:
        if suite not in SUITES:
            print(f"FAIL {suite}: there is no such suite; there are {', '.join(SUITES)}")
            return 1
        ring.heal()
        begin = time.monotonic()
        count = harness.load(suite)
        failures = harness.run(ring, suite, arguments.only, arguments.needing)
        failed += failures
        print(
            f"# {suite}: {count} behaviours, {failures} failed, "
            f"{time.monotonic() - begin:.1f} s", flush=True)
    return 3 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
