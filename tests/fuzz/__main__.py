"""Coverage-guided fuzzing with atheris: `python -m tests.fuzz SECONDS [TARGET...]`, that long each, two at a time.

Begins with what is in `corpus/`, and keeps there what reaches new code, if it is small. Exit status 1 if anything was
found; the input is left in `findings/` then, and `python -m tests.fuzz 0 TARGET < FILE` runs it again.
"""

import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_HERE = Path(__file__).parent
_AT_ONCE = 2
_LONGEST = 4096
"""Bytes of an input."""
_MOST = 100
"""Inputs that the corpus of a target keeps."""


def fuzz(target: str, seconds: int, directory: Path) -> None:
    """Fuzz one target in this process; it ends with it."""
    import atheris  # only where it is wanted: it is not made for every Python

    with atheris.instrument_imports():
        from tests.fuzz.targets import TARGETS
    findings = _HERE / "findings"
    findings.mkdir(exist_ok=True)
    atheris.Setup(
        [
            "fuzz", str(directory), str(_corpus(target)), f"-max_total_time={seconds}", f"-max_len={_LONGEST}",
            "-rss_limit_mb=2048", "-timeout=20", "-print_final_stats=1", f"-artifact_prefix={findings}/{target}-",
        ],
        TARGETS[target],
    )  # fmt: skip
    atheris.Fuzz()


def _corpus(target: str) -> Path:
    path = _HERE / "corpus" / target
    path.mkdir(parents=True, exist_ok=True)
    return path


def _run(target: str, seconds: int) -> tuple[str, int, str]:
    """Fuzz in a process of its own: target, executions, and what was found."""
    with tempfile.TemporaryDirectory() as fresh:
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz", "--one", target, str(seconds), fresh],
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        if done.returncode == 0:
            _keep(target, Path(fresh))
    count = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    return target, int(count[1]) if count else 0, "" if done.returncode == 0 else done.stderr[-3000:]


def _keep(target: str, fresh: Path) -> None:
    """Of what reached new code, the smallest inputs, as far as there is room."""
    corpus = _corpus(target)
    room = _MOST - sum(1 for _ in corpus.iterdir())
    for path in sorted(fresh.iterdir(), key=lambda path: path.stat().st_size)[: max(0, room)]:
        (corpus / path.name).write_bytes(path.read_bytes())


def main(arguments: list[str]) -> int:
    """See above."""
    if arguments[0] == "--one":
        fuzz(arguments[1], int(arguments[2]), Path(arguments[3]))
        return 0
    from tests.fuzz.targets import TARGETS

    seconds, *targets = arguments
    if seconds == "0":
        TARGETS[targets[0]](sys.stdin.buffer.read())
        return 0
    found = False
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for target, count, trouble in pool.map(lambda target: _run(target, int(seconds)), targets or TARGETS):
            verdict = "FOUND SOMETHING" if trouble else "nothing found"
            sys.stdout.write(f"{target:20} {count:12,} executions  {verdict}\n")
            sys.stdout.flush()
            if trouble:
                found = True
                sys.stderr.write(trouble)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
