"""The one way of text that another process chose to a terminal or a log.

Another user chose a command line, a note or a name, and a false daemon chooses the text of its errors. An escape
sequence in such a text could move the cursor and draw a false table. A change of direction could show a name backwards,
and an invisible character could make two names look the same.
"""

from __future__ import annotations

#: The characters that `str.isprintable` refuses as it refuses controls, and that have an appearance: the wide spaces.
_SPACES = "\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
#: Letters and marks without an appearance: fillers, and selectors of variants.
_INVISIBLE = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0"
    + "".join(map(chr, range(0xFE00, 0xFE10)))
    + "".join(map(chr, range(0xE0100, 0xE01F0)))
)


def harmless(text: str) -> str:
    """Returns text for a terminal. Harmful characters, and bytes that are not UTF-8, are escaped.

    Text that passes twice is as text that passes once, because an escape has only harmless characters.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_spelled(character) if is_harmful(character) else character for character in text)


def is_harmful(character: str) -> bool:
    """Whether a terminal may do something other than show the character.

    These are control characters, and those that reorder, separate or hide text, that have no appearance of their own,
    or that this Python does not know.
    """
    return character in _INVISIBLE if character.isprintable() else character not in _SPACES


def _spelled(character: str) -> str:
    code = ord(character)
    # A surrogate stands for a byte that is not UTF-8.
    code = code - 0xDC00 if 0xDC80 <= code <= 0xDCFF else code
    return f"\\x{code:02X}" if code < 0x100 else f"\\u{{{code:04X}}}"
