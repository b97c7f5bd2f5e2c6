"""Texts of several lines whose lines are private only together: JSON, YAML, XML, tables, X12, DICOM, keys.

`lines.Lines` reads a stream's lines as they come and remembers what they are part of, never the lines; `lines.whole` does the same for a
text that is there whole. One search says that a text has nothing of the kind (`redaction.begins.BEGINS`).
"""
