"""Personal columns, whose values Faker makes up, so that new rows hold no person of the training rows."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any
from unicodedata import normalize

import numpy as np
from jaxtyping import Int

from pointillist.columns.generated import GeneratedColumn
from pointillist.lazy import pa
from pointillist.tables.table import kind_of

INSTALL = "pip install faker"
"""How to install Faker."""

_PERSONS = 2**16
"""Number of persons that are kept in memory."""


_OF_PERSON = {
    "name": ("names", "{first} {last}"),
    "first_name": ("first names", "{first}"),
    "last_name": ("last names", "{last}"),
    "email": ("e-mail addresses", "{user}{number}@{domain}"),
}
_OTHERS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "phone": ("phone numbers", lambda faker: faker.phone_number()),
    "street": ("streets", lambda faker: faker.street_address()),
    "address": ("addresses", lambda faker: faker.address().replace("\n", ", ")),
    "company": ("companies", lambda faker: faker.company()),
    "iban": ("IBANs", lambda faker: faker.iban()),
}

CONTENTS: dict[str, str] = {name: text for name, (text, _) in (*_OF_PERSON.items(), *_OTHERS.items())}
"""What personal columns hold, by the names of the contents."""


@dataclass(frozen=True, kw_only=True)
class Personal(GeneratedColumn):
    """Values that Faker makes up. The names and the e-mail address of a row belong to one person.

    Attributes:
        content: What the column holds, one of `CONTENTS`.
        locale: Language and country of the values, like "de_DE".
        is_unique: Whether e-mail addresses hold their index, so that all of them differ.
    """

    content: str
    locale: str = "en_US"
    is_unique: bool = False

    kind = "personal"
    is_key = False

    def __post_init__(self) -> None:
        if self.content not in CONTENTS:
            raise ValueError(f"personal columns hold {', '.join(CONTENTS)}, not {self.content!r:.60}")
        if not isinstance(self.locale, str) or not re.fullmatch("[a-z]{2,3}_[A-Z]{2}", self.locale):
            raise ValueError(f"a locale is written as 'de_DE', not {self.locale!r:.60}")
        if self.is_unique and self.within:
            raise ValueError("values that rows share cannot be unique")
        if type(self.is_unique) is not bool or (self.is_unique and self.content != "email"):
            raise ValueError(f"{CONTENTS[self.content]} cannot be unique, only e-mail addresses can")

    @property
    def text(self) -> str:
        return f"{CONTENTS[self.content]} by Faker, {self.locale}"

    def count(self, kind: "pa.DataType") -> None:
        if kind_of(kind) != "category":
            raise self.refused(kind)

    def prepare(self) -> None:
        check_faker(self.locale)

    def values(self, indices: Int[np.ndarray, " n"], seed: int) -> np.ndarray:
        # An array of Python's text, because the longest value may be far longer than the others.
        return np.array([*(self._value(index, seed) for index in indices.tolist()), None], object)[:-1]

    def _value(self, index: int, seed: int) -> str:
        if self.content in _OTHERS:
            return _OTHERS[self.content][1](_seeded(self.locale, self.salt, seed, index))
        # A name has no digits, so that all addresses with numbers differ.
        number = index + 1 if self.is_unique else ""
        return _OF_PERSON[self.content][1].format(**_person(self.locale, seed, index), number=number)


def has_faker() -> bool:
    """Whether Faker is installed."""
    return find_spec("faker") is not None


def check_faker(locale: str) -> None:
    """Raises a ValueError, with the way out, if Faker is not installed or lacks a locale."""
    try:
        _faker(locale)
    except ImportError as error:
        raise ValueError(f"personal columns need Faker: {INSTALL}") from error
    except AttributeError as error:
        raise ValueError(f"Faker has no locale {locale!r}: take one like 'en_US', 'de_DE' or 'fr_FR'") from error


@lru_cache
def _faker(locale: str) -> Any:
    from faker import Faker

    return Faker(locale)


def _seeded(locale: str, salt: int, seed: int, index: int) -> Any:
    faker = _faker(locale)
    faker.seed_instance((salt << 128) | (seed % 2**64 << 64) | index)
    return faker


@lru_cache(_PERSONS)
def _person(locale: str, seed: int, index: int) -> dict[str, str]:
    """The names of a person, the local part of an e-mail address, and its domain, which is for examples (RFC 2606)."""
    faker = _seeded(locale, 0, seed, index)
    first, last = faker.first_name(), faker.last_name()
    # Accents become separate characters, which are left out.
    parts = [re.sub("[^a-z]", "", normalize("NFKD", text.casefold())) for text in (first, last)]
    # Names in other letters than Latin ones leave nothing.
    user = ".".join(parts) if all(parts) else re.sub("[^a-z.]", "", faker.user_name()) or "someone"
    return {"first": first, "last": last, "user": user, "domain": faker.safe_domain_name()}
