"""What a terminal shows after a program has written to it, as plain lines."""

from __future__ import annotations

import re

CONTROL = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b\](?:.*?)(?:\x07|\x1b\\)|([\r\n\b])", re.DOTALL)


class TerminalScreen:
    """The lines of a terminal: text, carriage returns, and the movements that progress bars use."""

    def __init__(self) -> None:
        self._lines: list[str] = [""]
        self._row = 0
        self._column = 0

    @property
    def lines(self) -> list[str]:
        """Return all lines so far, without the empty ones at the end."""
        lines = [line.rstrip() for line in self._lines]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def before_cursor(self) -> str:
        """Return the cursor's line up to the cursor, spaces at its end included."""
        return self._lines[self._row].ljust(self._column)[: self._column]

    def feed(self, text: str) -> None:
        """Show what a program wrote."""
        position = 0
        for match in CONTROL.finditer(text):
            self._write(text[position : match.start()])
            position = match.end()
            if match[3] is not None:
                self._move(match[3])
            elif match[2] is not None:
                self._obey(match[2], match[1])
        self._write(text[position:])

    def _write(self, text: str) -> None:
        line = self._lines[self._row].ljust(self._column)
        self._lines[self._row] = line[: self._column] + text + line[self._column + len(text) :]
        self._column += len(text)

    def _move(self, character: str) -> None:
        if character == "\r":
            self._column = 0
        elif character == "\b":
            self._column = max(0, self._column - 1)
        else:
            self._row += 1
            self._column = 0
            if self._row == len(self._lines):
                self._lines.append("")

    def _obey(self, letter: str, parameters: str) -> None:
        if letter == "A":
            self._row = max(0, self._row - int(parameters or 1))
        elif letter == "K":
            line = self._lines[self._row]
            self._lines[self._row] = "" if parameters == "2" else line[: self._column]
