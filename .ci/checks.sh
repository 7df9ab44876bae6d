# The checks of `./lab check`, each a function check_NAME that prints what is wrong; sourced by lab.
# Each line of `checks`: its name, its seconds on two cores with a warm tree, and what it looks at.
checks='
format      5   clang-format leaves every C++ file as it is
python      3   pyflakes finds nothing
tidy        2   lengths and words that may only become fewer (.ci/tidy.json)
commits     1   subjects of new commits
floor-plan  2   which room may include which
yields      3   what may yield says so
lint       20   clang-tidy on what changed
build       3   the core and its tests
core       20   the fast tests of the core
'

# sources PATTERN... : the tree's own files, with what git does not know yet.
sources() {
    if git rev-parse HEAD >/dev/null 2>&1; then
        git ls-files -z --cached --others --exclude-standard -- "$@" | xargs -0 ls -d 2>/dev/null  # without deleted ones
    else
        local pattern
        for pattern in "$@"; do find . -path './build*' -prune -o -name "$pattern" -print; done
    fi
}

# The formatter of Debian 12 decides: later ones set lambdas among arguments and `struct stat x{}` otherwise.
check_format() {
    local tool
    tool=$(command -v clang-format-14 || command -v clang-format)
    if ! "$tool" --version | grep -q 'version 14\.'; then
        say "format: left out: clang-format 14 is not here, and $("$tool" --version | grep -o 'version [0-9]*') differs from it"
        return 0
    fi
    sources '*.cpp' '*.h' '*.hpp' | xargs -P "$(nproc)" -n 60 "$tool" --dry-run -Werror 2>&1 |
        grep -E 'error:' | cut -d: -f1 | sort -u | sed 's/^/clang-format -i /' | grep . && return 1
    return 0
}

check_python() {
    sources '*.py' | xargs /usr/bin/python3 -m pyflakes
}

check_tidy() {
    # Where somebody works the counts are lowered at once; elsewhere nothing is written.
    local lower=--lower
    [ "${CI:-}" = true ] && lower=
    /usr/bin/python3 .ci/tidy.py $lower
}

check_commits() {
    /usr/bin/python3 .ci/commits.py
}

check_floor_plan() {
    /usr/bin/python3 -m pytest -q -p no:cacheprovider model/floor_plan_test.py
}

check_yields() {
    run_ninja release yields
}

# What changed, for 20 s; in continuous integration the rooms held to it as well, for at most ten minutes.
check_lint() {
    local extent=(--seconds 20)
    [ "${CI:-}" = true ] && extent=(--held --seconds 600)
    /usr/bin/python3 .ci/lint.py "${extent[@]}"
}

check_build() {
    run_ninja release model/all sim/tests/all
}

check_core() {
    local room log failed=0
    for room in model sim/tests; do
        log=build/check-${room/\//-}.log
        ctest_in "build/release/$room" -L '^fast' -E '^yields$' >"$log" 2>&1 && continue
        grep -vE '^ +Start |  Passed +[0-9]' "$log"
        failed=1
    done
    return $failed
}

# seconds_left NAME... : what these checks take together.
seconds_left() {
    local name sum=0 line
    for name in "$@"; do
        line=$(grep "^$name " <<<"$checks")
        # shellcheck disable=SC2086
        set -- $line
        sum=$((sum + $(seconds_of "check-$1" "$2")))
    done
    echo $sum
}

# run_checks NAME... : one after the other, all of them whatever fails; says how long is left.
run_checks() {
    local failed=() started=$SECONDS name
    while [ $# -gt 0 ]; do
        name=$1
        say "$name: $(sed -n "s/^$name  *[0-9]*  *//p" <<<"$checks") (about $(seconds_left "$@") s left)"
        timed "check-$name" "check_${name//-/_}" || failed+=("$name")
        shift
    done
    say "$((SECONDS - started)) s; ${failed[*]:+failed: }${failed[*]:-nothing found}"
    [ ${#failed[@]} -eq 0 ]
}
