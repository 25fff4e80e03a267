"""Runs fuzz targets under atheris, one after the other, each for some seconds.

The corpus of each grows in .fuzz/corpus; an input that makes it fail is kept in .fuzz/found.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from pathlib import Path

import atheris
from hypothesis import HealthCheck, Phase, given, settings

with atheris.instrument_imports(include=["smtpproto"]):
    from tests.fuzz.seeds import SEEDS
    from tests.fuzz.targets import TARGETS

DIRECTORY = Path(".fuzz")
EXAMPLES = 200
MARGIN = 60  # seconds, to read the corpus and to end
BOUNDS = ["-max_len=4096", "-timeout=10", "-rss_limit_mb=2048", "-verbosity=0", "-close_fd_mask=1"]


def main() -> None:
    """Run the targets that the command line names, or all. Exit with 1 if one fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    options = parser.parse_args()
    if options.seconds < 1:  # libFuzzer would never end
        parser.error("--seconds must be at least 1")
    failed = [name for name in options.targets or TARGETS if not run(name, options.seconds)]
    sys.exit(f"failed: {', '.join(failed)}; the inputs are in {DIRECTORY}/found" if failed else 0)


def run(name: str, seconds: int) -> bool:
    """Run one target in a process of its own. Return whether it found nothing."""
    corpus, found = DIRECTORY / "corpus" / name, DIRECTORY / "found" / name
    for directory in (corpus, found):
        directory.mkdir(parents=True, exist_ok=True)
    write_seeds(name, corpus)
    options = [f"-max_total_time={seconds}", f"-artifact_prefix={found}/", *BOUNDS, str(corpus)]
    sys.stderr.write(f"== {name}, {seconds} s\n")
    # libFuzzer ends its process. A copy of this one needs no time to instrument the library again.
    process = multiprocessing.get_context("fork").Process(target=fuzz, args=(name, options))
    process.start()
    process.join(seconds + MARGIN)
    process.kill()
    process.join()
    return process.exitcode == 0


def fuzz(name: str, options: list[str]) -> None:
    """Run one target with *options* of libFuzzer, which does not return."""
    atheris.Setup([name, *options], TARGETS[name])
    atheris.Fuzz()


def write_seeds(name: str, corpus: Path) -> None:
    """Write the same examples of the strategies in each run."""
    examples: list[bytes] = []

    @settings(
        max_examples=EXAMPLES, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )  # fmt: skip
    @given(SEEDS[name])
    def collect(example: bytes) -> None:
        examples.append(example)

    collect()
    for number, example in enumerate(examples):
        (corpus / f"seed-{number:03}").write_bytes(example)


if __name__ == "__main__":
    main()
