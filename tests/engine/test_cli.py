import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fieldgrad.engine.cli import app


def call(*arguments):
    return CliRunner().invoke(app, arguments)


def run_process(*arguments):
    command = [sys.executable, "-m", "fieldgrad.engine.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_version_is_printed():
    assert call("--version").output.startswith("fieldgrad 0.")


def test_fields_are_listed_with_what_they_are(astro):
    output = " ".join(call("fields").output.split())
    assert "astro Galaxies and their light curves. 1" in output


def test_broken_field_says_why(astro):
    (astro / "astro.py").write_text("import nowhere_to_be_found")
    assert "nowhere_to_be_found" in "".join(call("fields").output.split())
    result = call("astro", "look", "m31")
    assert result.exit_code == 1
    assert "nowhere_to_be_found" in result.output


def test_recipes_are_listed_with_one_line_each(astro):
    lines = [line.split() for line in call("recipes").output.splitlines()]
    assert ["astro/spiral", "A", "spiral."] in lines


def test_recipe_is_shown_as_it_stands(astro):
    assert (
        call("recipes", "show", "astro/spiral").output
        == (astro / "recipes/spiral.toml").read_text()
    )


def test_resolved_recipe_shows_defaults(astro):
    assert "rate = 0.1" in call("recipes", "show", "astro/spiral", "--resolved").output


def test_copied_recipe_runs_and_is_not_overwritten(astro):
    assert call("recipes", "copy", "astro/spiral").exit_code == 0
    assert call("run", "spiral.toml").exit_code == 0
    assert call("recipes", "copy", "astro/spiral", "mine.toml").exit_code == 0
    again = call("recipes", "copy", "astro/spiral", "mine.toml")
    assert again.exit_code == 1
    assert "already exists" in again.output


def test_run_prints_the_result_and_where_it_is(astro):
    result = call("run", "astro/spiral", "--set", "model.depth=5", "--set", "seed=2")
    assert result.exit_code == 0
    assert "depth 5 seed 2" in result.output
    assert Path("runs/spiral/log.txt").read_text() == "depth 5"


def test_each_run_gets_a_folder_of_its_own(astro):
    for folder in ("runs/spiral", "runs/spiral-2", "runs/spiral-3"):
        assert folder in call("run", "astro/spiral").output


def test_resume_continues_and_needs_to_know_which(astro):
    assert "resume False" in call("run", "astro/spiral", "--out", "o", "--resume").output
    assert "resume True" in call("run", "astro/spiral", "--out", "o", "--resume").output
    assert "--out" in call("run", "astro/spiral", "--resume").output


def test_verbs_of_a_field_are_mounted(astro):
    assert call("astro", "look", "m31").output == "looking at m31\n"
    assert "look" in call("astro", "--help").output


def test_field_without_verbs_says_so(astro):
    file = astro / "astro.py"
    file.write_text(file.read_text().replace('commands="astro:app"', 'commands=""'))
    result = call("astro", "look", "m31")
    assert result.exit_code == 1
    assert "no commands yet" in result.output


def test_mistyped_command_suggests_the_nearest(astro):
    result = call("asto")
    assert result.exit_code == 2
    assert "astro" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "astro/spirl"], "did you mean 'astro/spiral'"),
        (["run", "astro/spiral", "--set", "model.dpeth=3"], "did you mean 'depth'"),
        (["run", "astro/spiral", "--set", "note=bad"], "m31.fits is empty. Copy it again."),
        (["run", "astro/spiral", "--set", "note=full"], "the disk is full. Free some space"),
    ],
)
def test_error_is_a_short_message_without_traceback(astro, arguments, message):
    result = run_process(*arguments)
    assert result.returncode == 1
    assert result.stderr.startswith("Error: ")
    assert message in result.stderr
    assert result.stderr.count("\n") <= 4
    assert "Traceback" not in result.stderr


def test_debug_shows_the_traceback(astro):
    result = run_process("--debug", "run", "astro/spiral", "--set", "note=bad")
    assert result.returncode == 1
    assert "Traceback" in result.stderr


def test_defect_of_the_program_keeps_its_traceback(astro):
    result = run_process("run", "astro/spiral", "--set", "note=defect")
    assert result.returncode == 1
    assert "ZeroDivisionError: a defect" in result.stderr


def test_interruption_ends_with_130(astro):
    result = call("run", "astro/spiral", "--set", "note=interrupt")
    assert result.exit_code == 130
    assert "Continue with: fieldgrad run runs/spiral/recipe.toml --out runs/spiral" in result.output


def test_threads_sets_the_engines_threads(astro):
    import fieldgrad.engine as fg

    before = fg.get_num_threads()
    try:
        assert call("--threads", "1", "run", "astro/spiral").exit_code == 0
        assert fg.get_num_threads() == 1
    finally:
        fg.set_num_threads(before)


def test_interrupt_signal_leaves_no_traceback(astro):
    (astro / "astro.py").write_text(
        (astro / "astro.py")
        .read_text()
        .replace(
            "raise KeyboardInterrupt", 'print("ready", flush=True); import time; time.sleep(60)'
        )
    )
    command = [sys.executable, "-m", "fieldgrad.engine.cli", "run", "astro/spiral"]
    process = subprocess.Popen(
        [*command, "--set", "note=interrupt"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A job in the background of a shell has the signal ignored, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, signal.SIGINT)
        _, error = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in error
