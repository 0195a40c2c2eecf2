"""In which order the site shows its pages; one that is not named here ends the build."""

SECTIONS: dict[str, tuple[str, ...]] = {
    "Begin": ("start", "pairs", "questions", "coming_from"),
    "Tasks": (
        "tasks/translation",
        "tasks/phonemes",
        "tasks/inflection",
        "tasks/correction",
        "tasks/titles",
        "tasks/commands",
    ),
    "Understand": ("concepts", "objectives"),
    "Do": ("decoding", "training", "pretrained", "pipelines", "serving", "browser", "argos"),
    "Look up": ("commands", "options", "python"),
    "Results": (
        "results",
        "results/tasks",
        "results/speed",
        "results/generation_orders",
        "results/ways_of_training",
        "results/versions",
    ),
    "Change the code": ("design", "contributing", "decisions/README", "changelog"),
}


def toctree(caption: str, pages: tuple[str, ...]) -> str:
    """Return a part of the navigation as MyST reads it."""
    lines = "\n".join(pages)
    return f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{lines}\n```"
