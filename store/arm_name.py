"""Names of experiments and their arms: they stand in headers, metrics and file names."""

import re
from typing import Final

ARM_NAME_RULE: Final = "use up to 40 of a-z, 0-9, dot, - and _, a letter or digit first"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")


def is_arm_name(value: object) -> bool:
    """Return whether a value can be the name of an experiment or an arm."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None
