"""In which order the site shows its pages; one that is not named here ends the build."""

SECTIONS: dict[str, tuple[str, ...]] = {
    "Begin": ("start", "fit", "pairs", "questions", "coming_from"),
    "Tasks": (
        "tasks/translation",
        "tasks/phonemes",
        "tasks/inflection",
        "tasks/correction",
        "tasks/titles",
        "tasks/commands",
    ),
    "Understand": ("concepts", "objectives"),
    "Do": (
        "report",
        "training",
        "decoding",
        "likelihood",
        "pretrained",
        "pipelines",
        "own_pieces",
        "trackers",
        "serving",
        "browser",
        "argos",
    ),
    "Look up": ("commands", "options", "python"),
    "Results": ("results",),
    "Change the code": ("design", "contributing", "decisions/README", "changelog"),
}


RESULTS = (
    "results/tasks",
    "results/fit",
    "results/defaults",
    "results/inflection",
    "results/both_directions",
    "results/taught",
    "results/interleaved",
    "results/interaction",
    "results/ways_of_training",
    "results/r_drop",
    "results/tailr",
    "results/parameter_search",
    "results/minimum_bayes_risk",
    "results/exposure_bias",
    "results/muon",
    "results/decoding_speed",
    "results/training_speed",
    "results/order_speed",
    "results/cost_of_ways",
    "results/tuning_memory",
    "results/growth",
    "results/gpu",
    "results/serving",
    "results/pretrained",
    "results/robustness",
    "results/rebuilt",
    "results/trust",
    "results/versions",
    "results/aims",
)
"""Below the page of results, a page for each question."""


def toctree(caption: str, pages: tuple[str, ...]) -> str:
    """Return a part of the navigation as MyST reads it; without a caption one below a page."""
    lines, title = "\n".join(pages), f":caption: {caption}\n" if caption else ""
    return f"```{{toctree}}\n:hidden:\n{title}\n{lines}\n```"
