"""`python -m cron`: the scheduler that runs the jobs of a service by the clock."""

import argparse
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from cron.child import Ending
from cron.errors import CronError
from cron.jobs import Job, JobSettings, read_jobs
from cron.lock import make_folder, one_instance
from cron.scheduler import Scheduler
from cron.settings import CronSettings
from cron.show import history_text, jobs_text, plan_text, states, states_text
from cron.state import read_history
from store.config import StoreSettings, load_section
from store.durable import keep_from_others
from store.errors import StoreError
from store.settings_table import add_config, print_config
from store.stop import stop_on_signals

SECTIONS = {"cron": CronSettings, "cron.jobs.NAME": JobSettings}

_EPILOG = """\
example:
  python -m cron                 run the jobs by the clock until SIGTERM
  python -m cron --dry-run       show what would run in the next 24 hours
  python -m cron list            the jobs, and when they run
  python -m cron status          the last and the next run of each; --json
  python -m cron history         the last runs
  python -m cron run refresh     run a job now; exit 0 if it succeeded, else 1
  python -m cron config --toml   print all settings with their defaults

Exit status: 0 stopped or succeeded, 1 could not start or the job failed, 2 wrong usage.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S%z",
        level=logging.INFO,
    )
    try:
        if options.verb == "config":
            return print_config(options)
        return _run(options)
    except (CronError, StoreError) as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cron",
        description="Run the jobs of a service by the clock, one scheduler at a time.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="default: marquee.toml")
    parser.add_argument("--dry-run", action="store_true", help="show what would run, and end")
    verbs = parser.add_subparsers(metavar="[VERB]", dest="verb")
    for verb, about in (
        ("list", "show the jobs, and when they run"),
        ("status", "show the last and the next run of each job"),
        ("history", "show the last runs"),
    ):
        one = verbs.add_parser(verb, help=about, description=about.capitalize() + ".")
        one.add_argument("--config", type=Path, metavar="FILE", default=argparse.SUPPRESS)
        one.add_argument("--json", action="store_true", help="print JSON")
        if verb == "history":
            one.add_argument("-n", type=int, default=20, metavar="N", help="runs, default: 20")
    about = "Run a job now, due or not, beside a scheduler too."
    run = verbs.add_parser("run", help=about[0].lower() + about[1:-1], description=about)
    run.add_argument("job", metavar="JOB", help="name of the job")
    run.add_argument("--config", type=Path, metavar="FILE", default=argparse.SUPPRESS)
    add_config(verbs, SECTIONS)
    return parser


def _run(options: argparse.Namespace) -> int:
    settings = load_section("cron", CronSettings, options.config)
    jobs = read_jobs(settings, options.config)
    if show := _SHOWN.get("plan" if options.dry_run else options.verb):
        sys.stdout.write(show(settings, jobs, options) + "\n")
        return 0
    store = Path(load_section("store", StoreSettings, options.config).path)
    stop = stop_on_signals()
    if options.verb == "run":
        return _run_job(options.job, Scheduler(replace(settings, log_dir=""), jobs, store, stop))
    with one_instance(Path(settings.path)):
        Scheduler(settings, jobs, store, stop).run()
    return 0


def _run_job(name: str, scheduler: Scheduler) -> int:
    make_folder(scheduler.folder)
    if name not in scheduler.jobs:
        raise CronError(repr(name), "is not a job", f"the jobs: {', '.join(scheduler.jobs)}")
    ending = scheduler.run_now(name)
    if ending is None:
        raise CronError(name, "is running", "wait until it has ended: `python -m cron status`")
    return int(ending is not Ending.SUCCEEDED)


_Show = Callable[[CronSettings, Mapping[str, Job], argparse.Namespace], str]
_SHOWN: Final[Mapping[str, _Show]] = {
    "list": lambda _, jobs, options: jobs_text(jobs, is_json=options.json),
    "status": lambda settings, jobs, options: states_text(
        states(settings, jobs), is_json=options.json
    ),
    "history": lambda settings, _, options: history_text(
        read_history(Path(settings.path), options.n), is_json=options.json
    ),
    "plan": lambda settings, jobs, _: plan_text(settings, jobs),
}


if __name__ == "__main__":
    keep_from_others()
    sys.exit(main())
