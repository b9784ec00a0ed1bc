"""Texts that break programs: each is valid Unicode, and none may break the server."""

import sys
import unicodedata


def one_of_every_category() -> list[str]:
    """A text of the first three characters of every Unicode category; surrogates are none in a text."""
    result: dict[str, str] = {}
    for code in range(sys.maxunicode + 1):
        kind = unicodedata.category(chr(code))
        if kind != "Cs" and len(result.get(kind, "")) < 3:
            result[kind] = result.get(kind, "") + chr(code)
    return list(result.values())


CONTROLS = [
    "\0", "a\0b", "\x01\x02\x03", "\x07\x08", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x7f", "\x80\x9f",
    "\x85",
    "\t", "\n", "\r", "\r\n", " ", "   \t\n", "a\r\nx-evil: yes", "line\vtab\fpage", "".join(map(chr,
    range(32))),
]  # fmt: skip
INVISIBLE = [
    "\ufeff", "\ufeffafter a mark", "\u200b", "zero\u200bwidth\u200cjoin\u200ders", "\u2060", "\u00ad",
    "\u180e",
    "\u2028", "\u2029", "\u00a0", "\u3000", "\u2800", "\u115f\u3164\uffa0", "\U000e0001\U000e0041\U000e007f",
    "\ufff9anchor\ufffanote\ufffb", "\ufffc", "\ufffd", "\uffff", "\ufdd0", "\U0010ffff", "\ue000\U000f0000",
]  # fmt: skip
DIRECTIONS = [
    "\u202eright to left", "\u202dleft\u202c", "\u2066isolated\u2069", "\u061c\u200e\u200f",
    "file\u202egnp.exe",
    "שלום hello مرحبا", "\u202a" * 200, "١٢٣ و ۴۵۶",
]  # fmt: skip
COMBINING = [
    "Z\u0351\u036b\u0343a\u0329\u0315l\u0306\u0344g\u0321\u0355o\u0334\u035d", "e" + "\u0301" * 1000,
    "\u0301", "\u0300\u0301\u0302" * 500, "\u1100\u1161\u11a8" * 100, "\u0e01" + "\u0e49" * 500,
    "a\u20dd", "\u0915\u094d\u0937\u093f", "\ufb2c\u0344\u1fb3", "ﷺ" * 100, "\u1d160", "\U0001d15e" * 50,
]  # fmt: skip
EMOJI = [
    "😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "👍🏽👍🏿", "1️⃣#️⃣", "🇺🇳🇺", "\u200d\u200d\u200d", "❤️‍🔥" * 100,
    "🧑🏻‍❤️‍💋‍🧑🏿", "\ufe0f\ufe0e", "🫠🪿",
]  # fmt: skip
LOOKALIKES = [
    "аррlе", "раураl.example", "Ηеllо", "ｆｕｌｌ　ｗｉｄｔｈ", "𝒻𝒶𝓃𝒸𝓎 𝕿𝖊𝖝𝖙", "ⓒⓘⓡⓒⓛⓔⓢ",
    "ıİiI", "ſß\u1e9eẞ", "ﬀﬁﬂﬃ",
    "Ω Ω", "K K", "Å Å", "½²³", "ᴛɪɴʏ", "∕/⁄", "Straße STRASSE",
]  # fmt: skip
SCRIPTS = [
    "田中さんにあげて下さい", "사회과학원", "Ελληνικά", "Русский", "हिन्दी", "ไทย", "ភាសាខ្មែរ",
    "አማርኛ", "ᚠᛇᚻ", "𐎠𐎡𐎢", "𠜎𠜱𠝹",
    "᠌ᠮᠣᠩᠭᠣᠯ", "မြန်မာ", "😀漢\u0301字",
]  # fmt: skip
INJECTIONS = [
    "'; DROP TABLE vectors; --", "1' OR '1'='1", '" OR ""="', "admin'/*", "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>", "]]><!--", "&lt;&#0;&amp;",
    "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]>",
    "{{7*7}}", "${7*7}", "#{7*7}", "<%= 7*7 %>", "{0.__class__}", "%s%n%x%d", "%(name)s", "{}", "{name}",
    "$(id)",
    "`id`", "; cat /etc/passwd", "| sleep 10", "../../../../etc/passwd", "..\\..\\boot.ini",
    "file:///etc/passwd",
    "http://169.254.169.254/", "${jndi:ldap://localhost/a}", "() { :; }; echo", "*)(uid=*", "=1+1", "@SUM(1)",
    "\\u0000", "\\x00", "%00", "%0d%0a", "\\", "\\\\\\\"", '"', "'", "`", "/", "//", "?", "#", "null\\0",
]  # fmt: skip
NUMBERS = [
    "0", "-0", "00012", "1e400", "-1e-400", "NaN", "-Infinity", "0x7fffffff", "9223372036854775808",
    "1" * 400,
    "1.0.0", "1,000.00", "1_000", "1/0", "٣", "Ⅷ", "∞", "-" * 100, "1e", "0b2",
]  # fmt: skip
WORDS = [
    "null", "None", "undefined", "true", "False", "nil", "[object Object]", "__proto__", "constructor",
    "CON", "PRN",
    "AUX", "NUL", "COM1", "LPT9", "con.txt", "clock$", ".", "..", "~", "-rf", "--help", "[]", "[1]",
    '["a"]', '{"input":1}',
]  # fmt: skip
SPECIAL_TOKENS = [
    "[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]", "[CLS][SEP]", "[unused0]", "##", "##ing", "[cls]",
    "[ CLS ]",
    "<s>", "</s>", "<pad>", "<unk>", "<mask>", "<|endoftext|>", "<|im_start|>", "▁", "Ġ", "Ċ", "[SEP]" * 600,
    "[MASK] [MASK]", "<0x00>", "[PAD]" * 100,
]  # fmt: skip
LONG = [
    "x" * 100_000, "ab " * 50_000, "a-" * 50_000, "漢" * 50_000, "\u0301" * 50_000, "😀" * 25_000,
    "." * 100_000,
    " " * 100_000 + "x", "\n" * 50_000, "\0" * 50_000, "[MASK]" * 20_000, "W" * 101, "w" * 99 + "é",
    "\u200b" * 50_000, "a\u0300" * 40_000, "1" * 100_000, "'" * 100_000,
]  # fmt: skip
NAUGHTY = [
    *CONTROLS, *INVISIBLE, *DIRECTIONS, *COMBINING, *EMOJI, *LOOKALIKES, *SCRIPTS, *INJECTIONS, *NUMBERS,
    *WORDS,
    *SPECIAL_TOKENS, *LONG, *one_of_every_category(),
]  # fmt: skip

HALVES = [
    r'"\ud800"', r'"\udfff"', r'"\ud800\ud800"', r'"\udc00\ud800"', r'"a\ud83d"', r'"\ud83dz"',
]  # fmt: skip
"""JSON strings with half of a surrogate pair, which JavaScript's ``slice`` makes."""
NO_JSON = [
    r'"\u12"', r'"\x41"',
    r'"\0"', '"\0"', '"\n"', '"\x1f"', "'a'", '"a', "NaN", "Infinity", "-Infinity", "undefined", "0x1",
    "01", "1.",
    ".5", "+1", "1e", "[1,]", "[,1]", '["a" "b"]', '{"a":1,}', "/**/1", "tru", "nulll", "[", "]", "{", "",
]  # fmt: skip
"""What stands for an input and is not JSON; the body is a 400."""
