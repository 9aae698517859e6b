"""How memory is managed in the processes that decode photos."""

from __future__ import annotations

ENVIRONMENT = {
    # glibc returns every block above 128 KiB to the system at once; the next photo then waits for pages that
    # are zeroed again, a tenth of its time. Large blocks still go back: the address space is limited.
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
}
