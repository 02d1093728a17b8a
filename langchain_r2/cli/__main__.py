"""``python -m langchain_r2.cli``."""

from langchain_r2.cli import main

main()
