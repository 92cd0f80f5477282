"""COPY of `coterie shell` beside cqlsh's, unmodified: the same files, the same rows, the same reports."""

import os
import re
import tempfile
import threading

from harness import Behaviour, asserted_refusal, behaviour, equal, true, _behaviours
from shells import TYPES, both, cqlsh, people, shell, table_of, types


def lines(path):
    """The records of a file, whose order is not defined, after its header if it has one."""
    with open(path, "rb") as file:
        all = file.read().split(b"\r\n")
    head = 1 if re.match(rb"k,v$|country[,|]b|name,c", all[0]) else 0
    return all[:head] + sorted(all[head:])


def exported_types(env):
    """The files of both shells for every type."""
    def make():
        types(env)
        with tempfile.TemporaryDirectory() as folder:
            results = {}

            def export(program, more):
                texts = "".join(
                    f"COPY {table_of(kind)} TO '{folder}/{program.__name__}_{table_of(kind)}' "
                    f"WITH HEADER = true{more};\n" for kind in TYPES)
                results[program] = program(env, input=texts)

            thread = threading.Thread(target=export, args=(cqlsh, " AND NUMPROCESSES = 1"))
            thread.start()
            export(shell, "")
            thread.join()
            equal(results[shell].code, 0, results[shell].errors)
            return {
                (program, kind): lines(f"{folder}/{program.__name__}_{table_of(kind)}")
                for program in (shell, cqlsh) for kind in TYPES}
    return env.shared("exported", make)


def export_checks():
    for kind in TYPES:
        def exported(env, kind=kind):
            files = exported_types(env)
            equal(files[shell, kind], files[cqlsh, kind])

        _behaviours.append(Behaviour(f"values of {kind} are exported byte for byte as by cqlsh", exported))


export_checks()


EXPORTS = []


def exports(env):
    """The files of both shells for each export, by their names after its number."""
    def make():
        people(env)
        types(env)
        with tempfile.TemporaryDirectory() as folder:
            def export(program, more):
                text = "".join(
                    f"COPY {columns or 'people'} TO '{folder}/{program.__name__}{number:02}' WITH "
                    f"{options}{more};\n" for number, (options, columns) in enumerate(EXPORTS))
                equal(program(env, input=text).code, 0, program.__name__)

            thread = threading.Thread(target=export, args=(cqlsh, " AND NUMPROCESSES = 1"))
            thread.start()
            export(shell, "")
            thread.join()
            files = {}
            for name in sorted(os.listdir(folder)):
                program, number, rest = re.fullmatch(r"(cqlsh|shell)(\d\d)(.*)", name).groups()
                files.setdefault((program, int(number)), {})[rest] = lines(f"{folder}/{name}")
            return files
    return env.shared("exports", make)


def exports_alike(name, options, prepare=people, columns=""):
    number = len(EXPORTS)
    EXPORTS.append((options, columns))

    def check(env):
        files = exports(env)
        true(files["shell", number], "no file")
        equal(files["shell", number], files["cqlsh", number])

    _behaviours.append(Behaviour("COPY TO writes the same file as cqlsh: " + name, check))


exports_alike("with a delimiter and a header", "DELIMITER = '|' AND HEADER = true")
exports_alike("with other quotes", "QUOTE = '''' AND ESCAPE = ''''", types, "t_text")
exports_alike("with a word for null", "NULL = 'none'", types, "t_int")
exports_alike("with a list of columns", "HEADER = true", people, "people (name, country)")
exports_alike("with digits", "FLOATPRECISION = 2 AND DOUBLEPRECISION = 3", types, "t_double")
exports_alike("with separators", "DECIMALSEP = ',' AND DELIMITER = ';'", types, "t_double")
exports_alike("with thousands", "THOUSANDSSEP = '.' AND DECIMALSEP = ',' AND DELIMITER = ';'", types,
              "t_int")
exports_alike("with words for true and false", "BOOLSTYLE = 'yes,no'", types, "t_boolean")
exports_alike("with a form of times", "DATETIMEFORMAT = '%Y/%m/%d %H:%M'", types, "t_timestamp")
exports_alike("with a range of tokens", "BEGINTOKEN = '1' AND PAGESIZE = 2", types, "t_text")
exports_alike("split over files", "MAXOUTPUTSIZE = 10")
exports_alike("with no digits", "FLOATPRECISION = 0 AND DOUBLEPRECISION = 0", types, "t_double")
exports_alike("with floats of no digits", "FLOATPRECISION = 0", types, "t_float")
exports_alike("in one page", "PAGESIZE = 0")
exports_alike("with few attempts", "MAXATTEMPTS = 0 AND MAXREQUESTS = 1")
exports_alike("with a header that is not true", "HEADER = 1")
exports_alike("with options of the other direction", "CHUNKSIZE = 5 AND TTL = 3")


@behaviour
def COPY_TO_STDOUT_prints_the_rows_alone_as_cqlsh_does(env):
    people(env)
    ours, theirs = both(env, "COPY people (born, name) TO STDOUT")
    equal(sorted(ours.output.split()), sorted(theirs.output.split()))


IMPORTS = []


def imports(env):
    """What both make of each file: the rows, the rows that failed, and the counts."""
    def make():
        types(env)
        with tempfile.TemporaryDirectory() as folder:
            tables = {}
            for number, (text, columns, _) in enumerate(IMPORTS):
                with open(f"{folder}/{number}.csv", "w", newline="") as file:
                    file.write(text)
                for program in (shell, cqlsh):
                    tables[program, number] = env.table(columns)
            outputs = {}

            def fill(program, more):
                text = "".join(
                    f"COPY {tables[program, number]} FROM '{folder}/{number}.csv' WITH ERRFILE = "
                    f"'{folder}/errors{number}{program.__name__}'{' AND ' if options else ''}{options}"
                    f"{more};\n" for number, (_, _, options) in enumerate(IMPORTS))
                outputs[program] = program(env, input=text).output

            thread = threading.Thread(target=fill, args=(cqlsh, " AND NUMPROCESSES = 1"))
            thread.start()
            fill(shell, "")
            thread.join()
            results = {}
            for program in (shell, cqlsh):
                counts = re.findall(
                    r"(\d+) rows imported from (\d+) files in .*\((-?\d+) skipped\)", outputs[program])
                equal(len(counts), len(IMPORTS), program.__name__)
                for number in range(len(IMPORTS)):
                    failed = ""
                    if os.path.exists(f"{folder}/errors{number}{program.__name__}"):
                        with open(f"{folder}/errors{number}{program.__name__}") as file:
                            failed = file.read()
                    rows = sorted(env.rows(f"SELECT * FROM {tables[program, number]}"), key=str)
                    results[program, number] = (rows, failed, counts[number])
            return results
    return env.shared("imports", make)


def imports_alike(name, text, columns, options="", rows=None, counted=True):
    number = len(IMPORTS)
    IMPORTS.append((text, columns, options))

    def check(env):
        ours, theirs = (imports(env)[program, number] for program in (shell, cqlsh))
        equal(ours[:2], theirs[:2])
        if counted:
            equal(ours[2], theirs[2], "counts")
        equal(len(ours[0]), rows, "rows")

    _behaviours.append(Behaviour("COPY FROM makes the same rows as cqlsh: " + name, check))


imports_alike("plain", "1,a,1.5\n2,b,2.5\r\n3,,\n", "k int PRIMARY KEY, a text, b double", rows=3)
imports_alike("with quotes", '1,"a, b"\n2,"say \\"hi\\""\n4,\\,\n', "k int PRIMARY KEY, a text",
              rows=3)
imports_alike("with doubled quotes", "1;'it''s'\n2;'a;b'\n", "k int PRIMARY KEY, a text",
              "DELIMITER = ';' AND QUOTE = '''' AND ESCAPE = ''''", rows=2)
imports_alike("with a header and skipped rows", "k,a\n1,a\n2,b\n3,c\n",
              "k int PRIMARY KEY, a text", "HEADER = true AND SKIPROWS = 1", rows=2)
imports_alike("with a limit", "1,a\n2,b\n3,c\n", "k int PRIMARY KEY, a text", "MAXROWS = 2", rows=2)
imports_alike("with skipped columns", "1,x,a\n2,y,b\n", "k int PRIMARY KEY, a text, b text",
              "SKIPCOLS = 'a'", rows=2)
imports_alike("with a word for null", "1,none\n2,\n", "k int PRIMARY KEY, a text",
              "NULL = 'none'", rows=2)
imports_alike("rows that do not read", "1,a\nx,b\n3,c\n", "k int PRIMARY KEY, a text", rows=2)
imports_alike("rows of another length", "1,a\n2\n3,c\n", "k int PRIMARY KEY, a text", rows=2)
imports_alike("rows without a key", "1,a\n,b\n", "k int PRIMARY KEY, a text", rows=1)
imports_alike("counters", "1,5\n2,\n1,2\n", "k int PRIMARY KEY, c counter", "MAXBATCHSIZE = 1",
              rows=2)
imports_alike("words for true and false", "1,yes\n2,no\n3,other\n", "k int PRIMARY KEY, b boolean",
              "BOOLSTYLE = 'yes,no'", rows=3)
imports_alike("separators in numbers", "1;1.234,5\n2;-7\n", "k int PRIMARY KEY, d double",
              "DELIMITER = ';' AND THOUSANDSSEP = '.' AND DECIMALSEP = ','", rows=2)
imports_alike("a form of times", "1,29/02/2024\n", "k int PRIMARY KEY, t timestamp",
              "DATETIMEFORMAT = '%d/%m/%Y'", rows=1)
imports_alike("with fewer skipped rows than none", "1,a\n2,b\n", "k int PRIMARY KEY, a text", "SKIPROWS = -1",
              rows=2)
imports_alike("with more skipped rows than there are", "1,a\n2,b\n", "k int PRIMARY KEY, a text", "SKIPROWS = 9",
              rows=0)
imports_alike("with a header, skipped rows and a limit", "k,a\n1,a\n2,b\n3,c\n", "k int PRIMARY KEY, a text",
              "HEADER = true AND SKIPROWS = 1 AND MAXROWS = 2", rows=1)
imports_alike("empty lines", "1,a\n\n2,b\n\n", "k int PRIMARY KEY, a text", rows=2)
imports_alike("rows that do not read without a skipped column", "1,x,a\nz,y,b\n3\n", "k int PRIMARY KEY, a text, b text",
              "SKIPCOLS = 'a'", rows=1)
imports_alike("texts of statements", "1,it's,2.5\n2,,\n3,\"a, b\",1\n", "k int PRIMARY KEY, a text, b double",
              "PREPAREDSTATEMENTS = false", rows=3)
imports_alike("texts of statements of many types",
              "1;2024-02-29;[1, 2];{'a': 'x'};0x0a\n2;;[];{};\n",
              "k int PRIMARY KEY, a date, b list<int>, c map<text, text>, d blob",
              "PREPAREDSTATEMENTS = false AND DELIMITER = ';' AND TTL = 1000", rows=2)
imports_alike("microseconds", "1,2024-02-29 12:34:56.789999+0000\n2,1969-12-31 23:59:59.9996+0000\n"
              "3,2001-01-01 00:00:00.123456+0000\n", "k int PRIMARY KEY, t timestamp", rows=3)
imports_alike("underscores in numbers", "1_000,2_5.5\n_1,2\n", "k int PRIMARY KEY, d double", rows=1)
imports_alike("user-defined types with empty fields",
              "1;{street: '', Zip: ''}\n2;{street: 'x', Zip: , tags: {}}\n", "k int PRIMARY KEY, p place",
              "DELIMITER = ';'", rows=2)
imports_alike("tuples with empty fields", "1;(1, '')\n2;('', a)\n3;(1)\n", "k int PRIMARY KEY, t tuple<int, text>",
              "DELIMITER = ';'", rows=2)
imports_alike("nested values",
              "1;[1, 2];{'a': [1]};('x', 2)\n2;[];{};('it''s', 3)\n",
              "k int PRIMARY KEY, l list<int>, m map<text, frozen<list<int>>>, t tuple<text, int>",
              "DELIMITER = ';'", rows=2)
imports_alike("user-defined types", "1;{street: 'Main', Zip: 8, tags: {'x', 'y'}}\n",
              "k int PRIMARY KEY, p place", "DELIMITER = ';'", rows=1)


@behaviour
def COPY_FROM_reads_what_COPY_TO_wrote_for_every_type(env):
    types(env)
    with tempfile.TemporaryDirectory() as folder:
        for kind in TYPES:
            table = table_of(kind)
            copy = env.table(f"k int PRIMARY KEY, v {kind}")
            path = os.path.join(folder, table)
            # Strings lose to a null marker; text with escapes comes back escaped, as with cqlsh.
            result = shell(
                env, f"COPY {table} TO '{path}' WITH DELIMITER = ';' AND NULL = 'null' "
                f"AND DOUBLEPRECISION = 17 AND FLOATPRECISION = 9; "
                f"COPY {copy} FROM '{path}' WITH DELIMITER = ';' AND NULL = 'null'")
            equal(result.code, 0, kind + result.errors)
            if kind in ("text", "timestamp"):
                continue
            before = env.rows(f"SELECT JSON k, v FROM {table}")
            equal(sorted(env.rows(f"SELECT JSON k, v FROM {copy}")), sorted(before), kind)


@behaviour
def COPY_FROM_STDIN_takes_the_lines_after_it(env):
    for program in (shell, cqlsh):
        table = env.table("k int PRIMARY KEY, a text")
        result = program(env, input=f"COPY {table} FROM STDIN;\n1,a\n2,b\n.\nPAGING\n")
        equal(result.code, 0, result.errors)
        equal(sorted(env.rows(f"SELECT * FROM {table}")), [(1, "a"), (2, "b")], program.__name__)
        true("2 rows imported from 1 files" in result.output, result.output)
        true("PAGING is ON" in result.output or "PAGING is ON" in result.output, result.output)


@behaviour
def COPY_FROM_takes_quoted_line_ends(env):
    # cqlsh imports them too, and then waits a minute and a half for the lines that it had counted.
    table = env.table("k int PRIMARY KEY, a text")
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/x", "w") as file:
            file.write('1,"two\nlines"\n2,b\n')
        result = shell(env, f"COPY {table} FROM '{folder}/x'")
    true("2 rows imported" in result.output, result.output)
    equal(sorted(env.rows(f"SELECT * FROM {table}")), [(1, "two\nlines"), (2, "b")])


@behaviour
def COPY_FROM_takes_several_files_and_a_time_to_live(env):
    table = env.table("k int PRIMARY KEY, a text")
    with tempfile.TemporaryDirectory() as folder:
        for number in range(3):
            with open(os.path.join(folder, f"part{number}.csv"), "w") as file:
                file.write(f"{number},x\n")
        result = shell(env, f"COPY {table} FROM '{folder}/*.csv' WITH TTL = 1000")
    true("3 rows imported from 3 files" in result.output, result.output + result.errors)
    true(all(0 < ttl <= 1000 for (ttl,) in env.rows(f"SELECT ttl(a) FROM {table}")), "TTL")


@behaviour
def COPY_reports_its_progress_as_cqlsh_does(env):
    people(env)
    with tempfile.TemporaryDirectory() as folder:
        result = shell(
            env, f"COPY people TO '{folder}/x' WITH RATEFILE = '{folder}/rates'")
        pattern = r"Processed: 25 rows; Rate: +\d+ rows/s; Avg\. rate: +\d+ rows/s"
        true(re.search(pattern, result.output), result.output)
        true(f"Starting copy of {env.keyspace}.people with columns "
             "[country, born, name, height, leader]." in result.output, result.output)
        with open(f"{folder}/rates") as file:
            true(re.search(pattern, file.read()), "rates")


@behaviour
def COPY_takes_options_from_a_file_as_cqlsh_does(env):
    types(env)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "options")
        with open(path, "w") as file:
            file.write(f"[copy]\nheader = true\n[copy-to:{env.keyspace}.t_boolean]\n"
                       "boolstyle = ja,nein\n")
        files = []
        for program in (shell, cqlsh):
            out = os.path.join(folder, program.__name__)
            equal(program(env, f"COPY t_boolean TO '{out}' WITH CONFIGFILE = '{path}'").code, 0)
            files.append(lines(out))
        equal(files[0], files[1])
        equal(files[0][0], b"k,v")


@behaviour
def COPY_TO_goes_on_without_a_file_of_options_as_in_cqlsh(env):
    people(env)
    ours, theirs = both(env, "COPY people (born, name) TO STDOUT WITH CONFIGFILE = '/nowhere/x'")
    equal((sorted(ours.output.split()), ours.code), (sorted(theirs.output.split()), theirs.code))
    true("CONFIGFILE '/nowhere/x' does not exist" in ours.errors, ours.errors)


@behaviour
def encodings_are_warned_about(env):
    # cqlsh writes UTF-8 too, and says nothing.
    people(env)
    result = shell(env, "COPY people TO STDOUT WITH ENCODING = 'latin1'")
    equal(result.code, 0)
    true("ENCODING = latin1 has no effect" in result.errors, result.errors)


# Reports: what both print but for how fast they were, and what they say went wrong.


def told(result):
    """The output without its figures of speed, of which there are more or fewer lines, and the errors."""
    progress = r"(?:Processed: (\d+) rows; Rate: +\d+ rows/s; Avg\. rate: +\d+ rows/s\n+)+"
    text = re.sub(progress, r"Processed: \1 rows\n", result.output)
    return re.sub(r" in [^(\n]*seconds", " in no time", text), result.errors


def reports_alike(name, rows, options, columns="k int PRIMARY KEY, a text", statement="COPY $t FROM '$f'", code=2):
    def check(env):
        types(env)
        table = env.table(columns)
        with tempfile.TemporaryDirectory() as folder:
            with open(f"{folder}/x.csv", "w", newline="") as file:
                file.write(rows)
            # Both write the same files, so one after the other.
            reports = []
            for program in (shell, cqlsh):
                text = statement.replace("$t", table).replace("$f", f"{folder}/x.csv")
                file = f"{folder}/{program.__name__}.err"
                result = program(env, f"{text} WITH ERRFILE = '{file}'{' AND ' if options else ''}{options}")
                failed = ""
                if os.path.exists(file):
                    with open(file, newline="") as opened:
                        failed = opened.read()
                reports.append((*(part.replace(file, "ERRFILE") for part in told(result)), failed, result.code))
        equal(reports[0], reports[1])
        equal(reports[0][3], code)
        if code:
            asserted_refusal("COPY")

    _behaviours.append(Behaviour("COPY reports as cqlsh does: " + name, check))


reports_alike("rows that all read", "1,a\n2,b\n", "NUMPROCESSES = 1", code=0)
reports_alike("reasons that are told once for all their rows", "1,a\nx,b\n3\n4\ny,c\nx,d\n\n", "NUMPROCESSES = 1")
reports_alike("fields of every sort", "1,x,x,x,x\n2,1,0xzz,2024-13-01,123\n",
              "NUMPROCESSES = 1", "k int PRIMARY KEY, a double, b blob, c date, d uuid")
reports_alike("keys without a value", ",a\n1,b\n", "NUMPROCESSES = 1")
reports_alike("files that are not there", "", "NUMPROCESSES = 1", statement="COPY $t FROM '/nowhere/x, $f'")
reports_alike("skipped columns and rows", "1,x,a\n2,y,b\n", "NUMPROCESSES = 1 AND SKIPCOLS = 'a' AND SKIPROWS = 1",
              "k int PRIMARY KEY, a text, b text", code=0)
reports_alike("statements that the server refuses", "1,x\n",
              "NUMPROCESSES = 1 AND PREPAREDSTATEMENTS = false AND MAXATTEMPTS = 2", "k int PRIMARY KEY, a int")
reports_alike("keys that do not read in statements", "x,1\n2,3\n",
              "NUMPROCESSES = 1 AND PREPAREDSTATEMENTS = false", "k int PRIMARY KEY, a int")
reports_alike("a key that is skipped", "1,a\n", "NUMPROCESSES = 1 AND SKIPCOLS = 'k'")


@behaviour
def COPY_gives_up_after_too_many_errors_as_cqlsh_does(env):
    table = env.table("k int PRIMARY KEY, a text")
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/x.csv", "w") as file:
            file.write("x,a\ny,b\n" + "".join(f"{i},c\n" for i in range(100)))
        for program in (shell, cqlsh):
            result = program(
                env, f"COPY {table} FROM '{folder}/x.csv' WITH ERRFILE = '{folder}/err' AND MAXPARSEERRORS = 1 "
                "AND CHUNKSIZE = 2 AND NUMPROCESSES = 1")
            equal(result.code, 2)
            for words in ("Exceeded maximum number of parse errors 1", "Failed to process 2 rows"):
                true(words in result.errors, result.errors)
            true("rows imported from" in result.output, result.output)
    asserted_refusal("Exceeded maximum number of parse errors")


@behaviour
def COPY_tells_where_its_options_are_from_as_cqlsh_does(env):
    people(env)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "options")
        with open(path, "w") as file:
            file.write(f"[copy]\nheader = true\nnull=it's\n[copy-to:{env.keyspace}.people]\nboolstyle = ja,nein\n")
        reports = [told(program(
            env, f"COPY people TO '{folder}/out' WITH CONFIGFILE = '{path}' AND PAGESIZE = 10 AND numprocesses=1"))
            for program in (shell, cqlsh)]
        equal(reports[0], reports[1])
        true(f"Reading options from {path}:[copy]: " in reports[0][0], reports[0][0])


@behaviour
def COPY_TO_a_file_that_cannot_be_is_refused_as_by_cqlsh(env):
    people(env)
    ours, theirs = both(env, "COPY people TO '/nowhere/x' WITH NUMPROCESSES = 1")
    equal(told(ours), told(theirs))
    true("[Errno 2] No such file or directory" in ours.errors, ours.errors)
    asserted_refusal("Can't open")


@behaviour
def COPY_TO_STDOUT_is_not_cut_into_files_as_in_cqlsh(env):
    people(env)
    ours, theirs = both(env, "COPY people (born) TO STDOUT WITH MAXOUTPUTSIZE = 3")
    equal((ours.errors, ours.code), (theirs.errors, theirs.code))
    equal(sorted(ours.output.split()), sorted(theirs.output.split()))


@behaviour
def COPY_shares_its_work_among_connections(env):
    table = env.table("k int PRIMARY KEY, a text")
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/x.csv", "w") as file:
            file.write("".join(f"{i},{i}\n" for i in range(1000)))
        result = shell(env, f"COPY {table} FROM '{folder}/x.csv' WITH NUMPROCESSES = 3 AND CHUNKSIZE = 100; "
                       f"COPY {table} TO '{folder}/y.csv' WITH NUMPROCESSES = 3")
        equal(result.code, 0, result.errors)
        true("1000 rows imported from 1 files" in result.output, result.output)
        true("1000 rows exported to 1 files" in result.output, result.output)
        with open(f"{folder}/y.csv") as file:
            equal(sorted(file.read().split()), sorted(f"{i},{i}" for i in range(1000)))
