"""Ways of training beside plain cross-entropy, by name, each as the options that switch it on."""

BASELINE = "continued"
"""Cross-entropy, for as long as the others."""

VARIANTS: dict[str, list[str]] = {BASELINE: []}
