"""`maclip doctor`: the checks of this machine and of its photo managers."""
