"""Holds one source to model/host/yield.h: yields.py --compiler CLANG++ [--expect | --verify] SOURCE -- FLAG...

clang's thread-safety analysis checks that every caller of a marked function is marked. In the same run clang lists each
call that may yield (XENFS_LIST_YIELDS makes every mark a warning at its calls), and this program checks on the text:

 1. A local reference, pointer or iterator to what a container holds is not used after a call that may yield, nor in the
    next round of a loop around one, unless it was assigned anew, or a guard holds it (it comes from the guard, or the
    guard is made from it): an object of a class that is declared YIELD_GUARD. A range-for over a member does not yield in its body.
 2. A constructor or destructor that yields is marked.
 3. A marked override overrides a marked function.
 4. A marked lambda becomes a std::function only as the body of a task.

A comment `// survives yields: REASON` on the declaration's line, or above it, allows what rule 1 forbids.

Limits: rule 1 sees locals of the function, declared with an initialiser, and takes the text's order for the order of
execution. It does not see parameters, members, structs that hold references, or references that a called function
keeps; whether an unnamed type (`auto`) points into a container is judged by the initialiser's shape. So it finds the
usual mistake, and does not prove its absence.
"""
import argparse
import bisect
import functools
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONTAINER = r"\b(?:vector|deque|list|map|unordered_map|multimap|set|unordered_set|array|optional|unique_ptr)<"
ACCESS = re.compile(r"\[|\.find\(|\.at\(|->second|\.front\(\)|\.back\(\)|\.(?:try_)?emplace\w*\(|\.begin\(\)|\.insert\(|"
                    r"_bound\(|\.data\(\)|\.get\(\)")
ITERATOR = re.compile(r"\.(?:find|begin|end|lower_bound|upper_bound|emplace\w*|try_emplace|insert)\(")
LOCAL = re.compile(r"(?:\bconst\s+)?\b(auto|(?:\w+::)*[A-Z]\w*)(?:<[^;{}()<>]*>)?\s*(\*|&&?|)\s*(?:const\s+)?"
                   r"(\w+|\[[\w\s,]+\])\s*=\s*([^;{]*)")
RANGE_FOR = re.compile(r"\bfor\s*\(\s*(?:const\s+)?[\w:<>]+\s*(?:const)?\s*&&?\s*(?:\w+|\[[^]]*\])\s*:\s*([^{;]*?)\)\s*\{")
REASON = re.compile(r"survives yields: \S+")
LEAVES = re.compile(r"\b(?:return|continue|break|throw)\b[^;{}]*;\s*$")


def blank(match):
    return re.sub(r"[^\n]", " ", match.group())


class Text:
    """A source without comments and strings (each character stays in its place), its blocks and its lines."""

    def __init__(self, path):
        self.original = path.read_text()
        self.code = re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'', blank, self.original, flags=re.S)
        self.lines = [0] + [m.end() for m in re.finditer("\n", self.original)]
        self.blocks = []  # (open, close)
        self.close = {}  # of every bracket
        stack = []
        for m in re.finditer(r"[(){}\[\]]", self.code):
            if m.group() in "({[":
                stack.append(m.start())
            elif stack:
                start = stack.pop()
                self.close[start] = m.start()
                if m.group() == "}":
                    self.blocks.append((start, m.start()))
        self.blocks.sort()

    def line(self, offset):
        return bisect.bisect_right(self.lines, offset)

    def offset(self, line, column):
        return self.lines[line - 1] + column - 1

    def around(self, offset):
        """Returns the blocks around an offset, innermost first."""
        return [b for b in reversed(self.blocks) if b[0] < offset < b[1]]

    def head(self, block):
        """Returns the text before a block's brace, back to the last statement."""
        start = max(self.code.rfind(c, 0, block[0]) for c in ";{}")
        return self.code[start + 1:block[0]]

    def statement(self, offset):
        """Returns the text from the beginning of the statement around an offset."""
        start = max(self.code.rfind(c, 0, offset) for c in ";{}")
        return self.code[start + 1:offset]

    def after_call(self, offset):
        """Returns the end of the call whose name or parenthesis is at an offset."""
        start = self.code.find("(", offset)
        return self.close.get(start, offset) if start >= 0 else offset


@functools.cache
def headers():
    return {p: Text(p) for p in sorted((ROOT / "model").rglob("*.h"))}


@functools.cache
def held_types():
    """Returns the types that some container of the core holds."""
    found = set()
    for text in headers().values():
        for m in re.finditer(CONTAINER + r"([^;()]*)>\s+\w+(?:\{\}|;| =)", text.code):
            found |= set(re.findall(r"\b[A-Z]\w+", m.group(1)))
    return found


def names_in_headers(pattern, extra):
    return {name for text in [*headers().values(), *extra] for name in re.findall(pattern, text.code)}


def is_loop(head):
    return re.search(r"\b(?:for|while)\s*\(|\bdo\s*$", head) is not None


def uses_after(text, name, begin, end, yielded):
    """Returns the offsets in [begin, end) at which `name` is used after the yield."""
    after = text.after_call(yielded)
    uses = [m.start() for m in re.finditer(rf"\b{name}\b", text.code[begin:end])]
    uses = [begin + u for u in uses]
    renewed = [u for u in uses if re.match(rf"{name}\s*=[^=]", text.code[u:])]
    inside = [b for b in text.around(yielded) if begin <= b[0] and b[1] <= end]
    statement = text.statement(yielded)
    if re.match(r"\s*(?:return|throw)\b", statement):
        return []
    found = []
    if re.match(rf"[^=]*\b{name}\b[^=]*[^=!<>]=[^=]", statement) and not re.match(rf"\s*{name}\s*=", statement):
        found.append(yielded)  # the right side yields first, then the left is used
    for use in uses:
        if use in renewed or use <= after:
            continue
        if any(r > after and r < use for r in renewed):
            continue
        # A block that yields and then leaves does not reach what stands behind it.
        if any(not b[0] < use < b[1] and LEAVES.search(text.code[b[0] + 1:b[1]]) for b in inside):
            continue
        found.append(use)
    for block in inside:  # the next round of a loop
        if is_loop(text.head(block)) and not LEAVES.search(text.code[block[0] + 1:block[1]]):
            head = block[0] - len(text.head(block))
            again = [u for u in uses if head < u < text.after_call(yielded)]
            if again and not any(r in renewed for r in again):
                found += again
    return found


def check_locals(text, yields, guards):
    problems = []
    guarded = set(re.findall(rf"\b(?:{'|'.join(guards)})\b\s*&?\s*(\w+)\s*[({{=;,)]", text.code)) if guards else set()

    def allowed(offset):
        lines = text.original.splitlines()
        at = text.line(offset) - 1
        comment = [lines[at]]
        while at > 0 and lines[at - 1].lstrip().startswith("//"):
            at -= 1
            comment.append(lines[at])
        return any(REASON.search(line) for line in comment)

    for m in LOCAL.finditer(text.code):
        type_name, mark, names, init = m.groups()
        blocks = text.around(m.start())
        if not blocks or allowed(m.start()):
            continue
        pointer = mark != ""
        if not pointer and not (type_name == "auto" and ITERATOR.search(init)):
            continue
        if pointer and type_name.split("::")[-1] not in held_types() and not (type_name == "auto" and ACCESS.search(init)):
            continue
        if re.match(r"\s*(?:\*this|this\b|new\b|nullptr|std::make_)", init):
            if not init.strip().startswith("nullptr"):
                continue
        if any(re.search(rf"\b{g}\b", init) for g in guarded):
            continue
        end = blocks[0][1]
        before = text.statement(m.start())
        if re.search(r"\b(?:if|while|for|switch)\s*\([^()]*$", before):  # a condition's variable: its own block only
            start = text.code.rfind("(", 0, m.start())
            body = text.code.find("{", text.close.get(start, m.start()))
            between = text.code[text.close.get(start, m.start()) + 1:body]
            end = text.close.get(body, end) if between.strip() == "" else text.code.find(";", m.end())
        for name in re.findall(r"\w+", names):
            # A guard that is made from it holds it from there on.
            held = re.search(rf"\b(?:{'|'.join(guards)})\b\s+\w+\s*[({{](?:[^;(){{}}]*,)?\s*\*?{name}\s*[)}}]", text.code[m.end():end]) if guards else None
            for y in yields:
                if not m.end() <= y < end or held and m.end() + held.start() < y:
                    continue
                uses = uses_after(text, name, m.end(), end, y)
                if uses:
                    problems.append((text.line(m.start()),
                                     f"'{name}' points into a container; line {text.line(y)} may yield, and line "
                                     f"{text.line(uses[0])} uses it then: hold it by a guard or look it up again"))
                    break
    for m in RANGE_FOR.finditer(text.code):
        block = m.end() - 1
        inside = [y for y in yields if block < y < text.close.get(block, block)]
        inside = [y for y in inside if not any(LEAVES.search(text.code[b[0] + 1:b[1]])
                                               for b in text.around(y) if b[0] >= block)]
        if inside and re.search(r"_\b|->|\.", m.group(1)) and not allowed(m.start()):
            problems.append((text.line(m.start()), f"the loop runs over {m.group(1).strip()}, and line "
                             f"{text.line(inside[0])} in it may yield: take a copy, or begin anew after it"))
    return problems


def check_marks(text, yields):
    problems = []
    for y in yields:
        blocks = text.around(y)
        for block, outer in zip(blocks, [*blocks[1:], None]):
            head = text.head(block)
            if re.search(r"\]\s*\(", head):
                break  # a lambda has a mark of its own
            made = re.search(r"(?:(\w+)::)?(~?)\b(\w+)\s*\(", head)
            if made is None or made.group(3) in ("if", "for", "while", "switch", "catch"):
                continue
            within, gone, name = made.groups()
            if not within and outer:
                own = re.search(r"\b(?:class|struct)\s+(?:YIELD_GUARD\s+)?(\w+)", text.head(outer))
                within = own.group(1) if own else None
            if within == name:
                pattern = rf"{gone}\b{name}\s*\([^;{{}}]*MAY_YIELD"
                if not any(re.search(pattern, t.code) for t in [text, *headers().values()]):
                    problems.append((text.line(y), f"{gone}{name}() may yield and is not marked"))
            break
    marked = names_in_headers(r"\bvirtual\s[^;{}]*?(\w+)\s*\([^;{}]*?\)\s*(?:const\s*)?MAY_YIELD", [text])
    for m in re.finditer(r"(~?\w+)\s*\([^;{}]*?\)\s*(?:const\s*)?(?:noexcept\s*)?MAY_YIELD\s*(?:final\s+)?override", text.code):
        if m.group(1) not in marked:
            problems.append((text.line(m.start()), f"{m.group(1)} overrides a function that is not marked"))
    take = names_in_headers(r"\b(\w+)\s*\([^;{}()]*(?:std::function<[^;{}]*>|\b(?:Ended|Handler)\b)[^;{}]*\)", [text]) - {"spawn"}
    for m in re.finditer(r"\[[^\[\]]*\]\s*\([^()]*\)\s*MAY_YIELD", text.code):
        before = text.code[:m.start()]
        call = re.search(r"\b(\w+)\s*\((?:[^();{}]|\([^()]*\))*$", before)
        if re.search(r"std::function<[^;]*>\s+\w+\s*[=({]\s*$", before) or call and call.group(1) in take:
            problems.append((text.line(m.start()), "a marked lambda becomes a std::function, which loses the mark"))
    return problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--expect", action="store_true", help="find exactly what the comments `// wrong` mark")
    parser.add_argument("--verify", action="store_true", help="only clang's part, which finds what `expected-error` says")
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("flags", nargs="*")
    options = parser.parse_args()
    source = options.source.resolve()
    mode = ["-Xclang", "-verify"] if options.verify else ["-DXENFS_LIST_YIELDS", "-Wuser-defined-warnings"]
    run = subprocess.run([options.compiler, "-std=c++20", "-fsyntax-only", "-fno-caret-diagnostics", "-fno-color-diagnostics",
                          "-Wthread-safety", "-Werror=thread-safety", *mode, f"-I{ROOT}", *options.flags, str(source)], stderr=subprocess.PIPE, text=True, check=False)
    listed = re.compile(r"^(.*?):(\d+):(\d+): (?:warning|note|error): (.*)$")
    yields, rest = {}, []
    for line in run.stderr.splitlines():
        m = listed.match(line)
        if m and "this call may yield" in m.group(4):
            path = pathlib.Path(m.group(1)).resolve()
            yields.setdefault(path, set()).add((int(m.group(2)), int(m.group(3))))
        elif not (m and m.group(4).startswith("from 'diagnose_if'")) and "generated." not in line:
            rest.append(line)
    if run.returncode != 0:
        print("\n".join(rest), file=sys.stderr)
        return 1
    if options.verify:
        return 0

    guards = names_in_headers(r"\b(?:class|struct)\s+YIELD_GUARD\s+(\w+)", [Text(source)])
    problems = []
    for path in {source, *yields}:
        if not path.is_relative_to(ROOT / "model"):
            continue
        text = Text(path)
        at = sorted(text.offset(*place) for place in yields.get(path, ()))
        problems += [(path, line, what) for line, what in check_locals(text, at, guards) + check_marks(text, at)]
    if options.expect:
        lines = source.read_text().splitlines()
        wanted = {i for i, line in enumerate(lines, 1) if "// wrong" in line}
        found = {line for _, line, _ in problems}
        if wanted == found:
            return 0
        problems = [(source, i, "expected, not found") for i in wanted - found] + [p for p in problems if p[1] not in wanted]
    for path, line, what in sorted(set(problems)):
        print(f"{path.relative_to(ROOT)}:{line}: {what}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
