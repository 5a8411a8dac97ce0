"""Measure trueup on this machine, and print ratios and counts: `make bench`.

Each comparison is made within one run, the two sides in turn, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import generate, octodns_peer, scale
from bench.agreed import agree_on_everything
from runner.sandbox._world import TOKENS, World
from runner.sandbox.server import serving
from tests.models.bench import ADD, APP, KEY
from tests.models.wire import draft, in_order
from tests.models.wire import serving as serving_models
from tests.specrepo import AROUND, write

BIN = Path(sys.executable).parent
ROUNDS = 5
SIZES = [1_000, 10_000, 100_000]


def main() -> None:
    """Run the measurements that were asked for, all by default."""
    sections: dict[str, Callable[[Path], None]] = {
        "plan": cold_plan,
        "apply": apply_thousand,
        "speed": creates_a_second,
        "state": small_state,
        "scale": scaled_diff,
        "draft": start_of_a_draft,
    }
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("sections", nargs="*", choices=[[], *sections], metavar="SECTION")
    parser.add_argument("--full", action="store_true", help="scale: a million tasks as well")
    asked = parser.parse_args()
    if asked.full:
        SIZES.append(1_000_000)
    for name in asked.sections or list(sections):
        with tempfile.TemporaryDirectory(prog_name(name)) as folder:
            sections[name](Path(folder))


def prog_name(section: str) -> str:
    """Return the suffix of the temporary folder of a section."""
    return f"-trueup-{section}"


def cold_plan(folder: Path) -> None:
    """A plan with one of N tasks changed, on four platforms, against octoDNS with N records."""
    title("Plan, one of N changed (four platforms), against octoDNS (one provider)")
    for size in (1_000, 10_000):
        specs, zones = folder / f"specs-{size}", folder / f"zones-{size}"
        generate.write_specs(specs, size)
        agree_on_everything(specs)
        generate.change_one(specs)
        octodns_peer.write_zones(zones, size)
        octodns_peer.change_one(zones)
        theirs = [BIN / "octodns-sync", "--quiet", "--config-file", zones / "config.yaml"]
        ours = [BIN / "trueup", "-C", specs, "plan", "--detailed-exitcode"]
        cache = specs / ".trueup" / "cache"
        cold = compare(ours, theirs, before=lambda cache=cache: clear(cache))
        warm = compare(ours, theirs, before=lambda: None)
        peer = statistics.median(cold[1])
        row(f"{size} tasks, octoDNS", f"{peer:.2f} s")
        row(f"{size} tasks, cold", f"{statistics.median(cold[0]):.2f} s", ratio(cold))
        row(f"{size} tasks, warm", f"{statistics.median(warm[0]):.2f} s", ratio(warm))


def apply_thousand(folder: Path) -> None:
    """Apply 1,000 new tasks to four platforms of the sandbox, then plan again."""
    title("Apply 1,000 tasks on four platforms (sandbox without limits)")
    generate.write_specs(folder, 1_000)
    with serving(World(limits=False)) as sandbox:
        environment = {**os.environ, **sandbox.environment()}
        ours = [BIN / "trueup", "-C", folder]
        planned = json.loads(run([*ours, "plan", "--json"], environment).stdout)
        started = time.monotonic()
        applied = json.loads(run([*ours, "apply", "--yes", "--json"], environment).stdout)
        spent = time.monotonic() - started
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        again = json.loads(run([*ours, "plan", "--json"], environment).stdout)
    changes = len(planned["changes"])
    row("changes applied", f"{applied['counts']['applied']} of {changes}")
    row("changes per second", f"{changes / spent:.0f}")
    row("changes in the next plan", str(len(again["changes"])))
    row("peak memory of the apply", f"{peak:.0f} MB")
    for platform, count in planned["cost"]["requests"].items():
        sent = applied["requests"][platform]
        row(f"requests, {platform}", str(sent), f"{sent / count:.3f} of the price {count}")


def creates_a_second(folder: Path) -> None:
    """Create 500 tasks on each platform that takes many, 20 ms away, limits lifted."""
    title("Creates a second at 20 ms latency, limits lifted")
    for platform in ("linear", "gitlab", "notion"):
        root = folder / platform
        generate.write_specs(root, 500)
        generate.keep_only(root, platform)
        with serving(World(limits=False, latency=0.02)) as sandbox:
            environment = {**os.environ, **sandbox.environment()}
            alone = one_at_a_time(sandbox.origin)
            ours = [BIN / "trueup", "-C", root, "apply", "--yes", "--json"]
            applied = json.loads(run(ours, environment).stdout)
            instants = [item.at for item in sandbox.world.traffic if item.platform == platform]
            created = applied["counts"]["applied"]
        rate = created / (instants[-1] - instants[0])
        # What a client that waits for each answer would create, with as many requests for each.
        patient = alone * created / len(instants)
        note = f"{len(instants)} requests, {rate / patient:.1f} times one at a time"
        row(f"{platform}, creates a second", f"{rate:.0f}", note)


def one_at_a_time(origin: str) -> float:
    """Return how many requests a second one client gets that waits for each answer."""
    import httpx

    with httpx.Client() as client:
        started = time.monotonic()
        for _ in range(50):
            client.get(f"{origin}/motion/v1/workspaces", headers={"X-API-Key": TOKENS["motion"]})
        return 50 / (time.monotonic() - started)


def small_state(folder: Path) -> None:
    """What the state on delta-rs costs one plan, one apply and one look back."""
    title("State on delta-rs, 10,000 tasks on four platforms; 1,000 runs")
    done = json.loads(run([sys.executable, "-m", "bench.state", folder]).stdout)
    for name, (seconds, busy) in done["seconds"].items():
        row(name, f"{seconds * 1000:.0f} ms", f"{busy * 1000:.0f} ms of processor time")
    row("log", f"{done['log'] / 1024:.0f} KB", "a run, checkpoints included")


def scaled_diff(folder: Path) -> None:
    """The diff of a whole state of N tasks on four platforms, 1,000 of its bindings changed."""
    title("Diff inside the engine, N tasks on four platforms, 1,000 bindings changed")
    before: dict[str, float] = {}
    for size in SIZES:
        scale.write_state(folder / str(size), size)
        for engine in ("local", "spark"):
            command = [sys.executable, "-m", "bench.scale", engine, folder / str(size), str(size)]
            done = json.loads(run(command).stdout)
            each = done["busy"] / size / 4 * 1e6
            slope = f", {each / before[engine]:.2f} of the size before" if engine in before else ""
            before[engine] = each
            row(
                f"{size} tasks, {engine}",
                f"{done['seconds']:.2f} s",
                f"{done['busy']:.2f} s of processor time, {done['memory']:.0f} MB,"
                f" {each:.2f} us a binding{slope}",
            )


def start_of_a_draft(folder: Path) -> None:
    """A draft with each SDK, from command to exit; the model, on loopback, answers at once."""
    title("Draft, everything but the model (processor time)")
    write(folder, APP, AROUND)
    ours = [BIN / "trueup", "-C", folder, "--today", "2026-11-24", "draft", "--dry-run"]
    answer = draft("Add a sign-up screen", operations=[ADD])
    for provider in ("ANTHROPIC", "OPENAI", "GEMINI"):
        with serving_models(in_order(answer)) as server:
            others = {k: v for k, v in os.environ.items() if not k.endswith(("_API_KEY", "_URL"))}
            access = {f"{provider}_API_KEY": KEY, f"{provider}_BASE_URL": server.url}
            seconds: list[float] = []
            for _ in range(ROUNDS):
                started = _spent()
                run([*ours, "Add a sign-up screen to the app"], others | access)
                seconds.append(_spent() - started)
            low, high = min(seconds), max(seconds)
        note = f"{low:.2f} to {high:.2f} s, {len(server.asked)} calls"
        row(provider.lower(), f"{statistics.median(seconds):.2f} s", note)


def compare(
    ours: Sequence[str | Path], theirs: Sequence[str | Path], before: Callable[[], None]
) -> tuple[list[float], list[float]]:
    """Return processor seconds of both commands, taken in turn; others may use the machine."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for command, seconds in zip((ours, theirs), times, strict=True):
            before()
            started = _spent()
            run(command)
            seconds.append(_spent() - started)
    return times


def _spent() -> float:
    """Return the processor seconds of all commands so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run(
    command: Sequence[str | Path], environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command that is expected to do its job; exit codes 0 and 2 are."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in {0, 2}:
        raise SystemExit(f"{command[0]} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done


def clear(cache: Path) -> None:
    """Forget what was parsed before."""
    for path in cache.rglob("*"):
        if path.is_file():
            path.unlink()


def ratio(times: tuple[list[float], list[float]]) -> str:
    """Return ours as a part of theirs, by the median of the pairs."""
    return f"{statistics.median(a / b for a, b in zip(*times, strict=True)):.2f} of octoDNS"


def title(text: str) -> None:
    """Print the heading of a section."""
    print(f"\n{text}")


def row(name: str, value: str, note: str = "") -> None:
    """Print one figure."""
    print(f"  {name:32} {value:>12}  {note}".rstrip())


if __name__ == "__main__":
    main()
