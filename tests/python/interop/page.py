"""The blocks of code of the page on readers, run as a person would, one shell for each group.

A block is run if a comment of the page, `<!-- interop: GROUP -->`, is the line before it.
"""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys

PAGE = pathlib.Path(__file__).parents[3] / "crates/cli/examples/readers/README.md"
BLOCK = re.compile(r"^<!-- interop: (\w+) -->\n```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# A group that takes longer hangs.
GROUP_SECONDS = 600
# Where the page starts servers. Somebody may have started one there: another port serves.
PORTS = re.compile(r"\b(10000|5000|4443)\b")


def groups():
    found = {}
    for group, language, code in BLOCK.findall(PAGE.read_text()):
        if language == "python":
            code = f"python3 <<'EOF'\n{code}EOF\n"
        found.setdefault(group, []).append(code)
    return found


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def environment(target):
    """The programs that the page calls, by their names."""
    tools = [pathlib.Path(sys.executable).parent, target / "debug", target / "azurite/node_modules/.bin", target / "moto/bin"]
    # What is installed here, and nothing that somebody has set.
    kept = {key: os.environ[key] for key in ("HOME", "JAVA_HOME", "LANG") if key in os.environ}
    return kept | {"PATH": ":".join([*map(str, tools), os.environ["PATH"]])}


def wrong(group, blocks, folder, rows, target):
    """Why a group's blocks do not run, or why one does not print the number of rows."""
    folder.mkdir(exist_ok=True)
    marked = "".join(f"{code}echo ===== >&3\n" for code in blocks)
    # What each block prints, apart from the others.
    script = f"set -e\n{marked}"
    ports = {port: free_port() for port in PORTS.findall(script)}
    script = PORTS.sub(lambda found: ports[found[0]], script)
    path = folder / f"{group}.sh"
    path.write_text(script)
    output, errors = folder / f"{group}.out", folder / f"{group}.err"
    code = run(["bash", "-c", f"bash {path} 3>&1"], folder, environment(target), output, errors)
    printed = output.read_text().split("=====\n")[:-1]
    if code != 0:
        yield f"block {len(printed) + 1} ends with {code}: {errors.read_text()[-1500:]}"
    for number, text in enumerate(printed):
        if str(rows) not in text:
            yield f"block {number + 1} prints {text!r}, not {rows}"


def run(command, folder, variables, output, errors):
    """Runs a command, and ends what it started: a server may go on, even one that was told to end."""
    with output.open("w") as out, errors.open("w") as err:
        process = subprocess.Popen(
            command, cwd=folder, env=variables, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
        )
        try:
            return process.wait(GROUP_SECONDS)
        except subprocess.TimeoutExpired:
            return f"no end within {GROUP_SECONDS} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def skipped(group):
    """What this machine has not."""
    needed = {"folder": "bash", "spark": "java", "azure": "node", "s3": "curl", "gcs": "curl"}[group]
    return None if shutil.which(needed) else f"there is no `{needed}`"
