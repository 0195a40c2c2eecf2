"""Scripts that complete a command line in bash, zsh and fish: words by verb enter, the text of a script leaves.

All three do the same: the first word is a verb, a word that begins with a dash is an option of that verb, and what
stands behind an option is one of its values, or, where it has none to choose from, a file. `--option=value` is
completed as well.
"""

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

ANYWHERE = ("--help", "--version")
"""What can stand in place of a verb."""


@dataclass(frozen=True)
class Verb:
    """What can stand behind a verb.

    Args:
        text: what the verb is for.
        options: their values; empty where there is none to choose from, as for files; None where there is no value.
        texts: what each option is for.
        repeated: options that take several values.
        words: what can stand by itself; empty for files.
    """

    text: str
    options: dict[str, tuple[str, ...] | None]
    texts: dict[str, str]
    repeated: frozenset[str]
    words: tuple[str, ...]


def groups(verbs: dict[str, Verb]) -> list[tuple[list[str], Verb]]:
    """Return verbs with the same words together."""
    found: list[tuple[list[str], Verb]] = []
    for name, verb in verbs.items():
        names = next((names for names, other in found if replace(other, text=verb.text) == verb), None)
        if names is None:
            found.append(([name], verb))
        else:
            names.append(name)
    return found


BASH = """\
# Completes seq2seq in bash; written by `seq2seq completion bash`.
_seq2seq() {
    local word=${COMP_WORDS[COMP_CWORD]} verb= option= distance=0 options= words= values= i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            =) continue ;;  # of `--option=value`, which bash takes for three words
            --*) option=${COMP_WORDS[i]} distance=0 ;;
            *) [[ -n $verb ]] || verb=${COMP_WORDS[i]} ;;
        esac
        distance=$((distance + 1))
    done
    [[ $word == = ]] && word=
    case $verb in
        "") words=@VERBS@ options=$words ;;
@GROUPS@
    esac
    case "$verb $option $distance" in
@VALUES@
        *) values=$words ;;
    esac
    [[ $word == -* ]] && values=$options
    COMPREPLY=($(compgen -W "$values" -- "$word"))
}
complete -o default -F _seq2seq seq2seq
"""

ZSH = """\
#compdef seq2seq
# Completes seq2seq in zsh; written by `seq2seq completion zsh`.
_seq2seq() {
    local word=${words[CURRENT]} verb= option= distance=0 options= names= values= i
    for ((i = 2; i < CURRENT; i++)); do
        case ${words[i]} in
            (--*=*) option= distance=0 ;;
            (--*) option=${words[i]} distance=0 ;;
            (*) [[ -n $verb ]] || verb=${words[i]} ;;
        esac
        distance=$((distance + 1))
    done
    if [[ $word == --*=* ]]; then
        option=${word%%=*} distance=1 word=${word#*=}
        compset -P '*='
    fi
    case $verb in
        ("") names=@VERBS@ options=$names ;;
@GROUPS@
    esac
    case "$verb $option $distance" in
@VALUES@
        (*) values=$names ;;
    esac
    [[ $word == -* ]] && values=$options
    if [[ -n $values ]]; then
        compadd -- ${=values}
    else
        _files
    fi
}
if [[ ${funcstack[1]} == _seq2seq ]]; then
    _seq2seq "$@"
else
    compdef _seq2seq seq2seq
fi
"""


def bash(verbs: dict[str, Verb]) -> str:
    """Return the script for bash."""
    return _filled(BASH, verbs, "words", "")


def zsh(verbs: dict[str, Verb]) -> str:
    """Return the script for zsh, to be sourced, or to be found in `fpath` as `_seq2seq`."""
    return _filled(ZSH, verbs, "names", "(")


def _filled(script: str, verbs: dict[str, Verb], words: str, begin: str) -> str:
    """Return a script with the words of all verbs.

    Args:
        words: its variable of what can stand by itself.
        begin: how it begins the pattern of a case.
    """
    cases, values = [], []
    for names, verb in groups(verbs):
        said = f"verb={names[0]} options={_quoted(verb.options)} {words}={_quoted(verb.words)}"
        cases.append(f"        {begin}{'|'.join(names)}) {said} ;;")
        for found, options in _by_values(verb).items():
            patterns = [f'"{names[0]} {name} "{"*" if name in verb.repeated else 1}' for name in options]
            values.append(f"        {begin}{'|'.join(patterns)}) values={_quoted(found)} ;;")
    filled = script.replace("@VERBS@", _quoted((*verbs, *ANYWHERE)))
    return filled.replace("@GROUPS@", "\n".join(cases)).replace("@VALUES@", "\n".join(values))


def _by_values(verb: Verb) -> dict[tuple[str, ...], list[str]]:
    """Return the options behind which something else stands than without an option, by what that is."""
    found: dict[tuple[str, ...], list[str]] = {}
    for name, values in verb.options.items():
        if values is not None and (values or verb.words):
            found.setdefault(values, []).append(name)
    return found


def _quoted(words: Iterable[str]) -> str:
    """Return words as one of a shell."""
    listed = list(words)
    assert all(re.fullmatch(r"[\w.+-]+", word) for word in listed), f"a shell would not leave {listed} as they are"
    return f"'{' '.join(listed)}'"


FISH = """\
# Completes seq2seq in fish; written by `seq2seq completion fish`.
function __seq2seq_verb
    set -l words (commandline -opc)
    test (count $words) -gt 1; and contains -- $words[2] $argv
end
function __seq2seq_behind
    set -l options (string match -- '--*' (commandline -opc))
    contains -- $options[-1] $argv
end
complete -c seq2seq -f
complete -c seq2seq -n 'test (count (commandline -opc)) -eq 1' -l help -d 'describe the command'
complete -c seq2seq -n 'test (count (commandline -opc)) -eq 1' -l version -d 'tell the versions'
"""


def fish(verbs: dict[str, Verb]) -> str:
    """Return the script for fish, which also shows what each word is for."""
    return FISH + "".join(f"complete -c seq2seq {line}\n" for line in _fish_lines(verbs))


def _fish_lines(verbs: dict[str, Verb]) -> Iterator[str]:
    """Yield what fish may complete, and when."""
    for names, verb in groups(verbs):
        for name in names:
            yield f"-n 'test (count (commandline -opc)) -eq 1' -a {name} -d {_shown(verbs[name].text)}"
        condition = f"-n '__seq2seq_verb {' '.join(names)}'"
        yield f"{condition} {f'-a {_quoted(verb.words)}' if verb.words else '-F'}"
        for name, values in verb.options.items():
            kind = "" if values is None else f" -x -a {_quoted(values)}" if values else " -r -F"
            yield f"{condition} -l {name.removeprefix('--')}{kind} -d {_shown(verb.texts[name])}"
            if values and name in verb.repeated:  # the first of them is the option's, the others stand by themselves
                yield f"{condition[:-1]}; and __seq2seq_behind {name}' -a {_quoted(values)}"


def _shown(text: str) -> str:
    """Return the first sentence of a text as a word of fish."""
    sentence = textwrap.shorten(re.split(r"[.;:](?:\s|$)|\s*%", text, maxsplit=1)[0], 90, placeholder=" …")
    return "'" + sentence.replace("\\", "\\\\").replace("'", "\\'") + "'"


SCRIPTS: dict[str, Callable[[dict[str, Verb]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
"""The scripts by shell."""
