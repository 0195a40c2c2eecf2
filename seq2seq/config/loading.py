"""A YAML file and dotted overrides become a `RunConfig`; the only file that imports `jsonargparse`.

`seq2seq train configs/x.yaml --training.max_steps 4000`: the file first, then `--section.option value` in any number.
Unknown keys and wrong types end in a `ValueError` that names the nearest option.
"""

import dataclasses
import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser, set_parsing_settings

from seq2seq.config.schema import RunConfig
from seq2seq.files import written

set_parsing_settings(docstring_parse_attribute_docstrings=True)

ALIASES = {"--print-config": "--print_config", "--init-from": "--training.initialize_from"}
"""Short names on the command line."""


def run_parser(program: str = "seq2seq train") -> ArgumentParser:
    """Return the parser of a whole run: one option per field of the schema, with its help text."""
    parser = ArgumentParser(prog=program, exit_on_error=False, allow_abbrev=False, description=load_run_config.__doc__)
    parser.usage = "%(prog)s CONFIG.yaml [--section.option VALUE ...] [--print-config]"
    parser.add_argument("--config", action="config", help="YAML file; as first argument also without `--config`")
    parser.add_class_arguments(RunConfig)
    return parser


def load_run_config(arguments: Sequence[str], program: str = "seq2seq train") -> RunConfig:
    """Train a model: a YAML file, then any option of it as `--section.option value`.

    Raises:
        ValueError: an unknown option, a wrong type or an unreadable file, with what to do.
    """
    parser = run_parser(program)
    try:
        namespace = parser.instantiate(parser.parse_args(_normalized(arguments)))
    except ArgumentError as error:
        raise ValueError(_explained(str(error))) from None
    return RunConfig(**{field.name: getattr(namespace, field.name) for field in dataclasses.fields(RunConfig)})


def _normalized(arguments: Sequence[str]) -> list[str]:
    """Accept the file as first argument, and the short names of `ALIASES`."""
    parted = (argument.partition("=") for argument in arguments)
    normalized = [ALIASES.get(name, name) + equals + value for name, equals, value in parted]
    if normalized and not normalized[0].startswith("-"):
        normalized.insert(0, "--config")
    return normalized


def option_names(section: type = RunConfig, prefix: str = "") -> Iterator[str]:
    """Yield the dotted name of every option."""
    for field in dataclasses.fields(section):
        nested = field.type if isinstance(field.type, type) and dataclasses.is_dataclass(field.type) else None
        if nested is None:
            yield prefix + field.name
        else:
            yield from option_names(nested, f"{prefix}{field.name}.")


def _explained(message: str) -> str:
    """Add the nearest option to a parser's message about an unknown one, and say how to see all."""
    message = re.sub(r"<class '(\w+)'>", r"\1", message).replace("typing.", "")
    message = re.sub(r'Parser key "([\w.]+)":\s*', r"`\1`: ", message)
    unknown = _unknown_option(message)
    if unknown is None:
        cures = {
            "required: run_directory": " Give a configuration file first, or `--run_directory FOLDER`.",
            "Expected a tuple": " A list is written `[first, second]`, also on the command line.",
        }
        cure = next((cure for part, cure in cures.items() if part in message), "")
        return f"Configuration: {message.strip()}.{cure}"
    names = list(option_names())
    near = difflib.get_close_matches(unknown, names, n=1, cutoff=0.5)
    if not near:
        leaf = unknown.rsplit(".", 1)[-1]
        near = [name for name in names if difflib.get_close_matches(leaf, [name.rsplit(".", 1)[-1]], cutoff=0.6)][:1]
    suggestion = f" Did you mean `{near[0]}`?" if near else ""
    return f"Configuration: there is no option `{unknown}`.{suggestion} `--help` lists every option."


def _unknown_option(message: str) -> str | None:
    if match := re.search(r"Group '([\w.]+)' does not accept option '([\w.]+)'", message):
        return f"{match[1]}.{match[2]}"
    if match := re.search(r"[Uu]nrecognized arguments?: --([\w.-]+)", message):
        return match[1].replace("-", "_")
    if match := re.search(r"Option '([\w.]+)' is not accepted", message):
        return match[1]
    return None


def plain_value(value: Any) -> Any:
    """Return tuples as lists, all the way down: what YAML and JSON hold."""
    if isinstance(value, dict):
        return {name: plain_value(item) for name, item in value.items()}
    return [plain_value(item) for item in value] if isinstance(value, list | tuple) else value


def save_run_config(config: RunConfig, path: Path) -> None:
    """Write the resolved configuration, every default included, as YAML that `load_run_config` reads back."""
    text = yaml.safe_dump(plain_value(dataclasses.asdict(config)), sort_keys=False, allow_unicode=True)
    with written(path) as file:
        file.write(text)
