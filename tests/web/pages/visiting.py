"""Who comes to the pages, and what is seen there."""

import re
from html.parser import HTMLParser

from twilio_campaigns.web.pages.visitors import AnonymousError

#: The run of `told_run`.
RUN = "spring/2026-11-20"
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
HTML = {"Accept": "text/html"}


class SomeVisitor:
    """Somebody who may do what the test says."""

    def __init__(self, name="ada", reads=None, steers=True, edits=True):
        self.name = name
        self._reads = reads
        self._steers = steers
        self._edits = edits

    def readable(self, dag_ids):
        return {dag_id for dag_id in dag_ids if self._reads is None or dag_id in self._reads}

    def may_steer(self, dag_id):
        return self._steers

    def edits_connections(self):
        return self._edits


class SomeLogin:
    """A door at which one visitor stands, or nobody."""

    def __init__(self, visitor):
        self._visitor = visitor

    async def visitor(self, request):
        if self._visitor is None:
            raise AnonymousError
        return self._visitor

    def login_url(self, request):
        return f"/login?next={request.scope['path']}"


class Seen(HTMLParser):
    """A page as its reader sees it."""

    def __init__(self, answer):
        super().__init__()
        self.status = answer.status_code
        self.headers = answer.headers
        self.url = answer.url
        self.html = answer.text
        self.links, self.tags, self._hidden = [], [], 0
        self._words = []
        self.feed(answer.text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "a":
            self.links.append(dict(attrs)["href"])

    def handle_data(self, data):
        self._words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self._words))

    def row(self, head):
        """The cells of the table row that begins with these words, as text."""
        for row in re.findall(r"<tr>(.*?)</tr>", self.html, re.DOTALL):
            cells = [re.sub(r"<[^>]+>", " ", cell) for cell in re.split(r"</t[hd]>", row)]
            cells = [re.sub(r"\s+", " ", cell).strip() for cell in cells]
            if cells[0] == head:
                return cells[1:-1]
        raise AssertionError(f"no row {head!r}")


class Browser:
    def __init__(self, client):
        self.client = client

    def get(self, path, **query):
        return Seen(self.client.get(f"/twilio{path}", params=query or None))

    def post(self, path, headers=SAME_ORIGIN, **fields):
        return Seen(self.client.post(f"/twilio{path}", data=fields, headers=headers))
