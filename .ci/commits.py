#!/usr/bin/python3
"""Subjects of new commits: at most 72 characters, in the imperative, no full stop."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LONGEST = 72
LAST = 20  # on main itself, where nothing is new, that many
# A first word that is no verb in the imperative: articles and their like, "room:", numbers, other forms of a verb.
NO_VERB = re.compile(r"(a|an|the|this|that|these|those|what|who|when|where|how|more|some|all|no|new|two|three"
                     r"|another|other|.*:|[0-9].*|.*[^s]s|.*(?<!e)ed|.*[^r]ing)", re.I)
VERBS_LIKE_THAT = {"bring", "ring", "string", "ping", "spring", "embed", "shed", "focus", "bias", "alias"}


def git(*arguments):
    run = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True)
    return run.stdout.splitlines() if run.returncode == 0 else []


def new_commits():
    """(hash, subject) of what main does not have; on main, of the last ones since this rule is there."""
    for name in ("origin/main", "main"):
        found = git("log", "--no-merges", "--format=%h %s", f"{name}..HEAD")
        if found:
            return [line.split(" ", 1) for line in found]
    rule = git("log", "--diff-filter=A", "--format=%h", "--", ".ci/commits.py")
    if not rule:
        return []
    found = git("log", "--ancestry-path", "--no-merges", f"-{LAST}", "--format=%h %s", f"{rule[-1]}..HEAD")
    return [line.split(" ", 1) for line in found]


def faults(subject):
    first = subject.split(" ")[0]
    if len(subject) > LONGEST:
        yield f"{len(subject)} characters, {LONGEST} may be"
    if subject.endswith("."):
        yield "ends with a full stop"
    if not first[:1].isupper():
        yield "begins with no capital letter"
    if NO_VERB.fullmatch(first) and first.lower() not in VERBS_LIKE_THAT:
        yield f"'{first}' is no verb in the imperative (Add, Move, Refuse, ...)"


def main():
    if not git("rev-parse", "HEAD"):
        print("commits: this tree has no history; subjects are not checked")
        return 0
    if git("rev-parse", "--is-shallow-repository") == ["true"]:
        print("commits: a shallow clone; only the subjects that are here are checked")
    wrong = [f"{commit} {subject}\n    {fault}" for commit, subject in new_commits() for fault in faults(subject)]
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
