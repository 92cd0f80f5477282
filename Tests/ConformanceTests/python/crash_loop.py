"""SIGKILL under full write load, again and again, from a load generator that verifies.

The generator is any program with these options (a load of writes with a version for each key, and a
check of what was acknowledged):

    PROGRAM --host H[,H] --port P --workload write --keys N --connections C --inflight W
            --duration S --verify --state FILE [--reset-state] [--setup --rf N] [--server-ts]
            --consistency L --read-consistency L --wait S
    PROGRAM --verify-only FILE --wait S

Exit code 0: nothing lost; 3: violations; others: it could not run. Its summary is a JSON file
(`--json FILE`) or lines that hold the words `lost`, `stale` and `corrupt` with numbers.
"""

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

from ring import Ring

WORDS = ("lost", "stale", "phantom", "corrupt", "torn")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--load", default=os.environ.get("CQLLOAD"), help="the load generator")
    parser.add_argument("--binary", default=os.environ.get("COTERIE_BINARY"), help="coterie")
    parser.add_argument("--kills", type=int, default=20, help="of each combination")
    parser.add_argument("--nodes", default="1,3", help="sizes of rings: 1, 3 or 1,3")
    parser.add_argument("--timestamps", default="client,server")
    parser.add_argument("--keys", default="100k")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--inflight", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=4, help="of load around each kill")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--set", action="append", default=[], metavar="key=value")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    if not arguments.load or not os.path.exists(arguments.load):
        print("crash: name a load generator with --load PROGRAM or CQLLOAD", file=sys.stderr)
        return 1
    chance = random.Random(arguments.seed)
    print(f"crash: seed {arguments.seed}", flush=True)
    total = dict.fromkeys(WORDS, 0)
    for nodes in (int(text) for text in arguments.nodes.split(",")):
        for timestamps in arguments.timestamps.split(","):
            result = combination(arguments, chance, nodes, timestamps)
            for word in WORDS:
                total[word] += result[word]
    print("crash: all: " + ", ".join(f"{total[word]} {word}" for word in WORDS), flush=True)
    return 3 if any(total.values()) else 0


def combination(arguments, chance, nodes, timestamps):
    """Kills with one size of ring and one kind of timestamps; the sums of the final checks."""
    folder = tempfile.mkdtemp(prefix="coterie-crash-")
    label = f"{nodes} node{'s' if nodes > 1 else ''}, {timestamps} timestamps"
    begin = time.monotonic()
    sums = dict.fromkeys(WORDS, 0)
    ring = Ring.up(arguments.binary, os.path.join(folder, "ring"), nodes, settings=arguments.set)
    keep = False
    try:
        level = "ONE" if nodes == 1 else "QUORUM"
        state = os.path.join(folder, "state")
        common = [
            "--host", ",".join(ring.addresses), "--port", str(ring.port),
            "--consistency", level, "--read-consistency", level]
        if timestamps == "server":
            common.append("--server-ts")
        for number in range(arguments.kills):
            load = [
                arguments.load, *common, "--workload", "write", "--keys", arguments.keys,
                "--connections", str(arguments.connections), "--inflight", str(arguments.inflight),
                "--duration", str(arguments.seconds), "--verify", "--state", state,
                "--wait", "60"]
            if number == 0:
                load += ["--setup", "--rf", str(nodes), "--reset-state"]
            with open(os.path.join(folder, "load.log"), "w+") as log:
                process = subprocess.Popen(load, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
                time.sleep(chance.uniform(0.35, 0.85) * arguments.seconds)
                node = chance.randrange(nodes) + 1
                ring.kill(node)
                time.sleep(chance.uniform(0, 0.3))
                ring.start(node)
                process.wait()
                log.seek(0)
                output = log.read()
            # It checks at its end; a second check by itself sees the ring when it is whole again.
            check = subprocess.run(
                [arguments.load, *common, "--verify-only", state, "--wait", "120"], cwd=folder,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            after, own = violations(check.stdout), violations(output)
            found = {word: max(after[word], own[word]) for word in WORDS}
            if arguments.verbose or check.returncode not in (0, 3):
                print(output, check.stdout, flush=True)
            if process.returncode not in (0, 3) or check.returncode not in (0, 3):
                keep = True
                raise SystemExit(
                    f"crash: {label}, kill {number + 1}: the load generator ended with "
                    f"{process.returncode} and {check.returncode}")
            if 3 in (process.returncode, check.returncode) or any(found.values()):
                keep = True
                print(
                    f"crash: {label}, kill {number + 1} (node {node}):\n{output}{check.stdout}")
            for word in WORDS:
                sums[word] += found[word]
    finally:
        ring.down()
        if keep:
            print(f"crash: kept {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print(
        f"crash: {label}: {arguments.kills} kills in {time.monotonic() - begin:.0f} s: "
        + ", ".join(f"{sums[word]} {word}" for word in WORDS), flush=True)
    return sums


def violations(text):
    """The numbers beside the words of a summary."""
    result = {}
    for word in WORDS:
        before = [int(n) for n in re.findall(rf"\b(\d+) {word}\b", text)]
        after = [int(n) for n in re.findall(rf"\b{word}[\"']?\s*[:=]?\s*(\d+)", text)]
        result[word] = max(before + after, default=0)
    return result


if __name__ == "__main__":
    sys.exit(main())
