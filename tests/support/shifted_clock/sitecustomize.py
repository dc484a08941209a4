"""A process whose clock is wrong: by SHIFTED_BY seconds, for all that ask time.time(). For PYTHONPATH."""

import os
import time

_by, _right = float(os.environ["SHIFTED_BY"]), time.time
time.time = lambda: _right() + _by
