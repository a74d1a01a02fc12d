"""The verb `python -m stream experiment`, of the verbs in this folder."""

from typing import Any

from stream.experiments.command import add_changes
from stream.experiments.look_command import add_looks
from stream.experiments.plan_command import add_plan


def add_experiment(verbs: Any) -> None:
    """Add the verb to the parser of `python -m stream`."""
    about = "Compare two versions of the lists on users."
    text = about[0].lower() + about[1:-1]
    experiment = verbs.add_parser("experiment", help=text, description=about)
    of_experiment = experiment.add_subparsers(required=True, metavar="VERB")
    add_plan(of_experiment)
    add_changes(of_experiment)
    add_looks(of_experiment)
