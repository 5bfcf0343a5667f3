"""Memory: kept between steps."""

import ctypes
import platform

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4  # names of mallopt(3)
TOP_UP = 256 * 2**20


def keep() -> None:
    """Let glibc keep what it has got from the system. Elsewhere nothing is changed.

    It gives large blocks back as soon as they are free, and the system hands them out again page by page, wiped: for
    slim at 512 px a tenth of each step.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        for name, value in ((MMAP_MAX, 0), (TRIM_THRESHOLD, -1), (TOP_PAD, TOP_UP)):
            library.mallopt(name, value)
