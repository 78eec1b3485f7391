"""Writes bucketing.json: buckets computed without any of Headgate's code.

    python3 -m venv .venv && .venv/bin/pip install xxhash==4.1.0
    .venv/bin/python tests/conformance/bucketing.py

The package binds the reference implementation of XXH3 in C. Running it again writes the same bytes.
"""

import json
import pathlib

import xxhash

BUCKETS = 100_000
SLOTS = [1, 2, 3, 7, 10, 100, 1_000, 65_536, 1_000_000, 2**32 - 1]
SALTS = ["checkout", "9f2c41d07ab35e68", "größe-ñ-漢字-🚀", "a/b", "s", "x" * 128]
UNITS = [
    # Lengths around every branch of XXH3: 1-3, 4-8, 9-16, 17-128, 129-240, above.
    "u", "ab", "abc", "abcd", "12345678", "user-0001", "0123456789abcdef", "0123456789abcdefg",
    "7f8c2f9e-5d0b-4a8e-9f43-0c6a1f2b3d4e", "k" * 128, "k" * 129, "k" * 240, "k" * 241, "k" * 256,
    "long-" + "0123456789" * 103, "Zürich",
    # Digits, as whole numbers are hashed.
    "0", "7", "42", "1000000", "-1", "-9223372036854775808", "9223372036854775807",
    # Nearly nothing, and texts that look alike.
    " ", "\u0000", "\t", "\n", "null", "u ", "U", "é", "e\u0301", "\ufeffu",
    # Other scripts, and characters outside the basic plane.
    "ユーザー", "пользователь", "مستخدم", "👩‍👩‍👧‍👦", "𝒰", "first.last+tag@mail.example",
]


def hash_of(salt: str, purpose: str, unit: str) -> int:
    seed = xxhash.xxh3_64_intdigest(f"{salt}/{purpose}".encode())
    return xxhash.xxh3_64_intdigest(unit.encode(), seed=seed)


def vector(salt: str, purpose: str, unit: str) -> dict:
    digest = hash_of(salt, purpose, unit)
    return {
        "salt": salt,
        "purpose": purpose,
        "unit": unit,
        "hash": str(digest),
        "bucket": digest * BUCKETS >> 64,
        "slots": {str(count): digest * count >> 64 for count in SLOTS},
    }


def main() -> None:
    vectors = [
        vector(salt, purpose, unit)
        for unit in UNITS
        for salt in (SALTS if unit in ("u", "Zürich") else SALTS[:2])
        for purpose in ("share", "variant")
    ]
    head = {
        "about": "XXH3-64 buckets of units; see README.md",
        "generator": f"xxhash {xxhash.VERSION} of Python, around xxHash {xxhash.XXHASH_VERSION}",
        "buckets": BUCKETS,
    }
    # One vector a line: small differences when something is added.
    lines = ",\n".join("    " + json.dumps(each, ensure_ascii=False) for each in vectors)
    text = json.dumps(head, ensure_ascii=False, indent=2)[:-2] + ',\n  "vectors": [\n' + lines + "\n  ]\n}\n"
    json.loads(text)
    pathlib.Path(__file__).with_suffix(".json").write_text(text, encoding="utf-8")
    print(f"{len(vectors)} vectors")


if __name__ == "__main__":
    main()
