"""Every error that stepsize raises on purpose.

* StepsizeError
    x UsageError            what was asked is wrong; the caller can mend it            (exit code 2)
      · ConfigError         a configuration file, setting or environment variable
    x PermanentError        will fail again however often it is tried                  (exit code 1)
      · DataError           bytes, rows or files that cannot be what they claim to be
      · LakeError           a data directory that cannot be used as it is
    x RetryableError        may succeed later                                          (exit code 1)
      · UnavailableError    a collector, agent or lock that is not free or not there
        · BusyError         somebody else is at the same work                         (exit code 75)

A message is one line that says what is wrong and what to do about it. Nothing else in the project ends a
command with a traceback: an exception that is not a ``StepsizeError`` is a defect.
"""

from __future__ import annotations


class StepsizeError(Exception):
    """Base of all; ``exit_code`` is what the command line ends with."""

    exit_code = 1


class UsageError(StepsizeError):
    """What was asked is wrong: an unknown option, flow, size or value."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration file, setting or environment variable is wrong."""


class PermanentError(StepsizeError):
    """Will fail again however often it is tried."""


class DataError(PermanentError):
    """Bytes, rows or files that cannot be what they claim to be."""


class LakeError(PermanentError):
    """A data directory that cannot be used as it is."""


class RetryableError(StepsizeError):
    """May succeed later."""


class UnavailableError(RetryableError):
    """A collector, agent or lock that is not free or not there."""


class BusyError(UnavailableError):
    """Somebody else is at the same work: nothing is wrong, and nothing was done."""

    exit_code = 75  # EX_TEMPFAIL of BSD's sysexits.h: schedulers can tell it from a failure
