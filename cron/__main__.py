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
from cron.heartbeat import call
from cron.jobs import Job, JobSettings, read_jobs
from cron.lock import make_folder, one_instance
from cron.notifier import Notifier
from cron.notify import TEST, NotifySettings, decoded, send
from cron.scheduler import Scheduler
from cron.settings import CronSettings
from cron.show import history_text, jobs_text, plan_text, states, states_text
from cron.state import read_history
from store.config import StoreSettings, load_section
from store.durable import keep_from_others
from store.errors import StoreError
from store.gate_result import EXIT_REFUSED
from store.settings_table import add_config, print_config
from store.stop import stop_on_signals

SECTIONS = {"cron": CronSettings, "cron.jobs.NAME": JobSettings, "notify": NotifySettings}

_EPILOG = """\
example:
  python -m cron                 run the jobs by the clock until SIGTERM
  python -m cron --dry-run       show what would run in the next 24 hours
  python -m cron list            the jobs, and when they run
  python -m cron status          the last and the next run of each; --json
  python -m cron history         the last runs
  python -m cron run refresh     run a job now; exit 0 if it succeeded, else 1
  python -m cron notify --test   send a test message
  python -m cron config --toml   print all settings with their defaults

Exit status: 0 stopped or succeeded, 1 could not start or the job failed, 2 wrong usage,
3 the gate refused.
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
            one.add_argument("-n", type=_count, default=20, metavar="N", help="runs, default: 20")
    about = "Send messages that the scheduler gives as standard input, or a test message."
    notify = verbs.add_parser("notify", help=about[0].lower() + about[1:-1], description=about)
    notify.add_argument("--test", action="store_true", help="send a test message")
    notify.add_argument("--config", type=Path, metavar="FILE", default=argparse.SUPPRESS)
    about = "Call the heartbeat_url of a job."
    beat = verbs.add_parser("heartbeat", help=about[0].lower() + about[1:-1], description=about)
    beat.add_argument("job", metavar="JOB", help="name of the job")
    beat.add_argument("--config", type=Path, metavar="FILE", default=argparse.SUPPRESS)
    about = "Run a job now, due or not, beside a scheduler too."
    run = verbs.add_parser("run", help=about[0].lower() + about[1:-1], description=about)
    run.add_argument("job", metavar="JOB", help="name of the job")
    run.add_argument("--config", type=Path, metavar="FILE", default=argparse.SUPPRESS)
    add_config(verbs, SECTIONS)
    return parser


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a number of runs")
    return int(text)


def _run(options: argparse.Namespace) -> int:
    settings = load_section("cron", CronSettings, options.config)
    jobs = read_jobs(settings, options.config)
    if show := _SHOWN.get("plan" if options.dry_run else options.verb):
        sys.stdout.write(show(settings, jobs, options) + "\n")
        return 0
    receivers = load_section("notify", NotifySettings, options.config)
    if options.verb == "notify":
        return _notify(receivers, is_test=options.test)
    if options.verb == "heartbeat":
        call(_job(options.job, jobs))
        return 0
    store = Path(load_section("store", StoreSettings, options.config).path)
    stop = stop_on_signals()
    if options.verb == "run":
        job = _job(options.job, jobs)
        return _run_job(job, Scheduler(replace(settings, log_dir=""), jobs, store, stop))
    with one_instance(Path(settings.path)):
        notifier = Notifier(settings, receivers, store, options.config)
        scheduler = Scheduler(settings, jobs, store, stop, notifier)
        if settings.metrics_port:
            _serve_metrics(scheduler, settings, notifier)
        scheduler.run()
    return 0


def _serve_metrics(scheduler: Scheduler, settings: CronSettings, notifier: Notifier) -> None:
    from cron.metrics import SchedulerMetrics  # here: the other commands start in half the time

    metrics = SchedulerMetrics(scheduler, settings, notifier.alarms)
    metrics.serve(settings.metrics_host, settings.metrics_port)


def _notify(receivers: NotifySettings, *, is_test: bool) -> int:
    """Send messages; a test fails if one receiver does, a message if all of them do."""
    errors = send(receivers, [TEST] if is_test else decoded(sys.stdin.read()))
    for error in errors:
        print(error, file=sys.stderr)
    return int(is_test and bool(errors))


def _job(name: str, jobs: Mapping[str, Job]) -> Job:
    if name not in jobs:
        raise CronError(repr(name), "is not a job", f"the jobs: {', '.join(jobs)}")
    return jobs[name]


def _run_job(job: Job, scheduler: Scheduler) -> int:
    make_folder(scheduler.folder)
    ending = scheduler.run_now(job.name)
    if ending is None:
        raise CronError(job.name, "is running", "wait until it has ended: `python -m cron status`")
    if ending is Ending.REFUSED:
        return EXIT_REFUSED
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
