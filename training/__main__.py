"""``python -m training COMMAND``: makes and improves a router for any pool. ``--help`` lists the commands."""

import argparse
import sys

from langchain_r2.errors import R2Error
from training import commands_data, commands_report, commands_rl, commands_runs, commands_sft


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and run the command."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (commands_data, commands_rl, commands_sft, commands_report, commands_runs):
        module.add_parser(commands)
    args = parser.parse_args(argv)
    try:
        args.run(args)
    except R2Error as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
