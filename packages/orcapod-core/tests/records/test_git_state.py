"""The state of a checkout is told right, and nothing that the repository names is run for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orcapod.records.git_state import git_state

_ID = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name, value in _ID.items():
        monkeypatch.setenv(name, value)


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "protocol.file.allow=always", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def repository(folder: Path, *options: str) -> Path:
    folder.mkdir()
    git(folder, "init", "-q", *options)
    (folder / "below").mkdir()
    for name in ("a.txt", "b.txt", "below/c.txt"):
        (folder / name).write_text(f"{name}\nof the commit\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    """All files below a folder, with the time of their last change."""
    found = (file for file in folder.rglob("*") if file.is_file())
    return {str(file): (file.stat().st_mtime_ns, file.read_bytes()) for file in found}


def test_files_that_differ_from_the_commit_are_told(tmp_path: Path) -> None:
    """Changed, removed, staged, or made executable; not those that git does not track."""
    folder = repository(tmp_path / "lab")
    head = git(folder, "rev-parse", "HEAD")
    assert git_state(str(folder)) == git_state(str(folder / "below")) == (head, False)
    (folder / "notes.txt").write_text("untracked")
    os.utime(folder / "a.txt", (1, 1))
    assert git_state(str(folder)) == (head, False), "another time is no other content"
    for change in (
        lambda: (folder / "a.txt").write_text("changed"),
        lambda: (folder / "b.txt").unlink(),
        lambda: (folder / "below" / "c.txt").chmod(0o755),
        lambda: git(folder, "add", "notes.txt"),
    ):
        change()
        assert git_state(str(folder / "below")) == (head, True)
        git(folder, "reset", "-q", "--hard")
        assert git_state(str(folder)) == (head, False)
    git(folder, "commit", "-q", "--allow-empty", "-m", "second")
    assert git_state(str(folder)) == (git(folder, "rev-parse", "HEAD"), False)


def test_outside_of_a_checkout_there_is_no_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nowhere, before the first commit, in a bare repository, and without git."""
    folder = repository(tmp_path / "lab")
    git(tmp_path, "clone", "-q", "--bare", "lab", "bare")
    git(tmp_path, "init", "-q", "empty")
    for place in (tmp_path, tmp_path / "empty", tmp_path / "bare", tmp_path / "not there"):
        assert git_state(str(place)) == (None, None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(str(folder)) == (None, None)


@pytest.mark.parametrize("options", [("--object-format=sha256",), ("--object-format=sha1",)])
def test_worktrees_and_hashes_of_any_kind_are_read(options: tuple[str, ...], tmp_path: Path) -> None:
    folder = repository(tmp_path / "lab", *options)
    git(folder, "worktree", "add", "-q", "-b", "other", "../other")
    other = tmp_path / "other"
    (other / "a.txt").write_text("changed")
    head = git(folder, "rev-parse", "HEAD")
    assert git_state(str(other)) == (head, True)
    assert git_state(str(folder)) == (head, False)
    git(other, "commit", "-qam", "changed")
    assert git_state(str(other)) == (git(other, "rev-parse", "HEAD"), False)
    assert git_state(str(folder)) == (head, False)


def test_changes_in_submodules_are_changes(tmp_path: Path) -> None:
    """Another commit, and other content; in submodules of submodules, too."""
    inner, middle, outer = (repository(tmp_path / name) for name in ("inner", "middle", "outer"))
    for above, below in ((middle, "inner"), (outer, "middle")):
        git(above, "submodule", "--quiet", "add", f"../{below}", "sub")
        git(above, "commit", "-qm", "sub")
    git(outer, "submodule", "--quiet", "update", "--init", "--recursive")
    head = git(outer, "rev-parse", "HEAD")
    assert git_state(str(outer)) == (head, False)
    deepest = outer / "sub" / "sub"
    (deepest / "new.txt").write_text("untracked")
    assert git_state(str(outer)) == (head, False)
    (deepest / "a.txt").write_text("changed")
    assert git_state(str(outer)) == (head, True)
    git(deepest, "reset", "-q", "--hard")
    assert git_state(str(outer)) == (head, False)
    git(outer / "sub", "commit", "-q", "--allow-empty", "-m", "another")
    assert git_state(str(outer)) == (head, True)
    assert git_state(str(deepest)) == (git(inner, "rev-parse", "HEAD"), False)


def test_a_submodule_that_names_what_it_is_in_is_compared_once(tmp_path: Path) -> None:
    inner, outer = repository(tmp_path / "inner"), repository(tmp_path / "outer")
    git(outer, "submodule", "--quiet", "add", "../inner", "sub")
    git(outer, "commit", "-qm", "sub")
    head = git(outer, "rev-parse", "HEAD")
    (outer / "sub" / ".git").write_text("gitdir: ../.git\n")
    git(outer, "config", "core.worktree", str(outer))
    assert git_state(str(outer))[0] == head
    (outer / "sub" / ".git").unlink()
    (outer / "sub" / ".git").mkdir()
    assert git_state(str(outer))[0] == head
    assert git_state(str(inner))[1] is False


def test_how_files_are_compared_is_as_configured(tmp_path: Path) -> None:
    """In the repository or by the user: ends of lines, and rights."""
    folder = repository(tmp_path / "lab")
    git(folder, "config", "core.fileMode", "false")
    (folder / "a.txt").chmod(0o755)
    assert git_state(str(folder))[1] is False
    git(folder, "config", "--global", "core.autocrlf", "true")
    (folder / "b.txt").write_bytes(b"b.txt\r\nof the commit\r\n")
    git(folder, "add", "b.txt")
    os.utime(folder / "b.txt", (1, 1))  # so that the content tells
    assert git_state(str(folder))[1] is False
    git(folder, "config", "core.autocrlf", "false")
    assert git_state(str(folder))[1] is True


def test_an_index_of_two_parts_is_read(tmp_path: Path) -> None:
    folder = repository(tmp_path / "lab")
    git(folder, "update-index", "--split-index")
    assert git_state(str(folder))[1] is False
    (folder / "b.txt").write_text("changed")
    assert git_state(str(folder))[1] is True


def test_variables_that_point_git_elsewhere_are_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program may be started by a hook, which has them."""
    folder, other = repository(tmp_path / "lab"), repository(tmp_path / "other")
    git(other, "commit", "-q", "--allow-empty", "-m", "second")
    head = git(folder, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "no index"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", f"touch {tmp_path / 'diff'}")
    assert git_state(str(folder)) == (head, False)
    assert not (tmp_path / "diff").exists()


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A repository whose configuration names a program wherever git takes one; each would leave a mark."""
    folder, marks = repository(tmp_path / "lab"), tmp_path / "marks"
    git(folder, "submodule", "--quiet", "add", str(repository(tmp_path / "part")), "sub")
    (folder / ".gitattributes").write_text("*.txt filter=evil diff=evil merge=evil\nc.txt filter=process\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "attributes")
    marks.mkdir()
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    sub = folder / ".git" / "modules" / "sub"
    for hook in ("post-index-change", "fsmonitor-watchman", "reference-transaction", "post-checkout", "pre-auto-gc"):
        for place in (hooks, folder / ".git" / "hooks", sub / "hooks"):
            (place / hook).write_text(f"#!/bin/sh\ntouch {marks}/hook-{hook}\n")
            (place / hook).chmod(0o755)

    def trap(name: str) -> str:
        return f"touch {marks}/{name}; cat"

    programs = {
        "core.fsmonitor": trap("fsmonitor"),
        "core.hooksPath": str(hooks),
        "core.pager": trap("pager"),
        "core.editor": trap("editor"),
        "core.sshCommand": trap("ssh"),
        "core.askPass": trap("askpass"),
        "core.gitProxy": trap("proxy"),
        "core.alternateRefsCommand": trap("alternates"),
        "pager.status": trap("pager-status"),
        "pager.config": trap("pager-config"),
        "filter.evil.clean": trap("clean"),
        "filter.evil.smudge": trap("smudge"),
        "filter.evil.required": "true",
        "filter.process.process": trap("process"),
        "diff.external": trap("diff"),
        "diff.evil.command": trap("diff-command"),
        "diff.evil.textconv": trap("textconv"),
        "merge.evil.driver": trap("merge"),
        "alias.status": f"!{trap('alias')}",
        "alias.rev-parse": f"!{trap('alias-rev-parse')}",
        "credential.helper": f"!{trap('credential')}",
        "gpg.program": trap("gpg"),
        "uploadpack.packObjectsHook": trap("pack"),
        "remote.origin.url": f"ext::sh -c {trap('remote')}",
        "remote.origin.promisor": "true",
        "remote.origin.uploadpack": trap("uploadpack"),
        "extensions.partialClone": "origin",
        "protocol.ext.allow": "always",
        "trace2.eventTarget": f"{marks}/trace",
        "status.submoduleSummary": "true",
        "submodule.recurse": "true",
        "core.splitIndex": "true",
        "core.untrackedCache": "true",
        "core.repositoryFormatVersion": "1",
    }
    lines = ["[include]", "path = included"]
    for name, value in programs.items():
        section, *kind, variable = name.split(".")
        lines += [f'[{section} "{kind[0]}"]' if kind else f"[{section}]", f'{variable} = "{value}"']
    for place in (folder / ".git", sub):
        (place / "included").write_text(f'[filter "included"]\nclean = "{trap("included")}"\n')
        (place / "config").write_text("\n".join([(place / "config").read_text(), *lines, ""]))
        (place / "info" / "attributes").write_text("b.txt filter=included\n")
    return folder


def test_nothing_that_a_repository_names_is_run_or_written(hostile: Path, tmp_path: Path) -> None:
    """Also where contents have to be compared, in submodules, and where an object is missing that could be fetched."""
    marks = tmp_path / "marks"
    head = (hostile / ".git" / "refs" / "heads" / _branch(hostile)).read_text().strip()
    for name in ("a.txt", "b.txt", "below/c.txt", "sub/a.txt", "sub/b.txt"):
        os.utime(hostile / name, (1, 1))  # so that the content tells
    before = files(hostile)
    assert git_state(str(hostile)) == (head, False)
    assert files(hostile) == before
    (hostile / "sub" / "b.txt").write_text("changed")
    assert git_state(str(hostile)) == (head, True)
    (hostile / "a.txt").write_text("changed")
    before = files(hostile)
    assert git_state(str(hostile)) == (head, True)
    assert list(marks.iterdir()) == []
    for missing in [name for name in before if "/objects/" in name and f"/{head[:2]}/{head[2:]}" not in name]:
        Path(missing).unlink()
    before = files(hostile)
    assert git_state(str(hostile))[0] == head
    assert files(hostile) == before
    assert list(marks.iterdir()) == []


def test_the_traps_of_a_hostile_repository_are_real(hostile: Path, tmp_path: Path) -> None:
    """A plain ``git status`` runs into some of them."""
    for name in ("a.txt", "b.txt", "below/c.txt"):
        os.utime(hostile / name, (1, 1))
    subprocess.run(["git", "status"], cwd=hostile, capture_output=True, check=False)
    assert {"clean", "fsmonitor", "included", "process"} <= {mark.name for mark in (tmp_path / "marks").iterdir()}


def test_the_environment_of_a_run_says_so(hostile: Path, tmp_path: Path) -> None:
    program = hostile / "program.py"
    program.write_text("from orcapod.records import Environment\nprint(Environment.here().git_dirty)")
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert list((tmp_path / "marks").iterdir()) == []


def _branch(folder: Path) -> str:
    return (folder / ".git" / "HEAD").read_text().strip().removeprefix("ref: refs/heads/")
