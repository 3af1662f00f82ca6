"""The ``orcapod`` command: each command is a file of its own, which is loaded when the command is called."""
