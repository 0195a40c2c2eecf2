"""Print a script by which a shell completes verbs, options, their values and files.

    seq2seq completion bash > ~/.local/share/bash-completion/completions/seq2seq
    seq2seq completion zsh > ~/.zfunc/_seq2seq
    seq2seq completion fish > ~/.config/fish/completions/seq2seq.fish

The script holds all words, so that nothing is started when a key is pressed; print it anew after an update. In zsh the
folder must be in `fpath` before `compinit`. For one session of bash: `source <(seq2seq completion bash)`.
"""

import argparse
from dataclasses import replace

from seq2seq.apps.completion_scripts import SCRIPTS, Verb
from seq2seq.apps.verb_parser import OF_CONFIGURATIONS, parser_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=list(SCRIPTS), help="the shell that the script is for")


def run(arguments: argparse.Namespace) -> int:
    print(SCRIPTS[arguments.shell](all_verbs()), end="")
    return 0


def all_verbs() -> dict[str, Verb]:
    """Return what can stand on a command line, by verb."""
    from seq2seq.apps.command import VERBS

    configuration = of_configurations()
    found = {verb: configuration if verb in OF_CONFIGURATIONS else of_parser(verb) for verb in VERBS}
    return {verb: replace(words, text=VERBS[verb]) for verb, words in found.items()}


def of_parser(verb: str) -> Verb:
    """Return the words of a verb whose options argparse reads."""
    from seq2seq.config.shipped import shipped
    from seq2seq.metrics import METRICS

    metrics = ("--metrics", "--tune-metric", "--tune-rescoring-weight")
    options: dict[str, tuple[str, ...] | None] = {}
    texts: dict[str, str] = {}
    repeated: set[str] = set()
    words: tuple[str, ...] = ()
    for action in parser_of(verb).actions():
        values = tuple(map(str, action.choices or ()))
        if not action.option_strings:
            words = tuple(shipped()) if verb == "init" else values
            continue
        name = action.option_strings[-1]
        is_truth = action.nargs == "?" and action.const is True
        options[name] = None if action.nargs == 0 else ("true", "false") if is_truth else values
        if name in metrics:
            options[name] = tuple(METRICS)
        if action.nargs == "+":
            repeated.add(name)
        texts[name] = action.help or ""
    return Verb("", options, texts, frozenset(repeated), words)


def of_configurations() -> Verb:
    """Return the words of `train` and `prepare`: every option of a configuration by its dotted name."""
    from seq2seq.assembly.configuration import RunConfig
    from seq2seq.config.command_line import ALIASES, WISHES
    from seq2seq.config.declaring import all_options, texts_of
    from seq2seq.config.writing import names_of

    options: dict[str, tuple[str, ...] | None] = {"--help": None, "--print-config": None}
    assert set(WISHES.values()) == {"help", "print-config"}, "what else can be wished for needs a text"
    texts = {"--help": "describe all options", "--print-config": "print the whole configuration"}
    for short, name in ALIASES.items():
        options[f"--{short}"] = ()
        texts[f"--{short}"] = "the configuration file" if name == short else f"short for --{name}"
    for name, option, owner in all_options(RunConfig):
        if option.section is None:
            options[f"--{name}"] = ("true", "false") if option.kind is bool else tuple(names_of(option))
            texts[f"--{name}"] = texts_of(owner).get(option.name, "")
    return Verb("", options, texts, frozenset(), ())
