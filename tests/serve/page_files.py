"""What other processes leave for the page `/status`, written by their own code.

leave_files(folder)    -> folder/events, folder/cron, folder/online, an experiment in the store
paths(folder)          -> the settings that name them, as environment
"""

from datetime import UTC, datetime

from cron.alarms import Alarms, Condition
from cron.child import Ending
from cron.jobs import Job
from cron.settings import CronSettings
from cron.state import JobState, state_file, write_state
from cron.status_file import StatusFile
from store.arms import start_experiment
from stream.experiments.figures import ArmComparison, ArmFigures, ArmGuardrail, ExperimentFigures
from stream.experiments.looks import ExperimentLook, identity_of, keep_look, looking
from stream.experiments.statistics.compare import Comparison
from stream.experiments.statistics.guardrail import GuardrailResult
from tests.experiments import experiment_of
from tests.stream.collecting import collect_all, made_lines, opened

ALARM_TEXT = "2 suspects <script>alert(1)</script>"


def paths(folder):
    """Return the settings that name the directories, as environment of a server."""
    return {
        "MARQUEE_STREAM_EVENTS": str(folder / "events"),
        "MARQUEE_CRON_PATH": str(folder / "cron"),
        "MARQUEE_ONLINE_PATH": str(folder / "online"),
    }


def leave_files(folder, n_looks=3):
    """Leave the files of a collector, a scheduler with an alarm, and an experiment with looks."""
    log = folder / "events.log"
    log.write_bytes(b"\n".join(made_lines(50)) + b"\n")
    with opened(folder, [log]) as (collector, _):
        collect_all(collector)
        collector.flush()
        collector._status_at = 0.0
        collector.step()
    now = datetime.now(UTC)
    cron = CronSettings(path=str(folder / "cron"))
    (folder / "cron").mkdir()
    began = JobState(last_success=now, began=now, ending=Ending.SUCCEEDED, status=0, seconds=42.0)
    write_state(state_file(folder / "cron", "refresh"), began)
    StatusFile(cron, {"refresh": Job(("true",), at="03:30", name="refresh")}).update(now)
    Alarms(folder / "cron" / "ALARMS").update([Condition("attack", 1, ALARM_TEXT)], now)
    experiment = experiment_of(2, 1, name="ials")
    start_experiment(folder / "store", experiment, "made by a test")
    with looking(folder / "online"):
        for number in range(1, n_looks + 1):
            keep_look(folder / "online", experiment, look(experiment, number / n_looks))
    return experiment


def look(experiment, elapsed):
    """Return a look whose interval narrows to +0.05 ± 0.04."""
    width = 0.04 / elapsed
    found = Comparison(0.25, 0.3, 0.05, 0.05 - width, 0.05 + width, 0.2, 0.04, 0.36, 0.01, 400, 410,
                       "higher" if width < 0.05 else "n.s.")  # fmt: skip
    verdict = "better" if width < 0.05 else "n.s."
    arms = [ArmFigures("control", 400, 900, 0.25, 0.22, 0.28, 0.0),
            ArmFigures("treatment", 410, 950, 0.3, 0.27, 0.33, 0.0)]  # fmt: skip
    rail = ArmGuardrail("treatment", "availability", 0.02, GuardrailResult("clear", 0.0, 0.0, 0.0))
    figures = ExperimentFigures(
        until="2026-03-04T21:02:20", elapsed=elapsed, n_planned=5000, is_higher_better=True,
        arms=arms,
        comparisons=[ArmComparison("treatment", found, True, 4.8, 0.001, 600.0, verdict)],
        preference=None, guardrails=[rail], sample_ratio_p=0.8,
    )  # fmt: skip
    return ExperimentLook(
        experiment=identity_of(experiment), at=figures.until, elapsed=elapsed, n_planned=5000,
        n_users=[400, 410], information={"treatment": 600.0}, verdicts={"treatment": verdict},
        outcome="continued" if verdict == "n.s." else "decided", figures=figures.as_json(),
        why="no decision yet" if verdict == "n.s." else "“treatment” is better in click-through",
    )  # fmt: skip
