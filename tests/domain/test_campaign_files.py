import json
import os
import shutil
from pathlib import Path

import jsonschema
import pytest
import yaml

from twilio_campaigns.domain.campaign import Campaign, SqlSegment
from twilio_campaigns.domain.campaign_files import (
    json_schemas,
    load_campaign,
    load_campaigns,
    load_senders,
    resolve_segment,
    write_schemas,
)
from twilio_campaigns.domain.exceptions import CampaignFileError

ROOT = Path(__file__).parents[2]
HX = "HX0123456789abcdef0123456789abcdef"
GOOD = """\
sender: texts
segment:
  sql: segments/spring.sql
message:
  body: Hello {{ first_name }}
"""
SENDERS = """\
texts:
  messaging_service_sid: MG0123456789abcdef0123456789abcdef
pictures:
  channel: mms
  from_number: "+12025550142"
"""
IMAGE = "https://example.com/a.jpg"


@pytest.fixture
def include(tmp_path):
    folder = tmp_path / "include"
    (folder / "campaigns").mkdir(parents=True)
    (folder / "segments").mkdir()
    (folder / "segments" / "spring.sql").write_text("select 1 -- 100 % :true\n")
    (folder / "segments" / "empty.sql").write_text(" \n")
    (folder / "segments" / "latin.sql").write_bytes("select 'é'".encode("latin-1"))
    (folder / "segments" / "folder.sql").mkdir()
    (folder / "senders.yaml").write_text(SENDERS)
    return folder


def write(include, content, name="spring.yaml"):
    path = include / "campaigns" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def problems(include, content, name="spring.yaml"):
    """What is wrong with a campaign's file, without the file's name."""
    with pytest.raises(CampaignFileError) as caught:
        load_campaign(write(include, content, name), include)
    prefix = f"include/campaigns/{name}:"
    assert all(problem.startswith(prefix) for problem in caught.value.problems)
    return [problem.removeprefix(prefix) for problem in caught.value.problems]


def plus(*lines):
    """The good file with further lines; the first of them is line 6."""
    return GOOD + "".join(f"{line}\n" for line in lines)


def with_sender(text):
    return GOOD.replace("sender: texts\n", text)


def with_segment(*lines):
    """The good file with another segment; the first line of it is line 3."""
    return GOOD.replace("  sql: segments/spring.sql\n", "".join(f"  {line}\n" for line in lines))


def with_message(*lines):
    """The good file with another message; the first line of it is line 5."""
    return GOOD.replace("  body: Hello {{ first_name }}\n", "".join(f"  {line}\n" for line in lines))


BAD_FILES = {
    # Not YAML, or not the YAML that we read.
    "empty": ("", "1: the file is empty."),
    "only comments": ("# nothing\n", "1: the file is empty."),
    "not a mapping": ("- a\n", "1: the file is not a mapping."),
    "a word": ("\nhello\n", "2: the file is not a mapping."),
    "two documents": (plus("---", "a: 1"), "6: the file holds more than one document."),
    "not UTF-8": (GOOD.encode() + b"description: \xe9\n", "6: the file is not UTF-8."),
    "UTF-16": (GOOD.encode("utf-16"), "1: the file is not UTF-8."),
    "control character": (plus("description: 'it\x07s'"), "6: the file contains the character #x0007."),
    "tab": (plus("\tdescription: x"), "6: a tab stands where YAML wants spaces."),
    "tab in a mapping": (with_message("\tbody: x"), "5: a tab stands where YAML wants spaces."),
    "unclosed quote": (plus('description: "spring', "tags: []"), "6: a quote is not closed."),
    "text with a colon": (with_message("body: Hello: you"), "5: the file is not YAML: an unexpected colon."),
    "preset without quotes": (plus("schedule: @daily"), "6: the file is not YAML: found character '@'"),
    "wrong indent": (plus("  description: x", " tags: []"), "7: the file is not YAML:"),
    "alias": (plus("description: &a x", "event_name: *a"), "7: aliases are not supported."),
    "tag": (plus("description: !env X"), "6: description: the tag !env is not supported."),
    "too deep": (plus("tags: " + "[" * 5000), "1: the file is nested too deeply."),
    "too long": ("#" * 1_000_001, "1: the file is longer than 1 MB."),
    "key twice": (plus("sender: pictures"), "6: sender: the key stands here again; first on line 1."),
    "key twice below": (
        with_message("body: x", "body: y"),
        "6: message.body: the key stands here again; first on line 5.",
    ),
    "braces without quotes": (
        with_message("body: {{ name }}"),
        "5: message.body: a key is not a plain word.",
    ),
    "list as key": (plus("? [a, b]", ": c"), "6: a key is not a plain word."),
    # Keys.
    "near miss": (plus("shedule: '@daily'"), "6: shedule: the key is not known. Did you mean 'schedule'?"),
    "near miss below": (
        with_message("body: x", "media_url: []"),
        "6: message.media_url: the key is not known. Did you mean 'media_urls'?",
    ),
    "unknown key of the segment": (
        with_segment("sql: segments/spring.sql", "conection: x"),
        "4: segment.conection: the key is not known. Did you mean 'connection'?",
    ),
    "key of a later version": (
        plus("quiet_hours: {}"),
        "6: quiet_hours: the key is not known. Remove it; known are audience,",
    ),
    "merge key": (plus("<<: {a: b}"), "6: <<: the key is not known."),
    "wrong level": (plus("  tags: [a]"), "6: message.tags: the key is not known."),
    # Sender.
    "no sender": (with_sender(""), "1: sender: the key is missing. Name one of pictures, texts."),
    "empty sender": (with_sender("sender:\n"), "1: sender: the key is missing."),
    "sender is a mapping": (with_sender("sender: {a: 1}\n"), "1: sender: the sender is not a name."),
    "unknown sender": (
        with_sender("sender: other\n"),
        "1: sender: include/senders.yaml has no profile 'other'. Name one of pictures, texts.",
    ),
    "misspelt sender": (
        with_sender("sender: text\n"),
        "1: sender: include/senders.yaml has no profile 'text'. Did you mean 'texts'?",
    ),
    "media with a sender of sms": (
        with_message("body: x", f"media_urls: [{IMAGE}]"),
        "6: message.media_urls: media_urls make an MMS, and sender 'texts' sends sms. Name a sender",
    ),
    "text with a sender of mms": (
        with_sender("sender: pictures\n"),
        "4: message: sender 'pictures' sends mms, and Twilio would send this message without media as SMS.",
    ),
    # Segment.
    "no segment": ("sender: texts\nmessage: {body: x}\n", "1: segment: the key is missing."),
    "segment is a text": (
        "sender: texts\nsegment: segments/spring.sql\nmessage: {body: x}\n",
        "2: segment: the segment needs exactly one source. Write a mapping",
    ),
    "segment without source": (with_segment("connection: crm"), "2: segment: the segment has no source."),
    "file and query": (
        with_segment("file: a.csv", "query: select 1"),
        "2: segment: the segment needs exactly one source.",
    ),
    "sql and query": (
        with_segment("sql: segments/spring.sql", "query: select 1"),
        "4: segment.query: sql and query exclude one another.",
    ),
    "empty query": (with_segment("query: ' '"), "3: segment.query: the query is empty."),
    "missing sql file": (
        with_segment("sql: segments/sprin.sql"),
        ("3: segment.sql: 'segments/sprin.sql' does not exist below include/. Did you mean 'segments/spring.sql'?"),
    ),
    "sql outside": (with_segment("sql: ../secret.sql"), "3: segment.sql: '../secret.sql' leaves the include"),
    "absolute sql": (with_segment("sql: /etc/x.sql"), "3: segment.sql: '/etc/x.sql' leaves the include"),
    "backslashes": (
        with_segment(r"sql: segments\spring.sql"),
        r"3: segment.sql: 'segments\\spring.sql' leaves",
    ),
    "sql with another suffix": (
        with_segment("sql: segments/spring.txt"),
        "3: segment.sql: 'segments/spring.txt' is not a file of this kind. Name one that ends in .sql.",
    ),
    "empty sql file": (
        with_segment("sql: segments/empty.sql"),
        "3: segment.sql: 'segments/empty.sql' is empty.",
    ),
    "sql not UTF-8": (
        with_segment("sql: segments/latin.sql"),
        "3: segment.sql: 'segments/latin.sql' is not UTF-8.",
    ),
    "sql is a folder": (
        with_segment("sql: segments/folder.sql"),
        "3: segment.sql: 'segments/folder.sql' cannot be",
    ),
    "sql is a number": (
        with_segment("sql: 17"),
        "3: segment.sql: YAML takes 17 for a number. Put it in quotes: '17'.",
    ),
    "data of another kind": (
        with_segment("file: segments/a.xlsx"),
        "3: segment.file: 'segments/a.xlsx' is not a file of this kind. Name one that ends in .csv or",
    ),
    "one column for both": (
        with_segment("file: a.csv", "phone_column: customer_id"),
        "2: segment: customer_id_column and phone_column name the same column.",
    ),
    "empty column": (
        with_segment("file: a.csv", "phone_column: ''"),
        "4: segment.phone_column: '' is empty.",
    ),
    # Message.
    "no message": ("sender: texts\nsegment: {query: select 1}\n", "1: message: the key is missing."),
    "message is a text": (
        "sender: texts\nsegment: {query: select 1}\nmessage: Hello\n",
        "3: message: is not a mapping.",
    ),
    "says nothing": (with_message("body:"), "4: message: the message says nothing."),
    "blank body": (with_message("body: ' '"), "5: message.body: the body is empty."),
    "number as body": (with_message("body: 5"), "5: message.body: YAML takes 5 for a number."),
    "syntax of a template": (
        with_message("body: |", "  Hi", "  {{ name }", "  Bye"),
        "7: message.body: the template is wrong: unexpected '}'. Check the braces:",
    ),
    "syntax of a template after blank lines": (
        with_message("body: |", "", "", "  {{ name }", "  Bye"),
        "8: message.body: the template is wrong:",
    ),
    "syntax of a folded template": (
        with_message("body: >", "  Hi", "  {{ name }", "  Bye"),
        "5: message.body: the template is wrong:",
    ),
    "unclosed if": (
        with_message("body: |", "  Hi", "  {% if a %}"),
        "7: message.body: the template is wrong: Unexpected end of template.",
    ),
    "unknown filter": (
        with_message("body: |", "  Hi", "  {{ name | uper }}"),
        "7: message.body: a message knows no filter 'uper'. Did you mean 'upper'?",
    ),
    "macro": (
        with_message("body: '{% macro a() %}{% endmacro %}'"),
        "5: message.body: a message cannot use macros.",
    ),
    "content sid": (
        with_message("content_sid: HX12"),
        "5: message.content_sid: 'HX12' is not a Content SID.",
    ),
    "body and content sid": (
        with_message("body: x", f"content_sid: {HX}"),
        "6: message.content_sid: content_sid and body exclude one another.",
    ),
    "variables without content sid": (
        with_message("body: x", "content_variables: {1: a}"),
        "6: message.content_variables: content_variables fill a Content template, and none is named.",
    ),
    "bad content variables": (
        with_message(f"content_sid: {HX}", "content_variables:", "  1: '{{ a'", "  2: 5"),
        "7: message.content_variables.1: the template is wrong:",
        "8: message.content_variables.2: YAML takes 5 for a number.",
    ),
    "media and content sid": (
        with_message(f"content_sid: {HX}", f"media_urls: [{IMAGE}]").replace("texts", "pictures"),
        "6: message.media_urls: media_urls and content_sid exclude one another.",
    ),
    "bad media": (
        with_message("media_urls:", "  - ftp://example.com/a.jpg", "  - '{{ x'", "  - 5", "  - https://"),
        "6: message.media_urls[0]: 'ftp://example.com/a.jpg' is not a web address.",
        "7: message.media_urls[1]: the template is wrong:",
        "8: message.media_urls[2]: YAML takes 5 for a number.",
        "9: message.media_urls[3]: 'https://' is not a web address.",
    ),
    "eleven media": (
        with_message(f"media_urls: [{', '.join([IMAGE] * 11)}]"),
        "5: message.media_urls: has 11 entries; 10 are the most.",
    ),
    "media as text": (with_message(f"media_urls: {IMAGE}"), "5: message.media_urls: is not a list."),
    # Schedule.
    "four cron fields": (plus("schedule: 0 9 * *"), "6: schedule: '0 9 * *' is not a cron expression."),
    "cron out of range": (
        plus("schedule: 0 25 * * *"),
        "6: schedule: '0 25 * * *' is not a cron expression (",
    ),
    "a day that never comes": (
        plus("schedule: 0 0 31 2 *"),
        "6: schedule: '0 0 31 2 *' is not a cron expression (",
    ),
    "seconds": (plus("schedule: 0 0 9 * * *"), "6: schedule: '0 0 9 * * *' is not a cron expression."),
    "random cron": (plus("schedule: R R * * *"), "6: schedule: 'R R * * *' is not a cron expression."),
    "unknown preset": (plus("schedule: '@sometimes'"), "6: schedule: '@sometimes' is not a cron expression."),
    "time zone": (
        plus("timezone: Europe/Berln"),
        "6: timezone: 'Europe/Berln' is not an IANA time zone. Did you mean",
    ),
    "time zone outside": (plus("timezone: ../../etc"), "6: timezone: '../../etc' is not an IANA time zone."),
    "date": (plus("start_date: tomorrow"), "6: start_date: 'tomorrow' is not a date and time."),
    "no such date": (plus("start_date: 2027-02-30"), "6: start_date: '2027-02-30' is not a date and time."),
    "number as date": (plus("start_date: 17"), "6: start_date: 17 is not a date and time."),
    # Durations and figures.
    "bare number": (plus("max_lateness: 60"), "6: max_lateness: 60 is not a duration with a unit."),
    "words": (plus("send_within: 1 day"), "6: send_within: '1 day' is not a duration with a unit."),
    "no length": (plus("repeat_after: 0s"), "6: repeat_after: the duration must be longer than 0"),
    "negative": (plus("repeat_after: -PT1H"), "6: repeat_after: '-PT1H' is not a duration with a unit."),
    "too far": (
        plus("send_within: 400d"),
        "6: send_within: the duration must be longer than 0 and at most 366d.",
    ),
    "beyond counting": (
        plus("send_within: 99999999999d"),
        "6: send_within: '99999999999d' is not a duration",
    ),
    "validity 0": (plus("validity_period: 0"), "6: validity_period: 0 has to be at least 1."),
    "validity 36001": (plus("validity_period: 36001"), "6: validity_period: 36001 has to be at most 36000."),
    "validity as text": (plus("validity_period: '9'"), "6: validity_period: '9' is not a whole number."),
    "validity true": (plus("validity_period: true"), "6: validity_period: true is not a whole number."),
    "half a batch": (plus("batch_size: 1.5"), "6: batch_size: 1.5 is not a whole number."),
    "no batch": (plus("batch_size: 0"), "6: batch_size: 0 has to be at least 1."),
    # The rest.
    "id is not the name": (
        plus("campaign_id: summer"),
        "6: campaign_id: 'summer' is not the name of the file. Rename the file to summer.yaml",
    ),
    "region that YAML misreads": (
        plus("audience:", "  default_region: NO"),
        "7: audience.default_region: YAML takes NO for true or false. Put it in quotes: 'NO'.",
    ),
    "small region": (
        plus("audience: {default_region: us}"),
        "6: audience.default_region: 'us' is not a country code. Did you mean 'US'?",
    ),
    "no region": (
        plus("audience: {default_region: UK}"),
        "6: audience.default_region: 'UK' is not a country code.",
    ),
    "audience is a text": (plus("audience: US"), "6: audience: is not a mapping."),
    "audience": (
        plus("audience:", "  max_parts: 0", "  mobile_only: 'yes'", "  max_part: 1"),
        "7: audience.max_parts: 0 has to be at least 1.",
        "8: audience.mobile_only: 'yes' is neither true nor false.",
        "9: audience.max_part: the key is not known. Did you mean 'max_parts'?",
    ),
    "tags as text": (plus("tags: a"), "6: tags: is not a list."),
    "tags": (
        plus("tags:", "  - 1", "  - ''"),
        "7: tags[0]: YAML takes 1 for a number.",
        "8: tags[1]: '' is empty.",
    ),
    "no value": (plus("connection:"), "6: connection: the key has no value. Write one, or remove the key."),
    "long name": (plus(f"event_name: {'x' * 251}"), "6: event_name: 'xxx"),
    "everything at once": (
        (
            "sendr: texts\nsegment: {sql: segments/no.sql, colum: x}\nmessage: {body: '{{'}\ntimezone: Mars\n"
            "batch_size: -1\nbatch_size: 5\n"
        ),
        "1: sendr: the key is not known.",
        "1: sender: the key is missing.",
        "2: segment.colum: the key is not known.",
        "2: segment.sql: 'segments/no.sql' does not exist",
        "3: message.body: the template is wrong",
        "4: timezone: 'Mars' is not an IANA time zone.",
        "6: batch_size: the key stands here again; first on line 5.",
    ),
}


@pytest.mark.parametrize(("content", "expected"), [(bad[0], bad[1:]) for bad in BAD_FILES.values()], ids=BAD_FILES)
def test_says_where_and_what(include, content, expected):
    found = problems(include, content)
    assert len(found) == len(expected), found
    for problem, start in zip(found, expected, strict=True):
        assert problem.startswith(start)
        assert problem.endswith((".", "?")), "every problem ends with a remedy"


def test_the_table_is_long_enough():
    assert len(BAD_FILES) >= 40


def test_names_no_folder_of_the_machine(include):
    assert str(include.parent) not in "\n".join(problems(include, with_segment("sql: segments/no.sql")))


@pytest.mark.parametrize("name", ["Spring Sale.yaml", "spring-sale.yaml", "frühling.yaml"])
def test_a_file_name_that_is_no_id(include, name):
    (problem,) = problems(include, GOOD, name)
    assert problem.startswith(f"1: campaign_id: {Path(name).stem!r} is no campaign id.")


def test_a_good_file(include):
    campaign = load_campaign(write(include, GOOD), include)
    assert campaign.campaign_id == "spring"
    assert campaign.sender.name == "texts"
    assert campaign.segment == SqlSegment(sql="segments/spring.sql", query="select 1 -- 100 % :true\n")
    assert campaign.action_type() == "sms"
    assert Campaign.model_validate(json.loads(campaign.model_dump_json())) == campaign


def test_a_file_with_everything(include):
    content = """\
---
campaign_id: spring
description: 'Spring: all of it'
sender: pictures
schedule: '0 9 * * 1-5'
timezone: Europe/Berlin
start_date: 2027-03-01
segment:
  file: segments/vip.parquet
  customer_id_column: id
  phone_column: mobile
message:
  body: |
    Hi {{ name }}
  media_urls:
    - https://example.com/{{ id }}.jpg
audience: {default_region: 'NO', mobile_only: false, max_parts: 2}
connection: twilio_eu
max_lateness: 30m
send_within: 1h30m
repeat_after: PT90M
event_name: promo
validity_period: 36000
batch_size: 500
tags: [eu, spring]
"""
    campaign = load_campaign(write(include, content.encode("utf-8-sig")), include)
    assert campaign.start_date.isoformat() == "2027-02-28T23:00:00+00:00"
    assert campaign.send_within == campaign.repeat_after
    assert campaign.message.body == "Hi {{ name }}\n"
    assert campaign.action_type() == "mms"
    assert Campaign.model_validate(json.loads(campaign.model_dump_json())) == campaign


def test_text_stays_as_it_is_written(include):
    content = plus("description: 2027-03-01", "event_name: =").replace("Hello", "Grüße 🌷")
    campaign = load_campaign(write(include, content), include)
    assert (campaign.description, campaign.event_name) == ("2027-03-01", "=")
    assert campaign.message.body == "Grüße 🌷 {{ first_name }}"


def test_keys_of_content_variables_are_texts(include):
    content = with_message(f"content_sid: {HX}", "content_variables: {1: a, 02: b, yes: c}")
    campaign = load_campaign(write(include, content), include)
    assert campaign.message.content_variables == {"1": "a", "02": "b", "yes": "c"}


def test_links_do_not_lead_out(include, tmp_path):
    (tmp_path / "secret.sql").write_text("select 'secret'")
    (include / "segments" / "link.sql").symlink_to(tmp_path / "secret.sql")
    (problem,) = problems(include, with_segment("sql: segments/link.sql"))
    assert problem.startswith("3: segment.sql: 'segments/link.sql' is a link out of the include folder.")


def test_a_missing_file(include):
    with pytest.raises(CampaignFileError, match=r"^include/campaigns/no.yaml:1: the file does not exist\."):
        load_campaign(include / "campaigns" / "no.yaml", include)


def test_resolves_the_query_of_a_campaign_made_in_python(include):
    resolved = resolve_segment(SqlSegment(sql="segments/spring.sql", connection="crm"), include)
    assert resolved == SqlSegment(sql="segments/spring.sql", query="select 1 -- 100 % :true\n", connection="crm")
    assert resolve_segment(resolved, include) is resolved
    with pytest.raises(CampaignFileError, match=r"segment\.sql: 'segments/no\.sql' does not exist"):
        resolve_segment(SqlSegment(sql="segments/no.sql"), include)


class TestAllCampaigns:
    def test_one_broken_file_hides_no_other(self, include):
        write(include, GOOD, "b.yaml")
        write(include, GOOD, "a.yml")
        write(include, GOOD, "eu/c.yaml")
        write(include, "x", "broken.yaml")
        write(include, "x", ".hidden.yaml")
        write(include, "x", "notes.txt")
        campaigns, errors = load_campaigns(include)
        assert [campaign.campaign_id for campaign in campaigns] == ["a", "b", "c"]
        assert [str(error)[:31] for error in errors] == ["include/campaigns/broken.yaml:1"]

    def test_an_id_twice_loads_none_of_them(self, include):
        for name in ("a.yaml", "spring.yaml", "eu/spring.yaml"):
            write(include, GOOD, name)
        campaigns, errors = load_campaigns(include)
        assert [campaign.campaign_id for campaign in campaigns] == ["a"]
        assert [str(error) for error in errors] == [
            (
                "include/campaigns/eu/spring.yaml:1: campaign_id: 'spring' is also the id of "
                "include/campaigns/spring.yaml. Rename all but one; none is loaded."
            ),
            (
                "include/campaigns/spring.yaml:1: campaign_id: 'spring' is also the id of "
                "include/campaigns/eu/spring.yaml. Rename all but one; none is loaded."
            ),
        ]

    def test_a_broken_profile_leaves_the_others_alone(self, include):
        (include / "senders.yaml").write_text(SENDERS + "bad:\n  channel: fax\n")
        write(include, GOOD, "good.yaml")
        write(include, with_sender("sender: bad\n"), "bad.yaml")
        campaigns, errors = load_campaigns(include)
        assert [campaign.campaign_id for campaign in campaigns] == ["good"]
        assert [error.problems[0] for error in errors] == [
            "include/senders.yaml:7: bad.channel: 'fax' is not one of 'sms' or 'mms'. Write one of them.",
            (
                "include/campaigns/bad.yaml:1: sender: 'bad' cannot be read from include/senders.yaml. "
                "Repair that file; its own error says where."
            ),
        ]

    def test_no_senders(self, include):
        (include / "senders.yaml").unlink()
        write(include, GOOD)
        campaigns, errors = load_campaigns(include)
        assert campaigns == []
        assert [error.problems[0] for error in errors] == [
            "include/senders.yaml:1: the file does not exist. Create it.",
            (
                "include/campaigns/spring.yaml:1: sender: 'texts' cannot be read from include/senders.yaml. "
                "Repair that file; its own error says where."
            ),
        ]

    def test_no_folder(self, tmp_path):
        campaigns, (error,) = load_campaigns(tmp_path / "includ")
        assert campaigns == []
        assert str(error).startswith("includ/campaigns: the folder does not exist.")

    def test_no_campaigns(self, include):
        assert load_campaigns(include) == ([], [])


BAD_SENDERS = {
    "no sender": ("a:\n  channel: sms\n", "1: a: the profile names no sender."),
    "no mapping": ("a: +12025550142\n", "1: a: the profile is not a mapping."),
    "number without quotes": (
        "a:\n  from_number: +12025550142\n",
        "2: a.from_number: YAML takes +12025550142 for a number. Put it in quotes: '+12025550142'.",
    ),
    "local number": (
        "a:\n  from_number: (202) 555-0142\n",
        "2: a.from_number: '(202) 555-0142' is no sender.",
    ),
    "too long a name": (
        "a:\n  from_number: ACME STORES LTD\n",
        "2: a.from_number: 'ACME STORES LTD' is no sender.",
    ),
    "service": (
        "a:\n  messaging_service_sid: AC01\n",
        "2: a.messaging_service_sid: 'AC01' is not a Messaging",
    ),
    "both": (
        "a:\n  from_number: ACME\n  messaging_service_sid: MG0123456789abcdef0123456789abcdef\n",
        "2: a.from_number: from_number and messaging_service_sid exclude one another.",
    ),
    "name and mms": (
        "a:\n  channel: mms\n  from_number: ACME\n",
        "3: a.from_number: the alphanumeric sender 'ACME'",
    ),
    "no speed": (
        "a:\n  from_number: ACME\n  parts_per_second: 0\n",
        "3: a.parts_per_second: 0 has to be greater than",
    ),
    "infinite speed": (
        "a:\n  from_number: ACME\n  parts_per_second: .inf\n",
        "3: a.parts_per_second: .inf is not a finite number.",
    ),
    "speed as text": (
        "a:\n  from_number: ACME\n  parts_per_second: fast\n",
        "3: a.parts_per_second: 'fast' is not a",
    ),
    "name": ("a:\n  from_number: ACME\n  name: b\n", "3: a.name: the key is not known."),
    "unknown key": (
        "a:\n  from_number: ACME\n  chanel: sms\n",
        "3: a.chanel: the key is not known. Did you mean 'channel'?",
    ),
    "profile twice": (
        "a:\n  from_number: ACME\na:\n  from_number: ACME\n",
        "3: a: the key stands here again;",
    ),
}


@pytest.mark.parametrize(("content", "expected"), BAD_SENDERS.values(), ids=BAD_SENDERS)
def test_says_what_is_wrong_with_a_sender(include, content, expected):
    (include / "senders.yaml").write_text(content)
    with pytest.raises(CampaignFileError) as caught:
        load_senders(include)
    (problem,) = caught.value.problems
    assert problem.startswith(f"include/senders.yaml:{expected}")


def test_good_senders(include):
    senders = load_senders(include)
    assert [profile.name for profile in senders.values()] == list(senders) == ["texts", "pictures"]


class TestShippedFiles:
    def test_the_examples_are_campaigns(self):
        campaigns, errors = load_campaigns(ROOT / "include")
        assert errors == []
        assert {c.campaign_id: c.action_type() for c in campaigns} == {
            "product_launch": "mms",
            "spring_sale": "sms",
        }

    @pytest.mark.parametrize("name", json_schemas())
    def test_the_schemas_are_fresh(self, name, tmp_path):
        write_schemas(tmp_path)
        fresh = (tmp_path / name).read_text(encoding="utf-8")
        assert (ROOT / "include" / name).read_text(encoding="utf-8") == fresh, "run `make schema`"

    @pytest.mark.parametrize("path", sorted((ROOT / "include" / "campaigns").glob("*.yaml")), ids=lambda p: p.stem)
    def test_editors_accept_the_examples(self, path):
        text = path.read_text(encoding="utf-8")
        assert text.startswith("# yaml-language-server: $schema=../campaign.schema.json\n")
        jsonschema.Draft202012Validator(json_schemas()["campaign.schema.json"]).validate(yaml.safe_load(text))

    def test_editors_accept_the_senders(self):
        text = (ROOT / "include" / "senders.yaml").read_text(encoding="utf-8")
        assert text.startswith("# yaml-language-server: $schema=senders.schema.json\n")
        jsonschema.Draft202012Validator(json_schemas()["senders.schema.json"]).validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        ({}, True),
        ({"sender": {"name": "a"}}, False),
        ({"shedule": "@daily"}, False),
        ({"max_lateness": "1h30m"}, True),
        ({"max_lateness": "PT1H"}, True),
        ({"max_lateness": "1 hour"}, False),
        ({"max_lateness": 60}, False),
        ({"segment": {"sql": "a.sql", "query": "select 1"}}, False),
        ({"segment": {"file": "a.csv"}}, True),
        ({"segment": {}}, False),
        ({"message": {"content_sid": "HX1"}}, False),
        ({"validity_period": 36001}, False),
    ],
)
def test_the_schema_says_what_the_loader_says(change, valid):
    data = {"sender": "texts", "segment": {"query": "select 1"}, "message": {"body": "x"}} | change
    schema = json_schemas()["campaign.schema.json"]
    jsonschema.Draft202012Validator.check_schema(schema)
    assert jsonschema.Draft202012Validator(schema).is_valid(data) is valid


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_rights(include):
    path = write(include, GOOD)
    path.chmod(0)
    with pytest.raises(CampaignFileError, match="the file cannot be read: Permission denied"):
        load_campaign(path, include)


def test_a_link_that_leads_nowhere_is_not_passed_over(include):
    (include / "campaigns" / "lost.yaml").symlink_to(include / "nowhere.yaml")
    _, (error,) = load_campaigns(include)
    assert str(error) == "include/campaigns/lost.yaml:1: the file does not exist. Create it."


def test_a_mounted_config_map(include):
    """Kubernetes mounts files as links into hidden folders."""
    hidden = include / "campaigns" / "..2027_03_01"
    hidden.mkdir()
    (hidden / "spring.yaml").write_text(GOOD)
    (hidden / "broken.yaml").write_text("x")
    (include / "campaigns" / "..data").symlink_to(hidden)
    for name in ("spring.yaml", "broken.yaml"):
        (include / "campaigns" / name).symlink_to(include / "campaigns" / "..data" / name)
    (campaign,), (error,) = load_campaigns(include)
    assert campaign.campaign_id == "spring"
    assert str(error).startswith("include/campaigns/broken.yaml:1: ")


def test_a_folder_named_like_a_campaign(include):
    shutil.copytree(include / "segments", include / "campaigns" / "folder.yaml")
    assert load_campaigns(include) == ([], [])
    with pytest.raises(CampaignFileError, match="the file cannot be read: Is a directory"):
        load_campaign(include / "campaigns" / "folder.yaml", include)
