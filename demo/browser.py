"""One logged-in person: keeps cookies, reads, edits a page of his own, and looks whether his words
are there."""

import asyncio
import html
import random
import re
import time
import urllib.parse

import wiki
from wire import Lost, Wire

HOST = "wiki.example"
SHARED_PAGES = ("start", "shared:one", "shared:two")
EDIT_SHARE = 0.15
FIELD = re.compile(rb'<input type="hidden" name="(\w+)" value="([^"]*)"')


class Interrupted(Exception):
    """The page did not come as it should; the user tries again after a moment."""


class Browser:
    def __init__(self, number, edge, tally, think_s):
        self.name, self.number = wiki.name(number), number
        self.tally, self.think_s = tally, think_s
        self.wire = Wire(*edge)
        self.cookies = {}
        self.random = random.Random(number)
        self.saved, self.edits = None, 0

    async def live(self, first_s):
        await asyncio.sleep(first_s)
        step = self.log_in
        while True:
            try:
                step = await step()
            except Interrupted:
                step = step if step == self.log_in else self.look_again
            await asyncio.sleep(self.random.uniform(0.5, 1.5) * self.think_s)

    def next(self):
        return self.edit if self.random.random() < EDIT_SHARE else self.read

    async def log_in(self):
        page = await self.get("start&do=login")
        form = fields(page, b"dw__login")
        form.update(u=self.name, p=wiki.password(self.number), id="start", do="login")
        answer = await self.ask("POST", "/doku.php?id=start", form)
        await self.follow(answer)
        return self.next()

    async def read(self):
        self.must_be_known(await self.get(self.random.choice(SHARED_PAGES)))
        return self.next()

    async def edit(self):
        form = fields(await self.get(f"user:{self.name}&do=edit"), b"dw__editform")
        if "sectok" not in form:
            self.tally.wrong(f"{self.name}: no edit form")
            raise Interrupted
        self.edits += 1
        token = f"token-{self.number}-{self.edits}"
        form.update(
            {"wikitext": f"===== {self.name} =====\n{token}\n", "summary": "", "do[save]": "1"}
        )
        # Until the answer is there nobody knows which words are on the page.
        self.saved = None
        answer = await self.ask("POST", f"/doku.php?id=user:{self.name}&do=edit", form)
        self.saved = token
        page = await self.follow(answer)
        self.must_show(page, "at once")
        return self.look_again

    async def look_again(self):
        """Later, perhaps from the other side: the last words this user saved must be there."""
        self.must_show(await self.get(f"user:{self.name}"), "later")
        return self.next()

    def must_show(self, page, when):
        self.must_be_known(page)
        if self.saved and f"{self.saved}\n".encode() not in page:
            self.tally.wrong(f"{self.name}: {self.saved} is not on the page {when}")

    def must_be_known(self, page):
        if b"do=logout" not in page:
            self.tally.wrong(f"{self.name}: logged out")
            raise Interrupted

    async def get(self, page):
        return (await self.ask("GET", f"/doku.php?id={page}")).body

    async def follow(self, answer):
        if answer.status not in (302, 303):
            return answer.body
        place = urllib.parse.urlsplit(answer.header("location"))
        return (await self.ask("GET", f"{place.path}?{place.query}")).body

    async def ask(self, method, target, form=None):
        headers = [("Host", HOST), ("User-Agent", "Mozilla/5.0 (demo)"), ("Accept", "text/html")]
        if self.cookies:
            headers.append(("Cookie", "; ".join(f"{k}={v}" for k, v in self.cookies.items())))
        body = b""
        if form is not None:
            body = urllib.parse.urlencode(form).encode()
            headers.append(("Content-Type", "application/x-www-form-urlencoded"))
        start = time.monotonic()
        try:
            answer = await self.wire.ask(method, target, headers, body)
        except Lost as why:
            self.tally.lost(f"page {method}", f"{target}: {why}")
            raise Interrupted from why
        served_by = answer.header("x-served-by")
        self.keep_cookies(answer)
        self.tally.answer("page", served_by, answer.status, time.monotonic() - start)
        self.tally.seen(self.number, served_by)
        if answer.status >= 400 or not served_by:
            raise Interrupted
        return answer

    def keep_cookies(self, answer):
        for line in answer.all("set-cookie"):
            pair, *attributes = line.split(";")
            name, _, value = pair.strip().partition("=")
            if any(a.strip().lower() == "max-age=0" for a in attributes):
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value


def fields(page, form):
    """The hidden fields of one form of a page."""
    start = page.find(b'<form id="' + form)
    found = FIELD.findall(page, start, page.find(b"</form>", start)) if start >= 0 else []
    return {key.decode(): html.unescape(value.decode()) for key, value in found}
