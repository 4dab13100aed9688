"""HTTP/1.1 as a browser speaks it: one kept connection at a time, and a clear word for every way to
lose an answer."""

import asyncio
import dataclasses

HEAD_LIMIT = 64 * 1024


class Lost(Exception):
    """No complete answer came: refused, closed, cut short or too late."""


@dataclasses.dataclass
class Answer:
    status: int
    headers: list
    body: bytes

    def header(self, name, default=""):
        return next((value for key, value in self.headers if key == name), default)

    def all(self, name):
        return [value for key, value in self.headers if key == name]


class Wire:
    """A connection that is opened when needed and kept while both ends agree."""

    def __init__(self, host, port, timeout_s=20):
        self.host, self.port, self.timeout_s = host, port, timeout_s
        self.reader = self.writer = None

    async def ask(self, method, target, headers, body=b""):
        try:
            return await asyncio.wait_for(
                self.exchange(method, target, headers, body), self.timeout_s
            )
        except Lost:
            self.close()
            raise
        except asyncio.TimeoutError:
            self.close()
            raise Lost(f"no complete answer in {self.timeout_s} s") from None
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            self.close()
            raise Lost(f"{type(error).__name__}: {error}") from error

    async def exchange(self, method, target, headers, body):
        if self.writer is None or self.reader.at_eof():
            self.close()
            self.reader, self.writer = await asyncio.open_connection(
                self.host, self.port, limit=HEAD_LIMIT
            )
        lines = [f"{method} {target} HTTP/1.1", *(f"{key}: {value}" for key, value in headers)]
        if body or method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        answer = await self.read_answer(method)
        if answer.header("connection").lower() == "close":
            self.close()
        return answer

    async def read_answer(self, method):
        while True:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            status = int(head[0].split(" ", 2)[1])
            if status >= 200:
                break
        pairs = (line.partition(":") for line in head[1:] if line)
        answer = Answer(status, [(key.lower(), value.strip()) for key, _, value in pairs], b"")
        if method != "HEAD" and status not in (204, 304):
            answer.body = await self.read_body(answer)
        return answer

    async def read_body(self, answer):
        if answer.header("transfer-encoding").lower() == "chunked":
            return await self.read_chunks()
        length = answer.header("content-length")
        if length:
            return await self.reader.readexactly(int(length))
        raise Lost("an answer without a length could end anywhere")

    async def read_chunks(self):
        parts = []
        while True:
            size = int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16)
            if size == 0:
                while await self.reader.readuntil(b"\r\n") != b"\r\n":
                    pass
                return b"".join(parts)
            parts.append(await self.reader.readexactly(size))
            await self.reader.readexactly(2)

    def close(self):
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None
