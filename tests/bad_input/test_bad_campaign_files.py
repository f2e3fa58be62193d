"""Campaign files as people save them: one broken file is one error, and the good one beside it loads."""

import os
import re

import pytest
from typer.testing import CliRunner

from bad_input.checks import SECRET, assert_clear
from twilio_campaigns.cli import app
from twilio_campaigns.domain.campaign_files import load_campaigns

GOOD = """\
sender: texts
segment:
  query: select 1
message:
  body: Hello dear reader {{ first_name }}
"""
SENDERS = """\
texts:
  messaging_service_sid: MG0123456789abcdef0123456789abcdef
pictures:
  channel: mms
  from_number: "12345"
"""
BODY = "body: Hello dear reader {{ first_name }}"
HX = "content_sid: HX0123456789abcdef0123456789abcdef"


def plus(line):
    """The good file with one further line, its sixth."""
    return f"{GOOD}{line}\n"


def body(text):
    """The good file with another line 5."""
    return GOOD.replace(BODY, text)


def segment(text):
    """The good file with another line 3."""
    return GOOD.replace("query: select 1", text)


#: What is wrong, how the file looks, and how its problems begin.
BAD = {
    # Encodings and bytes.
    "UTF-16 with its mark": (GOOD.encode("utf-16"), "1: the file is not UTF-8."),
    "UTF-16 without its mark": (GOOD.encode("utf-16-le"), "1: the file contains the character #x0000."),
    "Latin-1": (plus("description: Frühling").encode("latin-1"), "6: the file is not UTF-8."),
    "NUL": (b"sender: \0texts\n", "1: the file contains the character #x0000."),
    "NUL by its escape": (body('body: "dear reader\\0"'), "5: message.body: holds the character U+0000"),
    "an emoji as JSON escapes it": (
        body('body: "dear reader \\ud83d\\ude00"'),
        "5: message.body: holds the character U+D83D",
    ),
    "NUL in a list": (plus('tags: ["a\\0"]'), "6: tags: holds the character U+0000"),
    "NUL in a query": (segment('query: "select 1 \\0 where opted_in"'), "3: segment.query: holds the character U+0000"),
    "no-break spaces as indent": (
        GOOD.replace("  body", "\u00a0\u00a0body"),
        "4: message: ",
        "5: the key '\\xa0\\xa0body' has characters that nobody sees.",
    ),
    "zero-width space in a key": (plus("schedule\u200b: '@daily'"), "6: the key 'schedule\\u200b' has characters"),
    "empty": ("", "1: the file is empty."),
    "white space": (" \r\n\r\n", "1: the file is empty."),
    "two megabytes": ("# recipients\n" * 200_000, "1: the file is longer than 1 MB."),
    # No YAML, or YAML that nobody means.
    "an error page of a web server": ("<html><body>404</body></html>", "1: the file is not a mapping."),
    "a conflict of git": (plus("<<<<<<< HEAD\nbatch_size: 5\n======="), "7: the file is not YAML:"),
    "tab": (plus("audience:\n\tmax_parts: 3"), "7: a tab stands where YAML wants spaces."),
    "colon without space": (GOOD.replace("sender: ", "sender:"), "2: the file is not YAML: an unexpected colon."),
    "key twice": (plus("sender: pictures"), "6: sender: the key stands here again; first on line 1."),
    "billion laughs": ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "2: aliases are not supported."),
    "code": (plus(f"tags: !!python/object/apply:os.system [{SECRET}]"), "6: tags: the tag !!python/object"),
    "two documents": (plus("---\nsender: texts"), "6: the file holds more than one document."),
    "deep": (plus("tags: " + "[" * 3000), "1: the file is nested too deeply."),
    # Keys.
    "capital key": (GOOD.replace("sender", "Sender"), "1: Sender: the key is not known. Did you mean 'sender'", "1: s"),
    "near name": (plus("max_latenes: 2h"), "6: max_latenes: the key is not known. Did you mean 'max_lateness'?"),
    "secret in the file": (plus(f"auth_token: {SECRET}"), "6: auth_token: the key is not known."),
    "number as key": (plus("1: 2"), "6: 1: the key is not known."),
    # Sender.
    "sender with curly quotes": (
        GOOD.replace("texts", "“texts”"),
        "1: sender: include/senders.yaml has no profile '“texts”'. Did you mean 'texts'?",
    ),
    "unknown sender": (GOOD.replace("texts", "fax"), "1: sender: include/senders.yaml has no profile 'fax'. Name one"),
    "list of senders": (GOOD.replace("texts", "[texts, pictures]"), "1: sender: the sender is not a name."),
    # Segment.
    "sql that is a loop of links": (segment("sql: segments/loop.sql"), "3: segment.sql: 'segments/loop.sql' is a link"),
    "sql in UTF-16 without its mark": (
        segment("sql: segments/utf16.sql"),
        "3: segment.sql: 'segments/utf16.sql' is not UTF-8.",
    ),
    "sql with a name that is too long": (segment(f"sql: {'x' * 300}.sql"), "3: segment.sql: 'xxx"),
    "sql that links nowhere": (segment("sql: segments/lost.sql"), "3: segment.sql: 'segments/lost.sql' does not exist"),
    "no query": (segment("query:"), "2: segment: the segment has no source."),
    "query and file": (segment("query: select 1\n  file: a.csv"), "2: segment: the segment needs exactly one source."),
    "Excel": (segment("file: segments/vip.xlsx"), "3: segment.file: 'segments/vip.xlsx' is not a file of this kind."),
    # Message.
    "two words in braces": (body("body: dear reader {{ first name }}"), "5: message.body: the template is wrong:"),
    "comment without end": (body("body: 'dear reader {# later'"), "5: message.body: the template is wrong:"),
    "braces alone": (body("body: {{ first_name }}"), "5: message.body: a key is not a plain word."),
    "loop in a loop": (
        body("body: '{% for a in x %}{% for b in x %}dear reader{% endfor %}{% endfor %}'"),
        "5: message.body: a loop cannot contain a loop.",
    ),
    "list as body": (body("body: [dear reader]"), "5: message.body: is not a text."),
    "yes as body": (body("body: yes"), "5: message.body: YAML takes yes for true or false."),
    "content variables as JSON text": (
        body(f'{HX}\n  content_variables: \'{{"1": "dear reader"\''),
        "6: message.content_variables: is not a mapping.",
    ),
    "media without scheme": (
        body("media_urls: [example.com/a.jpg]").replace("texts", "pictures"),
        "5: message.media_urls[0]: 'example.com/a.jpg' is not a web address.",
    ),
    "eleven media": (
        body(f"media_urls: [{', '.join(['https://example.com/a.jpg'] * 11)}]").replace("texts", "pictures"),
        "5: message.media_urls: has 11 entries; 10 are the most.",
    ),
    # Times and figures.
    "six cron fields": (plus("schedule: 0 0 9 * * 1"), "6: schedule: '0 0 9 * * 1' is not a cron expression."),
    "cron in curly quotes": (plus("schedule: “0 9 * * 1”"), "6: schedule: '“0 9 * * 1”' is not a cron expression"),
    "None of Python": (plus("schedule: None"), "6: schedule: 'None' is not a cron expression."),
    "minutes as schedule": (plus("schedule: 60"), "6: schedule: YAML takes 60 for a number."),
    "abbreviated time zone": (plus("timezone: CEST"), "6: timezone: 'CEST' is not an IANA time zone."),
    "offset as time zone": (plus("timezone: +01:00"), "6: timezone: '+01:00' is not an IANA time zone."),
    "time as date": (plus("start_date: 09:00"), "6: start_date: '09:00' is not a date and time."),
    "date of the United States": (plus("start_date: 03/01/2027"), "6: start_date: '03/01/2027' is not a date"),
    "first day of all, in the east": (
        plus("start_date: 0001-01-01\ntimezone: Asia/Tokyo"),
        "6: start_date: the year 1 of UTC is none of 1900 to 2999. Write one such as 2027-03-01T09:00:00.",
    ),
    "last moment of all, in the west": (
        plus("start_date: 9999-12-31T23:59:59\ntimezone: America/New_York"),
        "6: start_date: the year 9999 of UTC is none of",
    ),
    "a day that is in the year before in UTC": (
        plus("start_date: 1900-01-01\ntimezone: Asia/Tokyo"),
        "6: start_date: the year 1899 of UTC is none of",
    ),
    "date without dashes in quotes": (
        plus("start_date: '20270301'"),
        "6: start_date: '20270301' is not a date and time. Write one such as 2027-03-01T09:00:00.",
    ),
    "number in quotes as date": (plus("start_date: '1.5'"), "6: start_date: '1.5' is not a date and time."),
    "number with a sign as date": (plus("start_date: '-5'"), "6: start_date: '-5' is not a date and time."),
    "clock as duration": (plus("max_lateness: 1:30"), "6: max_lateness: YAML takes 1:30 for the number 90."),
    "leading zero": (plus("batch_size: 010"), "6: batch_size: YAML takes 010 for the number 8."),
    "hexadecimal": (plus("batch_size: 0x10"), "6: batch_size: YAML takes 0x10 for the number 16."),
    "duration where seconds belong": (plus("validity_period: 1h"), "6: validity_period: '1h' is not a whole number."),
    "not a number": (plus("batch_size: .nan"), "6: batch_size: .nan is not a whole number."),
    "a number of 5,000 digits": (plus(f"batch_size: {'9' * 5000}"), "6: batch_size: 999"),
    "country by its name": (plus("audience: {default_region: Germany}"), "6: audience.default_region: 'Germany' is"),
}


@pytest.fixture
def include(tmp_path):
    """An include folder with one good campaign."""
    folder = tmp_path / "include"
    (folder / "campaigns").mkdir(parents=True)
    (folder / "segments").mkdir()
    (folder / "segments" / "loop.sql").symlink_to("loop.sql")
    (folder / "segments" / "lost.sql").symlink_to("nowhere.sql")
    (folder / "segments" / "utf16.sql").write_bytes("select 1".encode("utf-16-le"))
    (folder / "senders.yaml").write_text(SENDERS, "utf-8")
    (folder / "campaigns" / "good.yaml").write_text(GOOD, "utf-8")
    return folder


def write(include, content, name="bad.yaml"):
    (include / "campaigns" / name).write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize(("content", "expected"), [(bad[0], bad[1:]) for bad in BAD.values()], ids=BAD)
def test_a_broken_file_is_one_clear_error_and_hides_no_other(include, content, expected):
    write(include, content)
    campaigns, (error,) = load_campaigns(include)
    assert [campaign.campaign_id for campaign in campaigns] == ["good"]
    assert len(error.problems) == len(expected), error.problems
    for problem, start in zip(error.problems, expected, strict=True):
        assert problem.startswith(f"include/campaigns/bad.yaml:{start}"), problem
        assert_clear(problem)


@pytest.mark.parametrize("name", ["UTF-16 with its mark", "NUL by its escape", "near name", "six cron fields", "tab"])
def test_the_command_line_says_the_same_and_names_the_good_one(include, name, monkeypatch):
    monkeypatch.chdir(include.parent)
    content, expected = BAD[name]
    write(include, content)
    result = CliRunner().invoke(app, ["validate", "--include", str(include)])
    assert result.exit_code == 1
    assert result.stdout == "good: ok\n"
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"include/campaigns/bad.yaml:{expected}")
    assert_clear(line)


@pytest.mark.parametrize(
    "name",
    ["Spring.yaml", "spring sale.yaml", "spring-sale.yaml", "spring.yaml.yaml", "früh.yaml", f"{'a' * 101}.yaml"],
)
def test_a_file_name_that_makes_no_campaign_id_is_named(include, name):
    write(include, GOOD, name)
    campaigns, (error,) = load_campaigns(include)
    assert [campaign.campaign_id for campaign in campaigns] == ["good"]
    assert_clear(str(error), f"include/campaigns/{name}:1: campaign_id: ", "lower-case letters")


def test_a_link_that_leads_nowhere_is_an_error_of_its_own(include):
    (include / "campaigns" / "bad.yaml").symlink_to("nowhere.yaml")
    (good,), (error,) = load_campaigns(include)
    assert good.campaign_id == "good"
    assert_clear(str(error), "include/campaigns/bad.yaml:1: the file does not exist")


def test_a_link_to_itself_is_an_error_of_its_own(include):
    (include / "campaigns" / "bad.yaml").symlink_to("bad.yaml")
    (good,), (error,) = load_campaigns(include)
    assert good.campaign_id == "good"
    assert_clear(str(error), "include/campaigns/bad.yaml:1: the file cannot be read")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_an_error_of_its_own(include):
    write(include, GOOD)
    (include / "campaigns" / "bad.yaml").chmod(0)
    (good,), (error,) = load_campaigns(include)
    assert good.campaign_id == "good"
    assert_clear(str(error), "include/campaigns/bad.yaml:1: the file cannot be read")


def test_a_directory_named_like_a_campaign_is_a_folder_of_campaigns(include):
    (include / "campaigns" / "summer.yaml").mkdir()
    (include / "campaigns" / "summer.yaml" / "july.yaml").write_text(GOOD, "utf-8")
    campaigns, errors = load_campaigns(include)
    assert [campaign.campaign_id for campaign in campaigns] == ["good", "july"]
    assert errors == []


def test_an_id_twice_loads_neither_and_hides_no_third(include):
    (include / "campaigns" / "eu").mkdir()
    for name in ("spring.yaml", "eu/spring.yml"):
        write(include, GOOD, name)
    (good,), errors = load_campaigns(include)
    assert good.campaign_id == "good"
    assert len(errors) == 2
    for error in errors:
        assert_clear(str(error), "campaigns/spring.yaml", "campaigns/eu/spring.yml", "Rename all but one")


@pytest.mark.parametrize("kind", ["empty", "missing", "a file"])
def test_where_there_is_no_campaign_the_command_line_says_what_to_do(include, kind):
    (include / "campaigns" / "good.yaml").unlink()
    if kind != "empty":
        (include / "campaigns").rmdir()
    if kind == "a file":
        (include / "campaigns").write_text(GOOD)
    result = CliRunner().invoke(app, ["validate", "--include", str(include)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert_clear(result.stderr.strip(), "include/campaigns")


def test_many_broken_files_are_as_many_errors(include):
    for number, (content, *_) in enumerate(BAD.values()):
        write(include, content, f"bad_{number}.yaml")
    (good,), errors = load_campaigns(include)
    assert good.campaign_id == "good"
    assert len(errors) == len(BAD)
    assert all(re.match(r"include/campaigns/bad_\d+\.yaml:\d+: ", str(error)) for error in errors)
