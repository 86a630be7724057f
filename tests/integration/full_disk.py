# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""A disk that takes nothing more, without one: subprocess.run(..., **FULL_DISK). Writing to a regular file fails, pipes and devices work."""
import resource
import signal


def fill_disk():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


FULL_DISK = {"preexec_fn": fill_disk, "restore_signals": False}     # Python would give SIGXFSZ back its deadly default
