"""Runs of mail taken apart: what of a queue a test asks for is mostly each message."""
from collections.abc import Iterable

from store.mail import Mail
from store.mail import singles as of_one


def ids(mails: Iterable[Mail]) -> list[int]:
    return [id for mail in mails for id in range(mail.id, mail.last + 1)]


def singles(mails: Iterable[Mail]) -> list[Mail]:
    return [single for mail in mails for single in of_one(mail)]


def texts(mails: Iterable[Mail]) -> list[bytes]:
    return [text for mail in mails for text in mail.texts]
