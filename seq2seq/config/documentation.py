"""The help texts of options, read from the strings below the fields of the schema."""

from docstring_parser import parse_from_object


def option_documentation(section: type) -> dict[str, str]:
    """Return the help text of each field of one section."""
    documentation = parse_from_object(section)
    return {entry.arg_name: (entry.description or "").replace("\n", " ") for entry in documentation.params}
