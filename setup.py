"""What pyproject.toml cannot say: `configs/` lies beside the package, and in it as `seq2seq/configs` when installed."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["seq2seq", "seq2seq.*"]), "seq2seq.configs"],
    package_dir={"seq2seq.configs": "configs"},
    package_data={
        "seq2seq": ["py.typed"],
        "seq2seq.configs": ["*.yaml"],
        "seq2seq.export": ["browser/*.js"],
        "seq2seq.fitting": ["*.json"],
        "seq2seq.reporting": ["page/*.css"],
        "seq2seq.serving": ["page/*.html"],
    },
)
