# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Opens files that somebody else made. A FIFO would be waited for and a device has no end: both are refused in words."""
import os
import stat


def open_bounded(path, most):
    """A binary file to read from: an ordinary one of at most `most` bytes, or an OSError says what was found."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise OSError("expected an ordinary file, found " + ("a folder" if stat.S_ISDIR(about.st_mode) else "a device, FIFO or socket"))
        if about.st_size > most:
            raise OSError(f"expected a file of at most {most} bytes, found {about.st_size}")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bounded(path, most):
    """All bytes that such a file has when it is opened."""
    with open_bounded(path, most) as file:
        return file.read(os.fstat(file.fileno()).st_size)
